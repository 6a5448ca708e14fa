"""Words for a clip: every parameter is in them, with its unit, and nothing that is not there."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.sounds import bare

from audiopg import config
from audiopg.synth import describe as module
from audiopg.synth.describe import describe
from audiopg.synth.parameters import draw
from audiopg.synth.score import Score
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Grid, Parameter

GRID = Grid(16000, 16000)
# a value of each unit, and what it is in words
UNITS: dict[str, tuple[float, str]] = {
    "Hz": (7.25, "7.25 Hz"),
    "s": (0.725, "725 ms"),
    "dB": (7.25, "7.25 dB"),
    "cents": (7.25, "7.25 cents"),
    "rad": (7.25, "7.25 rad"),
    "octaves": (0.725, "0.725 octaves"),
    "octaves per clip": (-0.725, "-0.725 octaves per clip"),
    "impulses per s": (7.25, "7.25 impulses per s"),
    "part of the length": (0.725, "0.725 of the length"),
    "part of the time": (0.725, "0.725 of the time"),
    "partials": (7, "7 partials"),
    "modes": (7, "7 modes"),
    "resonances": (7, "7 resonances"),
    "cycles": (0.725, "0.725 cycles"),
    "1": (0.725, "0.725"),
    "amplitude": (0.725, "0.725"),
    "frequency ratio": (0.725, "0.725"),
    "0 bar, 1 plate, 2 glass": (1, "plate"),
    "0 saw, 1 square, 2 triangle": (1, "square"),
}


def parameters(primitive: str) -> dict[str, Any]:
    """Parameters of one clip, none of them 0, and none with the digits of `UNITS`."""
    known = PRIMITIVES[primitive].parameters
    return {name: value(spec, 0.5 if not spec.whole else 2) for name, spec in known.items()}


def value(spec: Parameter, number: float) -> Any:
    n = spec.one_per if isinstance(spec.one_per, int) else 2
    return np.full((1, n) if n else 1, number, dtype=np.float64)


def one(primitive: str, given: dict[str, Any]) -> Score:
    return bare(primitive, [440.0], given, GRID)


@pytest.mark.parametrize(
    ("primitive", "parameter"), [(p, name) for p in PRIMITIVES for name in ("f0_hz", *PRIMITIVES[p].parameters)]
)
def test_each_parameter_is_in_the_words_with_its_unit(primitive: str, parameter: str) -> None:
    given = parameters(primitive)
    if parameter == "f0_hz":
        assert "440 Hz" in describe(one(primitive, given))
        return
    spec = PRIMITIVES[primitive].parameters[parameter]
    number, words = UNITS[spec.unit]
    assert words not in describe(one(primitive, given)).partition(" It sounds")[0]
    given[parameter] = value(spec, number)
    assert words in describe(one(primitive, given)).partition(" It sounds")[0]


@pytest.mark.parametrize("primitive", list(PRIMITIVES))
def test_a_new_primitive_is_described_without_words_of_its_own(primitive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLAUSES", {})
    said = describe(one(primitive, parameters(primitive)))
    assert all(f" {name} " in said for name in PRIMITIVES[primitive].parameters)


def test_every_clip_of_a_preset_has_plain_numbers(preset: config.Synth) -> None:
    score = draw(preset, 5, range(400))
    for row in range(len(score)):
        said = describe(score.rows(slice(row, row + 1)))
        assert not re.search(r"\b(nan|inf)\b|\de-?\d|[{}?_]|None", said), said
        assert said.count(" sounds ") == score.n_voices[row]
        assert said.endswith(".")


def test_a_struck_bar_in_a_room_is_told_in_full() -> None:
    score = replace(
        one("modal", parameters("modal") | {"body": np.zeros(1), "n_modes": np.ones(1), "decay_s": np.full(1, 1.25)}),
        room_size_m=np.full(1, 6.0),
        room_rt60_s=np.full(1, 0.5),
        cutoff_hz=np.full(1, 2500.0),
        transient_onset_s=np.full(1, 0.3),
        transient_duration_s=np.full(1, 0.04),
        transient_colour=np.full(1, 1.0),
        noise_floor_amplitude=np.full(1, 0.005),
    )
    assert describe(score) == (
        "A struck bar, fundamental 440 Hz, 1 mode, struck at 0.5 of the length, amplitudes falling as k^-0.5, the "
        "first mode fading by 60 dB in 1.25 s, higher ones faster, as frequency^-0.5, frequencies off by factors of "
        "0.5. It sounds once, from 0 s on. Heard in a room of 6 m, where sound fades by 60 dB in 500 ms, damped above "
        "2.5 kHz, with a burst of pink noise of 40 ms at 300 ms, over white noise of amplitude 0.005."
    )


def test_what_is_not_there_is_not_told() -> None:
    still = parameters("tone") | {"vibrato_cents": np.zeros(1), "wander_octaves": np.zeros(1)}
    said = describe(one("tone", still))
    assert "vibrato" not in said
    assert "wandering" not in said
    assert "tremolo" in said
    assert not re.search("room|damped|microphone|burst", said)


def test_the_first_resonance_of_grains_is_the_fundamental() -> None:
    given = parameters("grains") | {"resonance_ratio": np.array([[1.67, 2.5]])}
    assert "the others at 2.5 times 440 Hz" in describe(one("grains", given))
    assert "1.67" not in describe(one("grains", given))
    alone = {"n_resonances": np.ones(1), "resonance_ratio": np.array([[1.67]]), "resonance_gain": np.array([[0.4]])}
    said = describe(one("grains", given | alone))
    assert "the others" not in said
    assert "amplitudes 0.4" in said


def test_several_clips_at_once_are_refused(short_world: config.Synth) -> None:
    with pytest.raises(ValueError, match="the score of one clip is needed, found 2; take one with"):
        describe(draw(short_world, 5, range(2)))
