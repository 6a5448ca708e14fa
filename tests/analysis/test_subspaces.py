"""Angles and interventions on planted latent spaces with known answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from audiopg.analysis.orthogonality import interventions, orthogonality
from audiopg.analysis.ridge import ridge
from audiopg.analysis.significance import holm
from audiopg.analysis.subspaces import (
    Cloud,
    Subspace,
    angles,
    curve,
    patterns,
    ranks,
    subspace,
)
from audiopg.analysis.targets import Known
from audiopg.errors import AudiopgError

Array = NDArray[np.float64]

N, D = 2000, 12
ALPHAS = [0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
HELD_OUT = np.arange(N) % 2 == 1
ALONE = np.arange(N)


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def axes(angle_deg: float) -> Array:
    """Two directions at an angle, shape (2, D)."""
    basis, _ = np.linalg.qr(draw(1).standard_normal((D, D)))
    angle = np.deg2rad(angle_deg)
    return np.stack([basis[0], np.cos(angle) * basis[0] + np.sin(angle) * basis[1]])


def planted(angle_deg: float, noise: float = 0.05) -> tuple[Array, dict[str, Array]]:
    """Features in which two independent factors move along two directions at a known angle, and their noise."""
    generator = draw(2)
    first, second = generator.uniform(-1, 1, (2, N))
    features = np.stack([first, second], axis=1) @ axes(angle_deg) + noise * generator.standard_normal((N, D))
    return features, {"a": first, "b": second}


def long_cloud(angle_deg: float) -> tuple[Array, dict[str, Array]]:
    """As `planted`, under noise whose spectrum decays as an encoder's does."""
    features, factors = planted(angle_deg)
    generator = draw(11)
    basis, _ = np.linalg.qr(generator.standard_normal((D, D)))
    return features + 0.5 * generator.standard_normal((N, D)) / np.arange(1, D + 1) @ basis, factors


def measure(features: Array, factors: dict[str, Array], n_null: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    return orthogonality({"e": features}, Known(factors, {}, HELD_OUT, ALONE), ALPHAS, n_null, draw(3))


def found_in(features: Array, values: Array, groups: NDArray[np.int64] = ALONE) -> Subspace:
    return subspace(features, ranks(values, np.ones(N, bool)), groups, ALPHAS, draw(4))


def line(*directions: Array) -> Subspace:
    basis = np.stack(directions, axis=1)
    return Subspace(basis[:, :1], basis, basis, readable=True, self_deg=0.0)


@pytest.mark.parametrize("space", [planted, long_cloud])
@pytest.mark.parametrize("angle_deg", [20.0, 60.0, 90.0])
def test_a_planted_angle_is_found(space: Callable[[float], tuple[Array, dict[str, Array]]], angle_deg: float) -> None:
    pair = measure(*space(angle_deg))[0].iloc[0]
    assert (pair["n_first"], pair["n_second"], pair["readable"]) == (1, 1, True)
    assert pair["mean_deg"] == pair["min_deg"] == pair["angles_deg"][0]
    assert pair["mean_deg"] == pytest.approx(angle_deg, abs=6)
    assert pair["cosine"] == pytest.approx(np.cos(np.deg2rad(angle_deg)), abs=0.1)
    assert max(pair["self_first_deg"], pair["self_second_deg"]) < 8


def test_the_p_value_tells_orthogonal_from_entangled_in_a_long_cloud() -> None:
    generator = draw(5)
    # a nuisance of far larger variance, along which random directions point
    nuisance = 5 * generator.standard_normal((N, 1)) * np.linalg.qr(draw(1).standard_normal((D, D)))[0][2]
    apart, close = (measure(planted(angle)[0] + nuisance, planted(angle)[1])[0].iloc[0] for angle in (90.0, 20.0))
    assert apart["null_median_deg"] < 30
    assert apart["p_value"] < 0.1
    assert close["p_value"] > 0.2
    assert apart["effect_deg"] == pytest.approx(apart["mean_deg"] - apart["null_median_deg"])
    assert measure(*planted(20.0))[0]["p_value"].item() > 0.5


def test_p_values_of_random_subspaces_are_uniform() -> None:
    generator = draw(6)
    cloud = Cloud.of(generator.standard_normal((N, D)) / np.arange(1, D + 1))
    for dimension in (1, 2):
        p = []
        for _ in range(60):
            drawn = {name: line(*cloud.random(1, dimension, generator)[0].T) for name in "ab"}
            p.append(angles(drawn, cloud, 100, generator)["p_value"].item())
        assert np.max(np.abs(np.sort(p) - (np.arange(60) + 0.5) / 60)) < 0.21  # Kolmogorov's 1 % bound


def test_principal_angles_of_planes_by_hand() -> None:
    cloud = Cloud(np.eye(D), np.ones(D))
    found = angles({"a": line(*np.eye(D)[:2]), "b": line(*np.eye(D)[1:3])}, cloud, 10, draw(7)).iloc[0]
    np.testing.assert_allclose(found["angles_deg"], [90, 0], atol=1e-6)
    assert found["mean_deg"] == pytest.approx(45)
    assert found["min_deg"] == pytest.approx(0, abs=1e-6)
    assert found["cosine"] == pytest.approx(0, abs=1e-9)


def test_the_null_follows_the_covariance_and_the_dimensions() -> None:
    pair = {"a": line(np.eye(D)[0]), "b": line(np.eye(D)[1])}
    wide = angles(pair, Cloud(np.eye(D), np.ones(D)), 200, draw(8)).iloc[0]
    narrow = angles(pair, Cloud(np.eye(D), np.array([1.0] + [1e-3] * (D - 1))), 200, draw(8)).iloc[0]
    # random directions are nearly orthogonal in a round cloud, and nearly the same in a long one
    assert wide["null_median_deg"] > 70
    assert wide["null_cosine"] == pytest.approx(0.2, abs=0.05)
    assert narrow["null_median_deg"] < 20
    assert narrow["p_value"] < 0.05
    planes = {"a": line(*np.eye(D)[:2]), "b": line(*np.eye(D)[2:4])}
    assert (
        angles(planes, Cloud(np.eye(D), np.ones(D)), 200, draw(8)).iloc[0]["null_median_deg"]
        < wide["null_median_deg"] - 5
    )


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.02, 0.01, 0.5, 0.03])), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])


def test_ranks_are_those_among_the_training_clips() -> None:
    train = np.array([True, True, True, True, False, False, False])
    values = np.array([1.0, 2.0, 2.0, np.nan, 0.0, 9.0, 2.0])
    np.testing.assert_allclose(ranks(values, train), [-2 / 3, 1 / 3, 1 / 3, np.nan, -1, 1, 1 / 3])
    np.testing.assert_allclose(ranks(np.exp(values), train), ranks(values, train))


def test_polynomials_are_orthonormal_and_a_factor_of_few_values_has_few() -> None:
    for values, n in ((draw(9).uniform(size=N), 3), (ALONE % 3, 2), (ALONE % 2, 1)):
        polynomials = curve(ranks(np.asarray(values, float), ~HELD_OUT))
        np.testing.assert_allclose(polynomials.T @ polynomials / N, np.eye(n), atol=1e-9)
        np.testing.assert_allclose(polynomials.mean(axis=0), 0, atol=1e-9)
        assert np.corrcoef(polynomials[:, 0], values)[0, 1] > 0.99


def test_a_curved_factor_spans_a_plane_and_an_uneven_line_is_a_line() -> None:
    generator = draw(10)
    factor = generator.uniform(-1, 1, N)
    noise = 0.1 * generator.standard_normal((N, D))
    arc = np.stack([np.sin(2 * factor), np.cos(2 * factor)], axis=1) @ axes(90.0) + noise
    found = found_in(arc, factor)
    assert found.basis.shape == (D, 2)
    outside = found.basis - axes(90.0).T @ (axes(90.0) @ found.basis)
    assert np.linalg.norm(outside, axis=0).max() < 0.05 * np.linalg.norm(found.basis, axis=0).min()
    uneven = found_in(np.outer(np.tanh(5 * factor), axes(90.0)[0]) + noise, factor)
    assert uneven.basis.shape == (D, 1)
    assert uneven.readable


def test_a_folded_factor_is_found_though_its_rank_is_not_readable() -> None:
    factor = draw(12).uniform(-1, 1, N)
    found = found_in(np.outer(np.abs(factor), axes(90.0)[1]) + 0.1 * draw(13).standard_normal((N, D)), factor)
    assert not found.readable
    assert found.basis.shape == (D, 1)
    assert abs(axes(90.0)[1] @ found.basis[:, 0]) > 0.99 * np.linalg.norm(found.basis)
    assert found.self_deg < 5
    # the mixture that is read is all of the fold, the rank has no part in it
    assert np.linalg.norm(found.covariance) == pytest.approx(np.abs(factor).std(), rel=0.1)


def test_absent_factors_are_called_unreadable() -> None:
    features = draw(14).standard_normal((N, D))
    absent = [found_in(features, draw(15 + i).uniform(size=N)) for i in range(20)]
    assert sum(found.readable for found in absent) <= 1
    assert all(np.array_equal(found.basis, found.main) for found in absent if not found.readable)
    assert np.median([found.self_deg for found in absent]) > 45


def test_few_absent_factors_pass_the_shuffles() -> None:
    features = draw(30).standard_normal((60, 1))
    train = np.ones(60, bool)
    passed = 0
    for i in range(150):
        values = draw(1000 + i).uniform(size=60)
        found = subspace(features, ranks(values, train), np.arange(60), ALPHAS, draw(5000 + i))
        passed += not np.array_equal(found.basis, found.main)
    # one in 21 by the largest of 20 shuffles; three times as many, were a mixture compared with single polynomials
    assert passed / 150 < 0.1


def test_halves_keep_groups_together() -> None:
    generator = draw(16)
    features, factor = (
        np.repeat(x, 10, axis=0) for x in (generator.standard_normal((200, D)), generator.uniform(size=200))
    )
    together, apart = (found_in(features, factor, groups).self_deg for groups in (ALONE // 10, ALONE))
    # an absent factor's direction is noise, which copies in both halves would share
    assert together > 45
    assert apart < 30


def test_angles_are_in_the_features_own_geometry() -> None:
    features, factors = planted(60.0)
    rotation, _ = np.linalg.qr(draw(17).standard_normal((D, D)))
    plain, turned, larger = (measure(x, factors)[0] for x in (features, features @ rotation, 1000 * features))
    assert turned["mean_deg"].item() == pytest.approx(plain["mean_deg"].item(), abs=1e-6)
    assert larger["mean_deg"].item() == pytest.approx(plain["mean_deg"].item(), abs=1e-6)
    # stretched along the bisector: tan of the half angle shrinks as much
    bisector = axes(60.0).sum(axis=0) / np.linalg.norm(axes(60.0).sum(axis=0))
    stretched = features + np.outer(features @ bisector, bisector)
    expected = np.rad2deg(2 * np.arctan(np.tan(np.deg2rad(30)) / 2))
    assert measure(stretched, factors)[0]["mean_deg"].item() == pytest.approx(expected, abs=4)


def test_a_pattern_is_where_the_factor_lies_not_what_the_probe_weighs() -> None:
    """Loud noise along a slanted direction turns the probe's weights away from the factor's own direction."""
    generator = draw(18)
    factor, disturbance = generator.standard_normal((2, 20_000))
    features = 0.01 * generator.standard_normal((20_000, 3))
    features[:, 0] += factor + 5 * disturbance
    features[:, 1] += 5 * disturbance
    weights = ridge(features, factor[:, None], [0.01]).weights
    np.testing.assert_allclose(weights[:2, 0] / weights[0, 0], [1, -1], atol=0.05)
    pattern = patterns(features, weights)[:, 0]
    np.testing.assert_allclose(pattern / pattern[0], [1, 0, 0], atol=0.1)


def closed_form(angle_deg: float, noise: float, removed: int) -> Array:
    """R² of both factors by the best linear map after the direction of one is set to zero."""
    directions = axes(angle_deg)
    left = np.eye(D) - np.outer(directions[removed], directions[removed])
    moves = left @ directions.T
    covariance = moves @ moves.T / 3 + noise**2 * left
    explained: Array = np.diag(moves.T / 3 @ np.linalg.pinv(covariance, rcond=1e-9) @ moves / 3) * 3
    return explained


@pytest.mark.parametrize("angle_deg", [20.0, 60.0, 90.0])
def test_erasing_a_factor_leaves_what_is_orthogonal_to_it(angle_deg: float) -> None:
    noise = 0.3
    lost = measure(*planted(angle_deg, noise))[1].set_index(["erased", "by", "factor"])
    for removed, erased in enumerate("ab"):
        expected = closed_form(angle_deg, noise, removed)
        for factor, r2 in zip("ab", expected, strict=True):
            assert lost.loc[(erased, "projection", factor), "r2_after"] == pytest.approx(r2, abs=0.05)
            assert lost.loc[(erased, "whitened", factor), "r2_after"] <= 0.02 or factor != erased
    other = lost.loc[("a", "projection", "b")]
    if angle_deg == 90:
        assert other["r2_after"] == pytest.approx(other["r2_before"], abs=0.02)
        assert other["r2_random"] < other["r2_after"]
    if angle_deg == 20:
        assert other["r2_after"] < 0.4 < other["r2_before"]


def test_the_whitened_removal_leaves_nothing_linear_and_changes_least() -> None:
    features, factors = long_cloud(20.0)
    found = found_in(features, factors["a"])
    cloud = Cloud.of(features)
    left = {by: cloud.remove(features, found.covariance, by) for by in ("projection", "whitened")}
    target = curve(ranks(factors["a"], np.ones(N, bool)))
    rest = (left["whitened"] - left["whitened"].mean(axis=0)).T @ target / N
    assert np.abs(rest).max() < 0.05 * np.abs(found.covariance).max()
    change = {by: np.var(features - x, axis=0).sum() for by, x in left.items()}
    assert change["whitened"] < change["projection"]
    # of the same subspace both leave the same linear maps, those that are blind to it
    for name in "ab":
        values = factors[name][:, None]
        plain, least = (ridge(x, values, [1e-6]).predict(x) for x in left.values())
        np.testing.assert_allclose(plain, least, atol=1e-4)


def test_a_projection_leaves_nothing_along_the_subspace() -> None:
    features = draw(19).standard_normal((N, D))
    basis = draw(20).standard_normal((D, 2))
    left = Cloud.of(features).remove(features, basis, "projection")
    np.testing.assert_allclose(left @ basis, 0, atol=1e-10)
    orthogonal = np.linalg.qr(np.hstack([basis, np.eye(D)[:, :5]]))[0][:, 2:]
    np.testing.assert_allclose(left @ orthogonal, features @ orthogonal, atol=1e-10)


def test_random_subspaces_have_the_cloud_s_covariance() -> None:
    features = draw(21).standard_normal((N, 3)) @ np.array([[3.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    drawn = Cloud.of(features).random(20_000, 1, draw(22))[:, :, 0]
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(features.T), atol=0.2)


def test_held_out_clips_shape_no_subspace(monkeypatch: pytest.MonkeyPatch) -> None:
    features, factors = long_cloud(60.0)
    seen = []
    of = Cloud.of
    monkeypatch.setattr(Cloud, "of", lambda x: seen.append(x) or of(x))
    others, labels = features.copy(), {name: values.copy() for name, values in factors.items()}
    others[HELD_OUT] = 7 - 50 * others[HELD_OUT]
    labels["a"][HELD_OUT] *= -3
    pd.testing.assert_frame_equal(measure(features, factors)[0], measure(others, labels)[0])
    clouds = {x.tobytes() for x in seen}
    assert len(seen) == 4  # of both calls, angles and interventions
    assert len(clouds) == 1


def test_the_tables_cover_encoders_pairs_and_factors_with_a_meaning_in_some_clips() -> None:
    features, factors = planted(90.0)
    broken = features.copy()
    absent = draw(23).random(N) < 0.3
    broken[absent] = 3 * draw(24).standard_normal((absent.sum(), D))
    factors = {"a": np.where(absent, np.nan, factors["a"]), "b": np.where(absent, np.nan, factors["b"])}
    factors["c"] = draw(25).uniform(size=N)
    known = Known(factors, {}, HELD_OUT, ALONE)
    pairs, losses = orthogonality(
        {"x": features, "y": broken}, Known(factors, {}, HELD_OUT, ALONE), ALPHAS, 50, draw(26)
    )
    assert [*zip(pairs["encoder"], pairs["first"], pairs["second"], strict=True)] == [
        (encoder, *pair) for encoder in "xy" for pair in ("ab", "ac", "bc")
    ]
    assert list(pairs["readable"]) == [True, False, False] * 2
    for _, own in pairs.groupby("encoder"):
        np.testing.assert_allclose(own["p_holm"], holm(own["p_value"].to_numpy()))
    assert list(losses.columns) == ["encoder", "erased", "by", "factor", "r2_before", "r2_after", "r2_random"]
    assert len(losses) == 2 * 3 * 2 * 3
    before = losses.groupby(["encoder", "factor"])["r2_before"].first()
    assert (before.loc[[("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")]] > 0.9).all()
    assert before["x", "c"] < 0.02
    again = orthogonality({"x": features, "y": broken}, known, ALPHAS, 50, draw(26))
    pd.testing.assert_frame_equal(losses, again[1])


def test_a_factor_that_does_not_vary_is_an_error() -> None:
    features, factors = planted(90.0)
    with pytest.raises(AudiopgError, match="latent: c is the same in all clips; widen its range in params.yaml"):
        measure(features, factors | {"c": np.ones(N)})


def test_the_projection_takes_out_the_pattern_and_the_whitened_removal_the_covariance() -> None:
    features = draw(29).standard_normal((N, 4)) * [1, 2, 3, 4]
    one = Subspace(np.eye(4)[:, 1:2], np.eye(4)[:, 1:2], np.eye(4)[:, :1], readable=True, self_deg=0.0)
    factors = {"first": features[:, 0], "second": features[:, 1]}
    lost = interventions(features, factors, HELD_OUT, {"a": one}, ALPHAS, draw(28)).set_index(["by", "factor"])
    left = lost["r2_after"] > 0.9
    assert left.to_dict() == {
        ("projection", "first"): True,
        ("projection", "second"): False,
        ("whitened", "first"): False,
        ("whitened", "second"): True,
    }


def test_removal_at_random_is_the_mean_over_subspaces_of_the_same_dimension() -> None:
    """In a round cloud a random direction takes 1 / D of a factor's one direction with it."""
    features = draw(27).standard_normal((N, 4))
    factor = {"a": features[:, 0]}
    a: dict[str, Any] = {"a": line(np.eye(4)[0])}
    lost = interventions(features, factor, HELD_OUT, a, ALPHAS, draw(28)).set_index("by")
    assert lost.loc["projection", "r2_after"] < 0.02
    assert lost.loc["projection", "r2_random"] == pytest.approx(0.75, abs=0.25)
