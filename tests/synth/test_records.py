"""Records say what the score says, and nothing about what is not there."""

import json

import numpy as np

from audiopg import config
from audiopg.synth.parameters import draw
from audiopg.synth.records import records


def test_records_are_the_score(short_world: config.Synth) -> None:
    score = draw(short_world, 3, range(60))
    listed = records(score, 3)
    assert json.loads(json.dumps(listed, allow_nan=False)) == listed
    for row, clip in enumerate(listed):
        assert clip["name"] == f"audiopg-2/3/{row:06d}"
        assert clip["room_size_m"] == (None if np.isnan(score.room_size_m[row]) else score.room_size_m[row])
        assert (clip["cutoff_hz"] is None) == bool(np.isinf(score.cutoff_hz[row]))
        assert len(clip["voices"]) == score.n_voices[row]
        for number, voice in enumerate(clip["voices"]):
            drawn = score.voices[number]
            assert voice["source"] == score.sources[drawn.source[row]]
            assert voice["f0_hz"] == drawn.f0_hz[row]
            assert voice["parameters"].keys() == drawn.parameters[voice["source"]].keys()
            for name, value in voice["parameters"].items():
                column = drawn.parameters[voice["source"]][name][row]
                np.testing.assert_array_equal(value, column[~np.isnan(column)] if np.ndim(column) else column)
            assert [event["onset_s"] for event in voice["events"]] == drawn.event_onset_s[row][
                : drawn.n_events[row]
            ].tolist()


def test_records_of_some_clips_are_those_of_all(short_world: config.Synth) -> None:
    score = draw(short_world, 3, range(40))
    some = np.array([31, 2])
    assert records(score.rows(some), 3) == [records(score, 3)[row] for row in some]
