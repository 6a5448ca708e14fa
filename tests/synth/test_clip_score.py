"""Scores to read and to edit."""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from support.scores import assert_same

from audiopg import config
from audiopg.synth.clip_score import ClipScore
from audiopg.synth.columns import columns
from audiopg.synth.describe import describe
from audiopg.synth.records import records
from audiopg.synth.score import Score
from audiopg.synth.score_check import check
from audiopg.synth.sources.primitive import Grid
from audiopg.synth.world import World

GRID = Grid(20480, 16000)


@pytest.fixture(scope="module")
def scores(short_world: config.Synth) -> ClipScore:
    return ClipScore.of(World(short_world, 42).score(range(200)), 42)


@pytest.fixture(scope="module")
def pair(scores: ClipScore) -> ClipScore:
    """A clip of exactly two voices, the first with several events, in a room, with a transient."""
    events = scores.voices[0].n_events
    there = np.isfinite(scores.room_size_m) & np.isfinite(scores.transient_onset_s)
    found = scores.rows(np.flatnonzero((scores.n_voices == 2) & (events > 1) & there)[:1])
    assert isinstance(found, ClipScore)
    return found


def differing(one: Score, other: Score) -> set[str]:
    both = (columns(one), columns(other))
    return {name for name, values in both[0].items() if not np.array_equal(values, both[1][name], equal_nan=True)}


def test_the_text_names_the_clip_and_shows_its_numbers(pair: ClipScore) -> None:
    text = str(pair)
    assert f"audiopg-2/42/{pair.index[0]:06d}" in text
    assert f"room_rt60_s {pair.room_rt60_s[0]:.4g}" in text
    for voice in pair.voices[:2]:
        assert f"{voice.f0_hz[0]:.4g}" in text
        assert pair.sources[voice.source[0]] in text
        assert f"{voice.event_onset_s[0, 0]:.4g}" in text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert repr(pair) == text


def test_the_text_of_many_clips_is_cut(scores: ClipScore) -> None:
    text = str(scores)
    assert "audiopg-2/42/000007," in text
    assert "audiopg-2/42/000008," not in text
    assert text.endswith("and 192 more clips")


def test_an_edit_changes_one_voice(pair: ClipScore) -> None:
    edited = pair.edit(voice=1, f0_hz=220.0)
    assert edited.voices[1].f0_hz.tolist() == [220.0]
    assert differing(edited, pair) == {"f0_hz"}
    assert_same(edited.voices[0], pair.voices[0], np.ones(1, dtype=np.bool_))
    assert isinstance(edited, ClipScore)
    assert edited.seed == 42


def test_an_edit_without_a_voice_changes_those_that_are_there(pair: ClipScore) -> None:
    edited = pair.edit(level_db=-3.0, cutoff_hz=900.0)
    assert [voice.level_db[0] for voice in edited.voices[:2]] == [-3.0, -3.0]
    assert np.isnan(edited.voices[2].level_db[0])
    assert edited.cutoff_hz.tolist() == [900.0]


def test_an_edit_changes_one_event(pair: ClipScore) -> None:
    edited = pair.edit(voice=0, event=1, event_onset_s=0.25)
    before, after = pair.voices[0].event_onset_s[0], edited.voices[0].event_onset_s[0]
    assert after[1] == 0.25
    np.testing.assert_array_equal(np.delete(after, 1), np.delete(before, 1))


def test_what_an_edit_takes_away_is_in_no_label(pair: ClipScore) -> None:
    """A renderer plays the first of the voices and events; the rest is as where there never was any."""
    fewer = pair.edit(n_voices=1).edit(voice=0, n_events=1)
    table = columns(fewer)
    assert table["source"][0].tolist() == [pair.voices[0].source[0], -1, -1]
    assert np.isnan(table["f0_hz"][0, 1:]).all()
    assert table["n_events"][0].tolist() == [1, 0, 0]
    assert np.isfinite(table["event_onset_s"]).sum() == np.isfinite(table["event_level_db"]).sum() == 1
    assert all(np.isnan(table[name][0, 1:]).all() for name in fewer.voices[0].parameters[fewer.sources[0]])
    assert len(records(fewer, 42)[0]["voices"]) == 1
    assert describe(fewer).count(" sounds ") == 1
    check(fewer, GRID)


def test_a_voice_that_was_taken_away_does_not_come_back_without_a_source(pair: ClipScore) -> None:
    with pytest.raises(ValueError, match="voice 1, source: -1 is not allowed; allowed: a whole number at least 0"):
        check(pair.edit(n_voices=1).edit(n_voices=2), GRID)


def test_a_voice_without_events_sounds_at_no_time(pair: ClipScore) -> None:
    silent = pair.edit(n_voices=1).edit(n_events=0)
    check(silent, GRID)
    assert "It sounds at no time." in describe(silent)


def test_an_edit_of_something_else_takes_nothing_away(scores: ClipScore) -> None:
    for name, values in columns(scores.edit(noise_floor_amplitude=0.5)).items():
        if name != "noise_floor_amplitude":
            np.testing.assert_array_equal(values, columns(scores)[name])


def test_an_edit_leaves_the_original_alone(pair: ClipScore) -> None:
    before = {name: values.copy() for name, values in columns(pair).items()}
    pair.edit(f0_hz=220.0, event_level_db=-1.0, room_size_m=5.0, room_source_x_fraction=0.2)
    for name, values in columns(pair).items():
        np.testing.assert_array_equal(values, before[name])


def test_a_parameter_changes_only_where_its_source_plays(scores: ClipScore) -> None:
    edited = scores.edit(modulation_index=2.0)
    position = scores.sources.index("fm")
    for voice in edited.voices:
        index = voice.parameters["fm"]["modulation_index"]
        assert (index[voice.source == position] == 2.0).all()
        assert np.isnan(index[voice.source != position]).all()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda score: score.edit(cutof_hz=1.0), "the score has no 'cutof_hz'; did you mean 'cutoff_hz'?"),
        (lambda score: score.edit(zzz=1.0), "the score has no 'zzz'; `corpus.physics"),
        (lambda score: score.edit(voice=2, f0_hz=1.0), "no voice 2 of this score has f0_hz; print the score"),
        (lambda score: score.edit(event=9, event_onset_s=0.0), "no event 9 in this score; print the score"),
        (lambda score: score.edit(n_voices=1.5), "n_voices: 1.5 is not allowed; allowed: a whole number"),
        (lambda score: score.edit(f0_hz=[1.0, 2.0, 3.0]), "f0_hz: 3 numbers do not fit"),
    ],
)
def test_wrong_edits_are_one_line(pair: ClipScore, edit: Callable[[ClipScore], ClipScore], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as error:
        edit(pair)
    assert "\n" not in str(error.value)


def test_what_is_drawn_can_be_played(preset: config.Synth) -> None:
    check(World(preset, 42).score(range(1000)), GRID)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"f0_hz": 8000.0}, "f0_hz: 8000 is not allowed; allowed: above 0 and below the Nyquist frequency, 8000 Hz"),
        ({"f0_hz": np.nan}, "f0_hz: missing; allowed"),
        ({"f0_hz": np.inf}, "f0_hz: inf is not allowed"),
        ({"level_db": np.nan}, "level_db: missing; allowed: a number at least -120"),
        ({"event_onset_s": -0.1}, "event_onset_s, event 0: -0.1 s, .* is not inside the clip of 1.28 s; choose"),
        ({"event_onset_s": 1.25}, "event_onset_s, event 0: 1.25 s"),
        ({"event_source_start_s": 1.25}, "event_source_start_s, event 0: 1.25 s"),
        ({"event_duration_s": np.nan}, "event_onset_s, event 0: .* for nan s"),
        ({"event_attack_s": -1.0}, "event_attack_s: -1 is not allowed; allowed: a number at least 0"),
        ({"event_sustain_level": 1.5}, "event_sustain_level: 1.5 .* at least 0 and at most 1"),
        ({"n_events": 6}, "n_events: 6 is not allowed; allowed: a number at least 0 and at most 5"),
        ({"n_voices": 4}, "n_voices: 4 is not allowed; allowed: a number at least 0 and at most 3"),
        ({"source": 17}, "source: 17 is not allowed"),
        ({"transient_onset_s": 1.279}, "transient_onset_s: 1.279 s"),
        ({"transient_colour": 0.5}, "transient_colour: 0.5 is not allowed; allowed: a whole number at least 0"),
        ({"room_size_m": 1.0}, "room_size_m: 1 is not allowed; allowed: a number at least 2"),
        ({"room_rt60_s": np.nan}, "room_rt60_s: missing"),
        ({"room_microphone_z_fraction": 1.1}, "room_microphone_z_fraction: 1.1 is not allowed"),
        ({"room_source_x_fraction": 0.0}, "room_source_x_fraction: 0 is not allowed; allowed: above 0 and below 1"),
        ({"room_size_m": 1100.0}, "room_size_m: 1100 is not allowed"),
        ({"cutoff_hz": 0.0}, "cutoff_hz: 0 is not allowed"),
        ({"cutoff_hz": 10.0}, "cutoff_hz: 10 is not allowed; allowed: at least 20 Hz and below the Nyquist"),
        ({"level_db": 800.0}, "level_db: 800 is not allowed; allowed: a number at least -120 and at most 120"),
        ({"event_level_db": -121.0}, "event_level_db: -121 is not allowed"),
        ({"microphone_high_hz": np.nan}, "microphone_high_hz: missing"),
        ({"noise_floor_amplitude": -1.0}, "noise_floor_amplitude: -1 is not allowed"),
        ({"transient_gain": 1e39}, r"transient_gain: 1e\+39 is not allowed; .* at most 1e\+06"),
    ],
)
def test_what_cannot_be_played_is_refused(pair: ClipScore, changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        check(pair.edit(**changes), GRID)
    assert str(error.value).startswith(f"clip {pair.index[0]}: ")
    assert "\n" not in str(error.value)


def test_parameters_of_a_source_that_plays_are_checked(scores: ClipScore) -> None:
    with pytest.raises(ValueError, match=r"modulation_index of fm: -1 is not allowed; allowed: a number at least 0"):
        check(scores.edit(modulation_index=-1.0), GRID)
    with pytest.raises(ValueError, match=r"n_partials of harmonic: 2.5 is not allowed; allowed: a whole number"):
        check(scores.edit(n_partials=2.5), GRID)
    with pytest.raises(ValueError, match=r"partial_gain of harmonic: missing"):
        check(scores.edit(partial_gain=np.nan), GRID)


def test_a_source_without_its_parameters_is_refused(pair: ClipScore) -> None:
    other = next(number for number in range(17) if number not in {voice.source[0] for voice in pair.voices})
    with pytest.raises(ValueError, match=f"of {pair.sources[other]}: missing"):
        check(pair.edit(source=other), GRID)


def test_all_fields_of_the_score_are_taken_over(scores: ClipScore, short_world: config.Synth) -> None:
    score = World(short_world, 42).score(range(200))
    assert [field.name for field in fields(scores)] == [*(field.name for field in fields(score)), "seed"]
    assert_same(score, scores, np.ones(200, dtype=np.bool_))
