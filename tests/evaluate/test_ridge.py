"""Ridge regression against scikit-learn and against fits that really leave parts out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from audiopg.arrays import Float64
from audiopg.errors import AudiopgError
from audiopg.evaluate.ridge import RidgePath


def drawn(n_clips: int, n_features: int) -> tuple[Float64, Float64]:
    draw = np.random.Generator(np.random.Philox(n_features))
    features = draw.standard_normal((n_clips, n_features)) + 3
    return features, features[:, :4] @ draw.standard_normal((4, 3)) + draw.standard_normal((n_clips, 3))


@pytest.mark.parametrize("n_features", [8, 200])  # fewer than clips, and more: the kernel form
@pytest.mark.parametrize("alpha", [0.01, 1.0, 1000.0])
def test_a_fit_is_scikit_learns(n_features: int, alpha: float) -> None:
    features, targets = drawn(60, n_features)
    weights, offset = RidgePath(features, targets).fit(alpha)
    reference = Reference(alpha).fit(features, targets)
    np.testing.assert_allclose(weights, reference.coef_.T, atol=1e-8)
    np.testing.assert_allclose(offset, reference.intercept_, atol=1e-7)


@pytest.mark.parametrize("n_features", [8, 200])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 1000.0])
def test_what_is_left_out_is_predicted_as_by_a_fit_without_it(n_features: int, alpha: float) -> None:
    features, targets = drawn(60, n_features)
    parts = [np.arange(0, 60, 3), np.arange(1, 60, 3), np.arange(2, 60, 3)]
    found = RidgePath(features, targets).left_out(alpha, parts)
    for rows in parts:
        seen = np.setdiff1d(np.arange(60), rows)
        expected = Reference(alpha).fit(features[seen], targets[seen]).predict(features[rows])
        np.testing.assert_allclose(found[rows], expected, atol=1e-7)


def test_a_penalty_below_the_rounding_error_is_refused() -> None:
    features = np.outer(np.arange(40.0), np.ones(8)) * 1e6
    with pytest.raises(AudiopgError, match="a penalty of 1e-06 is below the rounding error"):
        RidgePath(features, np.ones((40, 1))).fit(1e-6)


def test_clips_alone_are_parts_of_one() -> None:
    features, targets = drawn(30, 50)
    path = RidgePath(features, targets)
    np.testing.assert_allclose(
        path.left_out(2.0), path.left_out(2.0, [np.array([row]) for row in range(30)]), atol=1e-9
    )
