"""The hash behind the noise: what it says of a key and a sample, wherever it is asked."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiopg import rng


def test_mixing_is_a_bijection() -> None:
    words = np.arange(-100_000, 100_000, dtype=np.int32)
    assert len(np.unique(rng.mix32(words))) == len(words)
    assert words[0] == -100_000  # the argument is left alone


def test_mixing_follows_its_definition() -> None:
    """Against whole numbers without a limit, masked to 32 bits."""
    for word in (0, 1, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF):
        x = word
        x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
        x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
        x ^= x >> 16
        found = rng.mix32(np.array([word], dtype=np.uint32).view(np.int32)).view(np.uint32)
        assert found[0] == x


def test_noise_keys_tell_indices_seeds_and_streams_apart() -> None:
    keys = rng.noise_keys(42, "a", [0, 1, 1 << 32, 1 << 40, (1 << 40) + 1])
    assert len(np.unique(keys)) == 5
    assert rng.noise_keys(42, "a", [1])[0] == keys[1]
    assert rng.noise_keys(43, "a", [0])[0] != keys[0]
    assert rng.noise_keys(42, "b", [0])[0] != keys[0]


def test_hashed_numbers_are_the_same_in_torch() -> None:
    keys, samples = rng.noise_keys(42, "a", range(5))[:, None], np.arange(1000, dtype=np.int32)
    in_torch = rng.hashed_uniform(torch.from_numpy(keys), torch.from_numpy(samples))
    np.testing.assert_array_equal(in_torch.numpy(), rng.hashed_uniform(keys, samples))


def test_hashed_numbers_have_the_moments_of_a_uniform_one() -> None:
    keys = rng.noise_keys(42, "a", range(100))[:, None]
    x = rng.hashed_uniform(keys, np.arange(10_000, dtype=np.int32)) / 2**24
    assert x.min() >= 0
    assert x.max() < 1
    for moment in (1, 2, 3, 4):
        assert (x**moment).mean() == pytest.approx(1 / (moment + 1), abs=1e-3)


def test_hashed_numbers_of_neighbouring_keys_and_samples_are_unrelated() -> None:
    n = 100_000
    keys = np.array([[0], [1], [2], [1 << 16], [-1]], dtype=np.int32)
    x: NDArray[np.float64] = rng.hashed_uniform(keys, np.arange(n, dtype=np.int32)) / 2**24 - 0.5
    correlations = np.asarray(np.corrcoef(x))[~np.eye(5, dtype=bool)]
    assert np.abs(correlations).max() < 0.015
    for lag in (1, 2, 3, 64, 512, 4096):
        assert abs(np.mean(x[:, lag:] * x[:, :-lag]) * 12) < 0.01
