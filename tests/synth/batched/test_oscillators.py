"""Harmonics of a moving fundamental, as a polynomial."""

import numpy as np
import pytest
import torch

from audiopg.synth.batched.oscillators import STEPS, harmonics, n_lanes

CPU = torch.device("cpu")


@pytest.mark.parametrize("n_partials", [1, 2, 7, 8, 9, 16, 17, 60, 64, 65, 200])
def test_harmonics_are_the_sum_of_sines(n_partials: int) -> None:
    rng = np.random.default_rng(n_partials)
    cycles = rng.uniform(0, 1000, (2, 3, 256))
    amplitude = (rng.uniform(0, 1, (2, 4, n_partials)) / np.arange(1, n_partials + 1)).astype(np.float32)
    between = np.arange(256) / 256
    level = amplitude[:, :-1, None] + (amplitude[:, 1:, None] - amplitude[:, :-1, None]) * between[:, None]
    turns = cycles[..., None] * np.arange(1, n_partials + 1)
    expected = (level * np.sin(2 * np.pi * turns)).sum(axis=-1)
    missing = n_lanes(n_partials, CPU) * STEPS - n_partials
    padded = np.pad(amplitude, ((0, 0), (0, 0), (0, missing)))
    found = harmonics(torch.from_numpy(cycles), torch.from_numpy(padded))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_lanes_of_zeros_change_no_bit() -> None:
    rng = np.random.default_rng(0)
    cycles = torch.from_numpy(rng.uniform(0, 1000, (2, 3, 256)))
    amplitude = torch.from_numpy(rng.uniform(0, 1, (2, 4, STEPS)).astype(np.float32))
    wider = torch.nn.functional.pad(amplitude, (0, 7 * STEPS))
    assert torch.equal(harmonics(cycles, amplitude), harmonics(cycles, wider))


@pytest.mark.parametrize(("n_partials", "lanes"), [(0, 1), (1, 1), (8, 1), (9, 2), (17, 4), (64, 8), (65, 16)])
def test_lanes_are_a_power_of_two(n_partials: int, lanes: int) -> None:
    assert n_lanes(n_partials, CPU) == lanes
    assert n_lanes(n_partials, torch.device("cuda")) == max(lanes, 8)
