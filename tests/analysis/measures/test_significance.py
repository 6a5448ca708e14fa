"""Corrected p values, by hand."""

import numpy as np
import pytest

from audiopg.analysis.measures.significance import holm, p_value


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.02, 0.01, 0.5, 0.03])), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])


def test_p_counts_the_value_itself() -> None:
    null = np.arange(19.0)
    assert p_value(18.5, null) == pytest.approx(0.05)
    assert p_value(18.0, null) == pytest.approx(0.1)
    np.testing.assert_allclose(p_value(np.array([-1.0, 17.5]), null), [1, 0.1])
