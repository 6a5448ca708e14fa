"""Tests of paired differences, by hand."""

import math

import numpy as np
import pytest

from audiopg.report import significance


def test_the_corrected_test_by_hand() -> None:
    """Mean 1/10, variance 1/150, so t² = (1/100) / ((1/4 + 1/3) / 150) = 18/7; Student's cdf has a closed form."""
    t, p = significance.corrected_t_test(np.array([0.1, 0.2, 0.0, 0.1]), 1 / 3)
    assert t == pytest.approx(math.sqrt(18 / 7))
    x = t / math.sqrt(3)
    assert p == pytest.approx(1 - 2 / math.pi * (x / (1 + x**2) + math.atan(x)))
    assert significance.corrected_t_test(-np.array([0.1, 0.2, 0.0, 0.1]), 1 / 3) == (-t, p)


def test_plain_tests_by_hand() -> None:
    found = significance.tests(np.array([0.1, 0.2, 0.0, 0.1]), 1 / 3)
    assert found.t == pytest.approx(math.sqrt(6))
    x = math.sqrt(2)
    assert found.p_t == pytest.approx(1 - 2 / math.pi * (x / (1 + x**2) + math.atan(x)))
    assert found.p_wilcoxon == pytest.approx(2 / 2**3)  # three differences that are not 0 have one sign
    assert (found.t_corrected, found.p_corrected) == significance.corrected_t_test(
        np.array([0.1, 0.2, 0.0, 0.1]), 1 / 3
    )


@pytest.mark.parametrize("differences", [[0.3], [0.0, 0.0], [0.1, 0.1, 0.1]])
def test_without_a_spread_there_is_no_test(differences: list[float]) -> None:
    assert all(math.isnan(value) for value in significance.tests(np.array(differences), 0.25))
