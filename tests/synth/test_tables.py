"""The tables say what the score says, and what is heard."""

import json

import numpy as np
import pytest

from audiopg.config import profile
from audiopg.synth.parameters import draw
from audiopg.synth.score import Score
from audiopg.synth.tables import tables


@pytest.fixture(scope="module")
def score() -> Score:
    return draw(profile.load("paper", "world").synth, 42, [5, 3, 100, 7])


def test_there_is_a_row_per_clip_voice_and_event(score: Score) -> None:
    found = tables(score, 42)
    assert found["clips"]["clip"].tolist() == [5, 3, 100, 7]
    assert found["clips"]["name"].iloc[2] == "audiopg-2/42/000100"
    assert len(found["voices"]) == score.n_voices.sum()
    assert len(found["events"]) == sum(voice.n_events.sum() for voice in score.voices)
    counts = found["events"].groupby(["clip", "voice"]).size()
    assert counts.to_dict() == found["voices"].set_index(["clip", "voice"])["n_events"].to_dict()


def test_voices_tell_their_source_and_all_its_parameters(score: Score) -> None:
    voices = tables(score, 42)["voices"].set_index(["clip", "voice"])
    for row, clip in enumerate(score.index.tolist()):
        for number, voice in enumerate(score.voices[: score.n_voices[row]]):
            line = voices.loc[(clip, number)]
            source = score.sources[voice.source[row]]
            assert line["source"] == source
            assert line["f0_hz"] == voice.f0_hz[row]
            for name, column in voice.parameters[source].items():
                if column.ndim == 1:
                    assert line[name] == column[row]
                else:
                    np.testing.assert_array_equal(json.loads(line[name]), column[row][~np.isnan(column[row])])
            others = {n for parameters in voice.parameters.values() for n in parameters} - set(voice.parameters[source])
            assert line[sorted(others & set(voices.columns))].isna().all()


def test_clips_and_events_hold_every_number_but_the_keys(score: Score) -> None:
    found = tables(score, 42)
    clip_wide = {n for n, c in vars(score).items() if isinstance(c, np.ndarray) and c.ndim == 1 and "key" not in n}
    assert clip_wide - {"index"} <= set(found["clips"].columns)
    assert sum(name.startswith("room_source") or name.startswith("room_microphone") for name in found["clips"]) == 6
    for name in ("onset_s", "duration_s", "level_db", "attack_s", "decay_s", "sustain_level", "release_s"):
        first = score.voices[0]
        expected = getattr(first, f"event_{name}")[1, : first.n_events[1]]
        events = found["events"].query("clip == 3 and voice == 0")
        np.testing.assert_array_equal(events[name], expected)
    assert not np.isinf(found["clips"].select_dtypes("number")).any().any()
