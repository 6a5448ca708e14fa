"""The physics to be told: planted scores by hand, and distributions as they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from support.sounds import short

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.synth.parameters import draw
from audiopg.synth.physics import Physics, read
from audiopg.synth.score import Score

NONE = np.nan


def planted(synth: config.Synth) -> Score:
    """Two clips of preset `world`: two voices and all that a clip can have; one struck event and nothing else."""
    score = draw(synth, 0, [0, 1])
    names = list(score.sources)
    voice = {"chirp": names.index("chirp"), "glass": names.index("glass"), "rain": names.index("rain")}
    first = replace(
        score.voices[0],
        source=np.array([voice["rain"], voice["glass"]]),
        f0_hz=np.array([4000.0, 512.0]),
        level_db=np.array([-9.0, -3.0]),
        n_events=np.array([2, 1]),
        event_level_db=np.array([[0.0, -1.0, NONE, NONE, NONE], [-5.0, NONE, NONE, NONE, NONE]]),
        event_attack_s=np.array([[0.5, 0.5, NONE, NONE, NONE], [0.001, NONE, NONE, NONE, NONE]]),
    )
    second = replace(
        score.voices[1],
        source=np.array([voice["chirp"], -1]),
        f0_hz=np.array([256.0, NONE]),
        level_db=np.array([-2.0, NONE]),
        n_events=np.array([3, 0]),
        event_level_db=np.array([[-8.0, -4.0, -10.0, NONE, NONE], [NONE] * 5]),
        event_attack_s=np.array([[0.5, 0.125, 0.25, NONE, NONE], [NONE] * 5]),
    )
    silent = replace(
        score.voices[2], source=np.full(2, -1), f0_hz=np.full(2, NONE), level_db=np.full(2, NONE), n_events=np.zeros(2)
    )
    return replace(
        score,
        n_voices=np.array([2, 1]),
        voices=(first, second, silent),
        transient_onset_s=np.array([0.0, NONE]),
        room_rt60_s=np.array([0.5, NONE]),
        cutoff_hz=np.array([1024.0, np.inf]),
        microphone_low_hz=np.array([64.0, 0.0]),
        microphone_high_hz=np.array([4096.0, np.inf]),
        noise_floor_amplitude=np.array([1 / 1024, 0.0]),
        noise_floor_colour=np.array([2.0, 0.0]),
    )


def test_a_planted_score_is_read_as_by_hand(short_world: config.Synth) -> None:
    names = list(short_world.sources)
    expected = {
        "f0_octaves": [8, 9],
        "n_events": [3, 1],
        "event_level_db": [-6, NONE],
        "attack_octaves": [-3, NONE],  # that of the loudest event; a struck body has none
        "n_voices": [2, 1],
        "cutoff_octaves": [10, NONE],
        "noise_octaves": [-10, NONE],
        "rt60_octaves": [-1, NONE],
        "microphone_low_octaves": [6, NONE],
        "microphone_high_octaves": [12, NONE],
        "source": [names.index("chirp"), names.index("glass")],
        "transient": [1, 0],
        "noise_colour": [2, 0],
    }
    found = read(planted(short_world))
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_numbers_have_mean_0_and_variance_1_and_are_as_frequent_as_said(preset: config.Synth) -> None:
    physics = Physics(preset)
    found = physics.targets(draw(preset, 3, range(8000)))
    assert found.dtype == np.float32
    for (name, number), column in zip(physics.numbers.items(), found.T, strict=False):
        there = ~np.isnan(column)
        assert there.mean() == pytest.approx(number.presence, abs=0.02), name
        assert column[there].mean() == pytest.approx(0, abs=0.04), name
        assert column[there].std() == pytest.approx(1, abs=0.03), name
    for (name, label), column in zip(physics.labels.items(), found.T[len(physics.numbers) :], strict=True):
        shares = np.bincount(column.astype(int), minlength=label.n_classes) / len(column)
        assert len(shares) == label.n_classes, name
        surprise = -np.log(shares, where=shares > 0, out=np.zeros(label.n_classes))
        assert shares @ surprise == pytest.approx(label.entropy, abs=0.02), name


def test_moments_in_closed_form(short_world: config.Synth) -> None:
    numbers = Physics(short_world).numbers
    room, counts = short_world.room.rt60_s, short_world.events.count
    assert numbers["rt60_octaves"].mean == pytest.approx(np.log2(room.min * room.max) / 2)
    assert numbers["rt60_octaves"].std == pytest.approx(np.log2(room.max / room.min) / 12**0.5, rel=1e-6)
    n = np.arange(counts.min, counts.max + 1)
    assert (numbers["n_events"].mean, numbers["n_events"].std) == pytest.approx((n.mean(), n.std()))
    assert numbers["event_level_db"].presence == pytest.approx((n > 1).mean())
    struck = sum(short_world.sources[name].weight for name in ("bar", "plate", "glass", "string"))
    weight = sum(source.weight for source in short_world.sources.values())
    assert numbers["attack_octaves"].presence == pytest.approx(1 - struck / weight)


def test_what_does_not_vary_is_not_asked_for(short_paper: config.Synth) -> None:
    physics = Physics(short_paper)
    assert list(physics.numbers) == [
        *("f0_octaves", "n_events", "event_level_db", "attack_octaves", "cutoff_octaves", "noise_octaves")
    ]
    assert list(physics.labels) == ["source", "transient"]
    assert physics.n_outputs == 6 + 3 + 2


def test_nothing_to_tell_is_an_error(short_paper: config.Synth) -> None:
    always = {"min": 1, "max": 1, "scale": "integer"}
    dull = short(
        short_paper,
        events__count=always,
        events__duration_s_min=short_paper.clip_s,
        events__attack_fraction={"min": 0.1, "max": 0.1},
        f0_hz={"min": 100, "max": 100},
        noise_floor__amplitude={"min": 0, "max": 0},
        damping__probability=0.0,
        transient__probability=1.0,
        sources={"pulse": short_paper.sources["pulse"].model_dump()},
    )
    with pytest.raises(AudiopgError, match="pretrain.objectives.physics: nothing varies in synth"):
        Physics(dull)
