"""Positions of patches."""

import numpy as np
import pytest
import torch

from audiopg.models.positions import Positions, sincos_2d


def test_positions_by_hand() -> None:
    positions = sincos_2d(3, 2, 8).numpy()
    rates = [1.0, 1 / 100.0]
    for time in range(3):
        for frequency in range(2):
            expected = [f(axis * rate) for axis in (time, frequency) for f in (np.sin, np.cos) for rate in rates]
            np.testing.assert_allclose(positions[time * 2 + frequency], expected, atol=1e-6)


def test_positions_of_a_long_grid_are_close_to_those_in_double_precision() -> None:
    found = sincos_2d(128, 1, 64)[:, :32].numpy()
    angles = np.arange(128)[:, None] * 10000.0 ** -(np.arange(16) / 16)
    np.testing.assert_allclose(found, np.hstack([np.sin(angles), np.cos(angles)]), atol=1e-5)


def test_a_width_that_is_no_multiple_of_four_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_2d(1, 1, 6)


def test_what_is_kept_is_that_of_the_grid_that_is_asked_for() -> None:
    positions, cpu = Positions(8), torch.device("cpu")
    first = positions(3, 2, cpu)
    assert positions(3, 2, cpu) is first
    assert torch.equal(first, sincos_2d(3, 2, 8))
    assert torch.equal(positions(2, 3, cpu), sincos_2d(2, 3, 8))
    assert torch.equal(positions(3, 2, cpu), first)
    assert not positions.state_dict()
