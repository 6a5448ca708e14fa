"""Scores as named columns and vectors, and back without a changed bit."""

import numpy as np
import pytest
import torch
from support.scores import assert_same

from audiopg import config
from audiopg.synth.columns import columns, flat, from_columns, from_flat, names
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.tables import tables
from audiopg.synth.world import World


def test_a_score_comes_back_from_its_columns(preset: config.Synth) -> None:
    score = World(preset, 42).score(range(300))
    back = from_columns(columns(score), score)
    assert_same(back, score, np.ones(300, dtype=np.bool_))


def test_a_score_comes_back_from_numbers_alone(preset: config.Synth) -> None:
    """Also the keys of the noise, which fill 32 bits, the infinite edges, and what is not there."""
    world = World(preset, 42)
    score, none = world.score(range(300)), world.score([])
    vectors = flat(columns(score))
    assert vectors.shape == (300, len(names(columns(none))))
    assert np.abs(score.noise_floor_key).max() > 1 << 24  # float32 would not hold it
    assert np.isinf(score.cutoff_hz).any()
    assert np.isnan(vectors).any()
    back = from_columns(from_flat(vectors, columns(none)), none)
    assert_same(back, score, np.ones(300, dtype=np.bool_))
    assert torch.equal(world.render(back), world.render(score))


def test_names_are_unique_and_say_where_each_number_is(short_world: config.Synth) -> None:
    score = World(short_world, 42).score(range(20))
    table = columns(score)
    found, vectors = names(table), flat(table)
    assert len(set(found)) == len(found)
    by_name = dict(zip(found, vectors.T, strict=True))
    np.testing.assert_array_equal(by_name["cutoff_hz"], score.cutoff_hz)
    np.testing.assert_array_equal(by_name["room_microphone_x_fraction"], score.room_places[:, 3])
    np.testing.assert_array_equal(by_name["voice1/f0_hz"], score.voices[1].f0_hz)
    np.testing.assert_array_equal(by_name["voice0/event_onset_s/2"], score.voices[0].event_onset_s[:, 2])
    position = score.sources.index("harmonic")
    plays = score.voices[0].source == position
    gain = score.voices[0].parameters["harmonic"]["partial_gain"]
    assert plays.any()
    np.testing.assert_array_equal(by_name["voice0/partial_gain/4"][plays], gain[plays, 4])


def test_the_names_are_those_of_the_tables(short_world: config.Synth) -> None:
    score = World(short_world, 42).score(range(300))
    known = set(columns(score))
    shown = tables(score, 42)
    assert set(shown["clips"]) - {"clip", "name"} <= known
    assert set(shown["voices"]) - {"clip", "voice", "primitive"} <= known
    assert {f"event_{name}" for name in shown["events"]} - {"event_clip", "event_voice", "event_event"} <= known


def test_parameters_of_one_name_have_all_one_value_or_all_several() -> None:
    """So that they can share a column."""
    several = {}
    for primitive in PRIMITIVES:
        for name, parameter in PRIMITIVES[primitive].parameters.items():
            assert several.setdefault(name, bool(parameter.one_per)) == bool(parameter.one_per), name


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_have_the_columns_of_many(short_world: config.Synth, rows: int) -> None:
    world = World(short_world, 42)
    few, many = columns(world.score(range(rows))), columns(world.score(range(50)))
    assert [(name, values.shape[1:], values.dtype) for name, values in few.items()] == [
        (name, values.shape[1:], values.dtype) for name, values in many.items()
    ]
