"""The compiled generator against NumPy's own."""

import numpy as np
import pytest
from scipy.stats import kstest

from audiopg import rng
from audiopg.philox import uniforms


def test_a_row_depends_on_its_index_alone() -> None:
    together = uniforms(42, "a", range(20), 7)
    np.testing.assert_array_equal(uniforms(42, "a", [13], 7)[0], together[13])
    np.testing.assert_array_equal(uniforms(42, "a", [5, 2, 5], 7), together[[5, 2, 5]])


def test_more_numbers_begin_with_the_fewer() -> None:
    for n in range(1, 10):
        np.testing.assert_array_equal(uniforms(42, "a", [3], 10)[:, :n], uniforms(42, "a", [3], n))


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 1001])
@pytest.mark.parametrize("index", [0, 7, 1 << 32, 1 << 40, (1 << 63) - 1])
@pytest.mark.parametrize(("seed", "stream"), [(42, "a"), (0, "synth/voice1/wind")])
def test_numbers_are_those_of_numpys_generator_at_the_address(seed: int, stream: str, index: int, n: int) -> None:
    expected = rng.generator(seed, stream, index).random(n)
    np.testing.assert_array_equal(uniforms(seed, stream, [1, index], n)[1], expected)


def test_seeds_streams_and_indices_are_apart() -> None:
    addresses = [(42, "a", 0), (43, "a", 0), (42, "b", 0), (42, "a", 1), (4, "2/a", 0), (42, "a", 1 << 33)]
    draws = np.stack([uniforms(seed, stream, [index], 2000)[0] for seed, stream, index in addresses])
    correlations = np.corrcoef(draws)[~np.eye(len(addresses), dtype=bool)]
    assert np.abs(correlations).max() < 0.1
    assert len({tuple(rng.stream_key(seed, stream)) for seed, stream, _ in addresses}) == 4


def test_numbers_are_uniform_along_the_indices() -> None:
    draws = uniforms(42, "a", range(4000), 5)
    for column in draws.T:
        assert kstest(column, "uniform").pvalue > 0.002
    assert draws.min() >= 0
    assert draws.max() < 1


def test_no_indices_and_no_numbers_are_empty() -> None:
    assert uniforms(42, "a", [], 3).shape == (0, 3)
    assert uniforms(42, "a", [1, 2], 0).shape == (2, 0)
