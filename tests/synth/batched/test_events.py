"""The sum of events."""

import numpy as np
import pytest
import torch
from support.sounds import Floats

from audiopg.arrays import Int64
from audiopg.synth.batched.envelopes import adsr
from audiopg.synth.batched.events import add_up
from audiopg.synth.playlist import LINES, Events

N_CLIPS, N_ROWS, N_SAMPLES = 3, 5, 1000


def drawn(n_events: int) -> Events:
    """Events that overlap, some of one sample."""
    rng = np.random.default_rng(0)
    length = rng.integers(1, 400, n_events)
    length[::7] = 1
    return Events(
        clip=np.sort(rng.integers(0, N_CLIPS, n_events)),
        kind=np.full(n_events, LINES),
        row=rng.integers(0, N_ROWS, n_events),
        onset=rng.integers(0, N_SAMPLES - length + 1),
        length=length,
        start=rng.integers(0, N_SAMPLES - length + 1),
        amplitude=10 ** rng.uniform(-3, 0, n_events),
        attack=rng.uniform(0.1, 50, n_events),
        decay=rng.uniform(0.1, 50, n_events),
        sustain=rng.uniform(0, 1, n_events),
        release=rng.uniform(1, 100, n_events),
    )


def one_by_one(events: Events, sources: Floats) -> Floats:
    mix = np.zeros((N_CLIPS, N_SAMPLES))
    for clip, _, row, onset, n, start, amplitude, attack, decay, sustain, release in zip(*events, strict=True):
        time = torch.arange(n, dtype=torch.float64)
        envelope = adsr(time, attack=attack, decay=decay, sustain=sustain, release=release, duration=float(n))
        mix[clip, onset : onset + n] += amplitude * envelope.numpy() * sources[row, start : start + n]
    return mix


def waveforms() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (N_ROWS, N_SAMPLES)).astype(np.float32))


def test_overlapping_events_are_added_at_their_places() -> None:
    events, sources = drawn(200), waveforms()
    expected = one_by_one(events, sources.double().numpy())
    np.testing.assert_allclose(add_up(events, events.row, sources, N_CLIPS).numpy(), expected, atol=1e-5)


def test_the_sum_is_the_same_in_any_order() -> None:
    events, sources = drawn(200), waveforms()
    order: Int64 = np.random.default_rng(2).permutation(200)
    mixed = Events._make(column[order] for column in events)
    found = [add_up(each, each.row, sources, N_CLIPS) for each in (events, mixed)]
    assert torch.equal(*found)


def test_levels_far_from_full_scale_lose_nothing() -> None:
    events, sources = drawn(200), waveforms()
    plain = add_up(events, events.row, sources, N_CLIPS)
    for power in (-60, 60):
        scaled = events._replace(amplitude=events.amplitude * 2.0**power)
        assert torch.equal(add_up(scaled, scaled.row, sources, N_CLIPS), plain * 2.0**power)


def test_no_events_are_silence() -> None:
    none = Events._make(column[:0] for column in drawn(1))
    assert not add_up(none, none.row, torch.zeros(0, N_SAMPLES), N_CLIPS).any()


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e12])
def test_sources_of_any_level_are_added_as_exactly(scale: float) -> None:
    """The quantum follows the largest sample: a steep spectrum can be 1e20 above the amplitude of its event."""
    events, sources = drawn(200), waveforms() * scale
    expected = one_by_one(events, sources.double().numpy())
    np.testing.assert_allclose(add_up(events, events.row, sources, N_CLIPS).numpy(), expected, atol=1e-5 * scale)


@pytest.mark.parametrize("scale", [0.0, 1e-30])
def test_silent_sources_are_silent(scale: float) -> None:
    events = drawn(20)
    assert not add_up(events, events.row, torch.full((N_ROWS, N_SAMPLES), scale), N_CLIPS).any()
