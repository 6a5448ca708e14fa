"""The envelope of an event, in both renderers."""

from typing import Any

import numpy as np
import pytest
import torch

from audiopg.synth.batched.envelopes import adsr
from audiopg.synth.compiled.oscillators import envelope


def both(n: int, **stages: Any) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Draw n samples of an envelope with torch and compiled; times in samples."""
    out = np.full(n + 5, np.nan, dtype=np.float32)
    envelope(out, n, stages["attack"], stages["decay"], stages["sustain"], stages["release"], 1.0)
    assert np.isnan(out[n:]).all()
    by_torch = adsr(torch.arange(n).float(), duration=float(n), **stages)
    return [by_torch.double().numpy(), out[:n].astype(np.float64)]


STAGES = {"attack": 100.0, "decay": 200.0, "sustain": 0.6, "release": 700.0}


def test_it_passes_its_break_points() -> None:
    for found in both(1000, **STAGES):
        at = [0, 50, 100, 200, 300, 650, 999]
        np.testing.assert_allclose(found[at], [0, 0.5, 1, 0.8, 0.6, 0.3, 0.6 / 700], atol=1e-6)


def test_a_short_release_holds_the_sustain_level_before() -> None:
    for found in both(1000, **(STAGES | {"release": 200.0})):
        np.testing.assert_allclose(found[[300, 500, 800, 900]], [0.6, 0.6, 0.6, 0.3], atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 333, 16_384, 163_840])
@pytest.mark.parametrize(
    ("attack", "decay", "sustain", "release"),
    [
        (0.01, 0.1, 0.6, 0.89),
        (0.3, 0.4, 0.1, 0.3),
        (0.002, 0.4, 1.0, 0.598),
        (0.3, 0.4, 0.0, 0.3),
        (1e-7, 1e-7, 1.0, 1e-7),  # nearly a rectangle
        (0.5, 0.2, 0.5, 2.0),  # a release that is longer than the event
        (3.0, 1.0, 0.5, 0.5),  # an attack that does not end
    ],
)
def test_both_draw_the_same_lines(n: int, attack: float, decay: float, sustain: float, release: float) -> None:
    """Against float64, for times that are no whole samples; parts are of the event's duration."""
    stages = {"attack": attack * n, "decay": decay * n, "sustain": sustain, "release": release * n}
    t = np.arange(n)
    expected = np.interp(t, [0, attack * n, (attack + decay) * n], [0, 1, sustain])
    expected *= np.minimum((n - t) / (release * n), 1)
    for found in both(n, **stages):
        np.testing.assert_allclose(found, expected, atol=2e-5)
        assert found.min() >= 0


def test_a_struck_sound_of_few_samples_is_cut_by_its_release() -> None:
    for found in both(40, attack=16.0, decay=16.0, sustain=1.0, release=160.0):
        np.testing.assert_allclose(found, np.minimum(np.arange(40) / 16, 1) * (40 - np.arange(40)) / 160, atol=1e-6)


def test_it_has_the_amplitude_of_its_event() -> None:
    out = np.empty(1000, dtype=np.float32)
    envelope(out, 1000, 100, 200, 0.6, 700, 0.25)
    np.testing.assert_allclose(out, 0.25 * both(1000, **STAGES)[0], atol=1e-6)
