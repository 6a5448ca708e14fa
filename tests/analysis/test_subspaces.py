"""Angles and probes on planted latent spaces with known answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiopg.analysis.decodability import ridge_probe
from audiopg.analysis.latent import orthogonality
from audiopg.analysis.subspaces import angles_between, patterns
from audiopg.config import Config

N, D = 2000, 12
ALPHAS = [0.01, 1.0, 100.0]


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def planted(angle_deg: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Features in which two independent factors move along two directions at a known angle, and their noise."""
    generator = draw(1)
    first, second = generator.uniform(-1, 1, (2, N))
    basis, _ = np.linalg.qr(generator.standard_normal((D, D)))
    angle = np.deg2rad(angle_deg)
    other = np.cos(angle) * basis[0] + np.sin(angle) * basis[1]
    noise = 0.05 * generator.standard_normal((N, D))
    return first[:, None] * basis[0] + second[:, None] * other + noise, first, second


def long_cloud(angle_deg: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """As `planted`, under noise whose spectrum decays as an encoder's does."""
    features, first, second = planted(angle_deg)
    generator = draw(11)
    basis, _ = np.linalg.qr(generator.standard_normal((D, D)))
    return features + 0.5 * generator.standard_normal((N, D)) / np.arange(1, D + 1) @ basis, first, second


@pytest.mark.parametrize("space", [planted, long_cloud])
def test_the_stage_tells_orthogonal_from_entangled(space: Callable[..., tuple[Any, ...]], tiny: Config) -> None:
    apart, close = (
        orthogonality(features, {"a": first, "b": second}, tiny.latent, 0)
        for features, first, second in (space(90.0), space(20.0))
    )
    assert apart["angles_deg"][0] == pytest.approx(90, abs=8)
    assert close["angles_deg"][0] == pytest.approx(20, abs=8)
    assert apart["p_value"] < 0.2 < close["p_value"]


def found_angle(features: NDArray[np.float64], *factors: NDArray[np.float64]) -> float:
    first, second = (patterns(features, ridge_probe(features, f[:, None], ALPHAS).weights) for f in factors)
    return angles_between(first, second, features, 1, draw(2)).mean


@pytest.mark.parametrize("angle_deg", [20.0, 60.0, 90.0])
def test_a_planted_angle_is_found(angle_deg: float) -> None:
    assert found_angle(*planted(angle_deg)) == pytest.approx(angle_deg, abs=4)


def test_principal_angles_of_planes_by_hand() -> None:
    features = draw(3).standard_normal((N, D))
    first = np.eye(D)[:, :2]
    second = np.eye(D)[:, 1:3]
    angles = angles_between(first, second, features, 10, draw(2))
    np.testing.assert_allclose(angles.degrees, [90, 0], atol=1e-6)
    assert angles.mean == pytest.approx(45)


def test_the_null_follows_the_covariance() -> None:
    generator = draw(4)
    spread = generator.standard_normal((N, D))
    narrow = generator.standard_normal((N, 1)) * np.eye(D)[0] + 0.03 * spread
    wide_null = angles_between(np.eye(D)[:, :1], np.eye(D)[:, 1:2], spread, 200, draw(5))
    narrow_null = angles_between(np.eye(D)[:, :1], np.eye(D)[:, 1:2], narrow, 200, draw(5))
    # random directions are nearly orthogonal in a round cloud, and nearly the same in a long one
    assert np.median(wide_null.null_degrees) > 70
    assert np.median(narrow_null.null_degrees) < 20
    assert narrow_null.p_value < 0.05
    assert wide_null.p_value < 0.05


def test_entangled_factors_are_not_called_orthogonal() -> None:
    features, first, second = planted(20.0)
    subspaces = [patterns(features, ridge_probe(features, f[:, None], ALPHAS).weights) for f in (first, second)]
    assert angles_between(*subspaces, features, 200, draw(6)).p_value > 0.05


def test_r2_of_a_planted_factor() -> None:
    generator = draw(7)
    features = generator.standard_normal((4000, D))
    signal = features @ generator.standard_normal(D)
    noise = generator.standard_normal(4000) * signal.std()
    reading = ridge_probe(features, (signal + noise)[:, None], ALPHAS)
    assert reading.r2 == pytest.approx(0.5, abs=0.04)
    assert ridge_probe(features, noise[:, None], [1e4]).r2 == pytest.approx(0, abs=0.02)


def test_r2_is_held_out() -> None:
    generator = draw(8)
    features = generator.standard_normal((100, 60))
    assert ridge_probe(features, generator.standard_normal((100, 1)), [1e-6]).r2 < 0


def test_weights_are_in_the_units_of_the_features() -> None:
    generator = draw(9)
    features = generator.standard_normal((N, 3)) * [1, 10, 100]
    target = features @ [1, 0.1, 0.01]
    weights = ridge_probe(features, target[:, None], [1e-6]).weights[:, 0]
    np.testing.assert_allclose(weights / weights[0], [1, 0.1, 0.01], rtol=1e-3)


def test_a_pattern_is_where_the_factor_lies_not_what_the_probe_weighs() -> None:
    """Loud noise along a slanted direction turns the probe's weights away from the factor's own direction."""
    generator = draw(10)
    factor, disturbance = generator.standard_normal((2, 20_000))
    features = 0.01 * generator.standard_normal((20_000, 3))
    features[:, 0] += factor + 5 * disturbance
    features[:, 1] += 5 * disturbance
    weights = ridge_probe(features, factor[:, None], ALPHAS).weights
    np.testing.assert_allclose(weights[:2, 0] / weights[0, 0], [1, -1], atol=0.05)
    pattern = patterns(features, weights)[:, 0]
    np.testing.assert_allclose(pattern / pattern[0], [1, 0, 0], atol=0.1)


def test_the_scored_half_shapes_nothing() -> None:
    generator = draw(12)
    features = generator.standard_normal((200, 4))
    target = features @ generator.standard_normal((4, 1))
    other = features.copy()
    other[100:] *= 50
    assert np.array_equal(ridge_probe(features, target, ALPHAS).weights, ridge_probe(other, target, ALPHAS).weights)
