"""Angles and interventions on planted latent spaces with known answers."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import subspace_angles

from audiopg.analysis import claims, subspaces
from audiopg.analysis.claims import Verdict
from audiopg.analysis.orthogonality import Probes, Taken, kept, orthogonality
from audiopg.analysis.ridge import ridge
from audiopg.analysis.significance import holm
from audiopg.analysis.subspaces import (
    Cloud,
    Readable,
    angles,
    bases,
    corrected,
    curve,
    degrees,
    halved,
    orthonormal,
    overlap,
    ranks,
    readable,
    responses,
)
from audiopg.analysis.targets import Known, Target

Array = NDArray[np.float64]

N, D, K = 2000, 12, 4
ALPHAS = [0.001, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0]
HELD_OUT = np.arange(N) % 2 == 1
ALONE = np.arange(N)
ONES = np.ones(N)


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def axes(angle_deg: float, n: int = K) -> Array:
    """Directions that all stand at one angle to one another, shape (n, D)."""
    cosine = np.cos(np.deg2rad(angle_deg))
    gram = (1 - cosine) * np.eye(n) + cosine
    return np.asarray(np.linalg.cholesky(gram) @ np.linalg.qr(draw(1).standard_normal((D, D)))[0][:n])


def planted(angle_deg: float, noise: float = 0.1, n: int = K) -> tuple[Array, dict[str, Array]]:
    """Features in which independent factors move along directions at a known angle, and their noise."""
    generator = draw(2)
    values = generator.uniform(-1, 1, (N, n))
    features = values @ axes(angle_deg, n) + noise * generator.standard_normal((N, D))
    return features, dict(zip("abcd", values.T, strict=False))


def measure(features: Array, factors: dict[str, Array], n_null: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    return orthogonality({"e": features}, Known(factors, {}, HELD_OUT, ALONE), ALPHAS, n_null, draw(3))


def found_in(features: Array, values: Array) -> Readable:
    return readable(features, ranks(values, np.ones(N, bool)), ALONE, ALPHAS, draw(4))


def lines(**values: Array) -> dict[str, Readable]:
    """Factors whose rank is read, as one direction each."""
    return {
        name: Readable(curve(ranks(factor, np.ones(N, bool)))[:, :1], np.eye(1), rank_is_read=True)
        for name, factor in values.items()
    }


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("angle_deg", [20.0, 60.0, 90.0])
def test_a_planted_angle_is_found_within_its_interval(angle_deg: float, noise: float) -> None:
    pairs = measure(*planted(angle_deg, noise))[0]
    assert (pairs[["n_first", "n_second"]] == 1).all(axis=None)
    assert pairs["readable"].all()
    np.testing.assert_allclose(pairs["angle_deg"].mean(), angle_deg, atol=2 + 5 * noise)
    inside = (pairs["low_deg"] - 0.1 <= angle_deg) & (angle_deg <= pairs["high_deg"] + 0.1)
    assert inside.sum() >= 5
    assert (pairs["high_deg"] - pairs["low_deg"]).max() < 60 * noise + 6
    if noise == 0.1:
        assert pairs["cosine"].mean() == pytest.approx(np.cos(np.deg2rad(angle_deg)), abs=0.05)
        assert pairs["self_first_deg"].max() < 8


def test_the_error_of_the_estimates_does_not_widen_an_angle() -> None:
    features, factors = planted(20.0, noise=2.0)
    pairs = measure(features, factors)[0]
    plain_deg = pairs["angles_deg"].map(lambda found: found[0])
    assert plain_deg.mean() > 32
    assert pairs["angle_deg"].mean() == pytest.approx(20, abs=8)


def judged(angle_deg: float) -> list[claims.Finding]:
    """Verdicts on a planted space, beside one whose factors are entangled."""
    features, factors = planted(angle_deg)
    entangled = planted(20.0)[0]
    known = Known(factors, {}, HELD_OUT, ALONE)
    found = orthogonality({"pretrained": features, "random": entangled}, known, ALPHAS, 400, draw(5))
    return claims.orthogonal(*(table.assign(corpus="planted") for table in found))


def test_planted_orthogonal_and_entangled_factors_are_told_apart() -> None:
    """Six pairs, so that the correction for their number bites."""
    apart, slanted, entangled = (judged(angle) for angle in (90.0, 60.0, 20.0))
    assert [finding.verdict for finding in apart] == [Verdict.HOLDS] * 6
    assert [finding.random for finding in apart] == [Verdict.NOT] * 6
    assert Verdict.HOLDS not in {finding.verdict for finding in slanted}
    assert [finding.verdict for finding in entangled] == [Verdict.NOT] * 6


def test_factors_that_correlate_by_chance_are_not_found_closer() -> None:
    """In 40 clips, where the correlation is 0.5, patterns of each factor alone would lie 62° apart."""
    generator = draw(6)
    first, other = np.linalg.qr(np.hstack([np.ones((40, 1)), generator.standard_normal((40, 2))]))[0][:, 1:].T
    second = 0.5 * first + np.sqrt(0.75) * other
    factors = {
        name: Readable(values[:, None] * np.sqrt(40), np.eye(1), rank_is_read=True)
        for name, values in (("a", first), ("b", second))
    }
    features = np.stack([first, second], axis=1) @ axes(90.0, 2)
    found = bases(features, factors, np.ones(40))
    assert np.rad2deg(subspace_angles(found["a"], found["b"])[0]) == pytest.approx(90, abs=1e-6)
    alone = [bases(features, {name: factor}, np.ones(40))[name] for name, factor in factors.items()]
    assert np.rad2deg(subspace_angles(*alone)[0]) < 40


def test_p_values_of_random_subspaces_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subspaces, "N_RESAMPLES", 20)
    generator = draw(7)
    spectrum = 1 / np.arange(1, D + 1)
    p, together = [], []
    for _ in range(60):
        values = generator.uniform(-1, 1, (3, N))
        towards = generator.standard_normal((3, D)) * spectrum
        features = generator.standard_normal((N, D)) * spectrum + 0.3 * values.T @ towards
        found = angles(features, lines(**dict(zip("abc", values, strict=True))), HELD_OUT, ALONE, 100, generator)
        p.append(found["p_value"].iloc[0])
        together.append(found["p_together"].iloc[0])
    for values in (p, together):
        assert np.max(np.abs(np.sort(values) - (np.arange(60) + 0.5) / 60)) < 0.21  # Kolmogorov's 1 % bound


def test_all_pairs_together_tell_more_than_one() -> None:
    pairs = measure(*planted(90.0), n_null=999)[0]
    assert pairs["p_together"].nunique() == 1
    assert pairs["p_together"].iloc[0] < 0.005
    assert pairs["p_value"].min() > 2 * pairs["p_together"].iloc[0]
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p_value"].to_numpy()))
    np.testing.assert_allclose(pairs["effect_deg"], pairs["angle_deg"] - pairs["null_median_deg"])


def test_overlaps_by_hand() -> None:
    plane, other = np.eye(D)[:, :2], np.eye(D)[:, 1:3]
    assert overlap(plane, other, plane, other) == pytest.approx(0.5)
    assert overlap(plane, other[:, :1], plane, other[:, :1]) == pytest.approx(1)
    slanted = np.array([[np.cos(0.3), np.sin(0.3)]]).T
    line = np.eye(2)[:, :1]
    assert degrees(overlap(line, slanted, line, slanted)) == pytest.approx(np.rad2deg(0.3))
    # estimates that err to either side of a right angle
    left, right = (np.array([[np.sin(error), np.cos(error)]]).T for error in (0.2, -0.2))
    assert degrees(overlap(line, left, line, right)) == 90
    found = corrected({"a": line, "b": slanted}, {"a": slanted, "b": line})
    assert found[0] == pytest.approx(1)  # no estimate is nearer to itself than to the other
    assert corrected({"a": line, "b": slanted}, {"a": line, "b": slanted})[0] == pytest.approx(np.cos(0.3) ** 2)


def test_the_nearest_orthonormal_basis_does_not_turn() -> None:
    basis = draw(8).standard_normal((D, 3))
    near = orthonormal(basis)
    np.testing.assert_allclose(near.T @ near, np.eye(3), atol=1e-12)
    assert np.rad2deg(subspace_angles(near, basis)).max() < 1e-5
    np.testing.assert_allclose(orthonormal(basis * 7), near, atol=1e-12)
    symmetric = near.T @ basis  # the polar factor
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-12)


def test_the_null_follows_the_covariance_and_the_dimensions() -> None:
    values = draw(9).uniform(-1, 1, (2, N))
    noise = draw(10).standard_normal((N, D))
    factors = lines(a=values[0], b=values[1])
    wide, narrow = (
        angles(values.T @ axes(90.0, 2) + noise * spread, factors, HELD_OUT, ALONE, 400, draw(11)).iloc[0]
        for spread in (np.ones(D), np.array([30.0] + [0.1] * (D - 1)))
    )
    # random directions are nearly orthogonal in a round cloud, and nearly the same in a long one
    assert wide["null_median_deg"] > 70
    assert wide["null_cosine"] == pytest.approx(0.2, abs=0.05)
    assert narrow["null_median_deg"] < 20


def test_random_subspaces_have_the_cloud_s_covariance() -> None:
    mixing = np.array([[3.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    features = draw(21).standard_normal((N, 3)) @ mixing
    drawn = Cloud.of(features).random(20_000, 1, draw(22))[:, :, 0]
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-9)
    others = draw(23).standard_normal((20_000, 3)) @ mixing
    others /= np.linalg.norm(others, axis=1)[:, None]
    np.testing.assert_allclose(drawn.T @ drawn / 20_000, others.T @ others / 20_000, atol=0.02)
    planes = Cloud.of(features).random(50, 2, draw(24))
    np.testing.assert_allclose(planes.swapaxes(1, 2) @ planes, np.tile(np.eye(2), (50, 1, 1)), atol=1e-9)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.02, 0.01, 0.5, 0.03])), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])


def test_ranks_are_those_among_the_training_clips() -> None:
    train = np.array([True, True, True, False, False, False])
    values = np.array([1.0, 2.0, 2.0, 0.0, 9.0, 2.0])
    np.testing.assert_allclose(ranks(values, train), [-2 / 3, 1 / 3, 1 / 3, -1, 1, 1 / 3])
    np.testing.assert_allclose(ranks(np.exp(values), train), ranks(values, train))


def test_polynomials_are_orthonormal_and_a_factor_of_few_values_has_few() -> None:
    for values, n in ((draw(9).uniform(size=N), 3), (ALONE % 3, 2), (ALONE % 2, 1)):
        polynomials = curve(ranks(np.asarray(values, float), ~HELD_OUT))
        np.testing.assert_allclose(polynomials.T @ polynomials / N, np.eye(n), atol=1e-9)
        np.testing.assert_allclose(polynomials.mean(axis=0), 0, atol=1e-9)
        assert np.corrcoef(polynomials[:, 0], values)[0, 1] > 0.99


def test_a_curved_factor_spans_a_plane_and_an_uneven_line_is_a_line() -> None:
    factor = draw(10).uniform(-1, 1, N)
    noise = 0.1 * draw(25).standard_normal((N, D))
    arc = np.stack([np.sin(2 * factor), np.cos(2 * factor)], axis=1) @ axes(90.0, 2) + noise
    found = found_in(arc, factor)
    basis = bases(arc, {"a": found}, ONES)["a"]
    assert basis.shape == (D, 2)
    assert np.rad2deg(subspace_angles(basis, axes(90.0, 2).T)).max() < 4
    uneven = np.outer(np.tanh(5 * factor), axes(90.0)[0]) + noise
    found = found_in(uneven, factor)
    assert bases(uneven, {"a": found}, ONES)["a"].shape == (D, 1)
    assert found.rank_is_read


def test_a_folded_factor_is_found_though_its_rank_is_not_readable() -> None:
    factor = draw(12).uniform(-1, 1, N)
    features = np.outer(np.abs(factor), axes(90.0)[1]) + 0.1 * draw(13).standard_normal((N, D))
    found = found_in(features, factor)
    basis = bases(features, {"a": found}, ONES)["a"]
    assert not found.rank_is_read
    assert basis.shape == (D, 1)
    assert abs(axes(90.0)[1] @ basis[:, 0]) > 0.99


def test_absent_factors_are_called_unreadable() -> None:
    features = draw(14).standard_normal((N, D))
    absent = [found_in(features, draw(15 + i).uniform(size=N)) for i in range(20)]
    assert sum(found.rank_is_read for found in absent) <= 1
    assert all(np.array_equal(found.mixture, np.eye(3)[:, :1]) for found in absent if not found.rank_is_read)


def test_few_absent_factors_pass_the_shuffles() -> None:
    features = draw(30).standard_normal((60, 1))
    train = np.ones(60, bool)
    passed = 0
    for i in range(150):
        rank = ranks(draw(1000 + i).uniform(size=60), train)
        found = readable(features, rank, np.arange(60), ALPHAS, draw(5000 + i))
        passed += not np.array_equal(found.mixture, np.eye(3)[:, :1])
    # one in 21 by the largest of 20 shuffles; three times as many, were a mixture compared with single polynomials
    assert passed / 150 < 0.1


def test_what_a_group_shares_is_not_read_from_its_other_clips() -> None:
    """A factor that is constant in each group is known in a group's other clips, and in no other group."""
    generator = draw(16)
    group = ALONE // 10
    features = np.repeat(generator.standard_normal((N // 10, 30)), 10, axis=0)
    features += 0.01 * generator.standard_normal((N, 30))
    rank = ranks(np.repeat(generator.uniform(size=N // 10), 10), np.ones(N, bool))
    assert readable(features, rank, ALONE, ALPHAS, draw(4)).rank_is_read
    assert not readable(features, rank, group, ALPHAS, draw(4)).rank_is_read
    half = halved(group, generator)
    assert 0.4 < half.mean() < 0.6
    assert (half.reshape(-1, 10) == half[::10, None]).all()


def test_angles_are_in_the_features_own_geometry() -> None:
    features, factors = planted(60.0, n=2)
    rotation, _ = np.linalg.qr(draw(17).standard_normal((D, D)))
    plain, turned, larger = (measure(x, factors)[0] for x in (features, features @ rotation, 1000 * features))
    assert turned["angle_deg"].item() == pytest.approx(plain["angle_deg"].item(), abs=1e-6)
    assert larger["angle_deg"].item() == pytest.approx(plain["angle_deg"].item(), abs=1e-6)
    # stretched along the bisector: tan of the half angle shrinks as much
    bisector = axes(60.0, 2).sum(axis=0) / np.linalg.norm(axes(60.0, 2).sum(axis=0))
    stretched = features + np.outer(features @ bisector, bisector)
    expected = np.rad2deg(2 * np.arctan(np.tan(np.deg2rad(30)) / 2))
    assert measure(stretched, factors)[0]["angle_deg"].item() == pytest.approx(expected, abs=4)


def test_a_factor_lies_where_it_moves_the_features_not_where_a_probe_weighs_them() -> None:
    """Loud noise along a slanted direction turns the probe's weights away from the factor's own direction."""
    generator = draw(18)
    factor, disturbance = generator.standard_normal((2, 20_000))
    features = 0.01 * generator.standard_normal((20_000, 3))
    features[:, 0] += factor + 5 * disturbance
    features[:, 1] += 5 * disturbance
    weights = ridge(features, factor[:, None], [0.01], np.arange(20_000)).weights
    np.testing.assert_allclose(weights[:2, 0] / weights[0, 0], [1, -1], atol=0.05)
    alone = {"a": Readable(factor[:, None], np.eye(1), rank_is_read=True)}
    moved = responses(features, alone, np.ones(20_000))["a"][0]
    np.testing.assert_allclose(moved / moved[0], [1, 0, 0], atol=0.1)


def test_responses_are_those_of_the_clips_that_count() -> None:
    features, factors = planted(60.0, noise=0.0)
    curves = lines(**factors)
    counts = draw(19).integers(0, 3, N).astype(float)
    others = np.where(counts[:, None] > 0, features, 99)
    repeated = np.repeat(ALONE, counts.astype(int))
    found = responses(others, curves, counts)
    alone = {name: Readable(each.curve[repeated], each.mixture, rank_is_read=True) for name, each in curves.items()}
    again = responses(features[repeated], alone, np.ones(len(repeated)))
    for name, each in found.items():
        np.testing.assert_allclose(each, again[name], atol=1e-9)


def read_within(angle_deg: float, noise: float) -> tuple[float, float]:
    """R² of a factor from the coordinate in its own direction, before and after that of another is set to zero."""
    variance, cosine = 1 / 3, np.cos(np.deg2rad(angle_deg))
    slope = variance / (variance * (1 + cosine**2) + noise**2)
    before = (1 - slope) ** 2 + slope**2 * (cosine**2 + noise**2 / variance)
    sine2 = 1 - cosine**2
    after = (1 - slope * sine2) ** 2 + slope**2 * sine2 * noise**2 / variance
    return 1 - before, 1 - after


def read_anew(angle_deg: float, noise: float) -> float:
    """R² of a factor by the best linear map after the direction of another is set to zero."""
    directions = axes(angle_deg, 2)
    left = np.eye(D) - np.outer(directions[0], directions[0])
    moves = left @ directions[1]
    covariance = np.outer(moves, moves) / 3 + noise**2 * left
    explained: float = moves @ np.linalg.pinv(covariance, rcond=1e-9) @ moves / 3
    return explained


@pytest.mark.parametrize("angle_deg", [20.0, 60.0, 90.0])
def test_what_is_left_of_a_factor_without_another_has_a_closed_form(angle_deg: float) -> None:
    noise = 0.3
    lost = measure(*planted(angle_deg, noise, n=2))[1].set_index(["probe", "erased", "factor"])
    for erased, other in ("ab", "ba"):
        within, anew = lost.loc[("within", erased, other)], lost.loc[("anew", erased, other)]
        before, after = read_within(angle_deg, noise)
        assert within["r2_before"] == pytest.approx(before, abs=0.04)
        assert within["r2_after"] == pytest.approx(after, abs=0.05)
        assert within["kept"] == pytest.approx(within["r2_after"] / within["r2_before"], abs=1e-9)
        assert within["kept_low"] < within["kept"] < within["kept_high"]
        assert anew["r2_after"] == pytest.approx(read_anew(angle_deg, noise), abs=0.05)
        for probe in ("within", "anew"):
            assert abs(lost.loc[(probe, erased, erased), "r2_after"]) < 0.02
    # a probe that may look elsewhere finds most of a factor that a slanted subspace has lost
    if angle_deg == 20:
        assert lost.loc[("within", "a", "b"), "kept"] < 0.4


def test_a_factor_stays_where_the_subspace_that_is_taken_out_is_not_its_own() -> None:
    features, factors = planted(90.0, n=2)
    targets = [Target(name, ranks(values, ~HELD_OUT)[:, None]) for name, values in factors.items()]
    train = ~HELD_OUT
    spans = {"a": axes(90.0, 2)[:1].T, "b": axes(90.0, 2)[1:].T}
    frozen = {
        target.factor: ridge(features[train] @ spans[target.factor], target.values[train], ALPHAS, ALONE[train])
        for target in targets
    }
    probes = Probes(
        features,
        np.zeros(D),
        targets,
        HELD_OUT,
        ALPHAS,
        ALONE,
        dict.fromkeys(("first", "second"), spans),
        dict.fromkeys(("first", "second"), frozen),
    )

    def r2(taken: Taken | None) -> list[float]:
        parts = probes.within(taken)
        return [float(target.score(parts[target.factor].sum(axis=0))) for target in targets]

    a, elsewhere = spans["a"], axes(90.0, 4)[2:3].T
    assert r2(None) == pytest.approx([0.97, 0.97], abs=0.02)
    assert r2(Taken(a, a, elsewhere)) == pytest.approx([0, 0.97], abs=0.02)
    assert r2(Taken(elsewhere, elsewhere, a)) == pytest.approx([0.97, 0.97], abs=0.02)
    # the probes of one half lose what the other half shows
    assert r2(Taken(a, elsewhere, a))[0] == pytest.approx(0.485, abs=0.02)


def test_removal_at_random_is_the_mean_over_subspaces_of_the_same_dimension() -> None:
    """In a round cloud a random direction takes 1 / D of a factor's one direction with it."""
    generator = draw(27)
    values = generator.standard_normal((2, N))
    features = np.hstack([values.T, generator.standard_normal((N, 2))])
    lost = measure(features, {"a": values[0], "b": values[1]})[1].set_index(["probe", "erased", "factor"])
    assert lost.loc[("anew", "a", "a"), "r2_after"] < 0.02
    assert lost.loc[("anew", "a", "a"), "r2_random"] == pytest.approx(0.72, abs=0.25)
    assert lost.loc[("anew", "a", "b"), "r2_random"] == lost.loc[("anew", "b", "b"), "r2_random"]


def test_nothing_stays_of_nothing() -> None:
    found = kept(np.array([0.4, -0.1, 0.2, 0.2]), np.array([0.8, 0.8, -0.1, 0.0]))
    np.testing.assert_allclose(found, [0.5, 0, 0, 0])


def test_held_out_clips_shape_no_subspace() -> None:
    features, factors = planted(60.0)
    others, labels = features.copy(), {name: values.copy() for name, values in factors.items()}
    others[HELD_OUT] = 7 - 50 * others[HELD_OUT]
    labels["a"][HELD_OUT] *= -3
    pd.testing.assert_frame_equal(measure(features, factors)[0], measure(others, labels)[0])


def test_the_tables_cover_encoders_pairs_and_factors_and_repeat() -> None:
    features, factors = planted(90.0, n=2)
    factors["c"] = draw(25).uniform(size=N)
    known = Known(factors, {}, HELD_OUT, ALONE)
    pairs, losses = orthogonality({"x": features, "y": features[:, ::-1]}, known, ALPHAS, 50, draw(26))
    assert [*zip(pairs["encoder"], pairs["first"], pairs["second"], strict=True)] == [
        (encoder, *pair) for encoder in "xy" for pair in ("ab", "ac", "bc")
    ]
    assert list(pairs["readable"]) == [True, False, False] * 2
    assert len(losses) == 2 * 2 * 3 * 3
    before = losses.set_index(["encoder", "probe", "factor"])["r2_before"].groupby(level=[0, 1, 2]).first()
    assert (before.loc[[("x", "anew", "a"), ("y", "anew", "b")]] > 0.9).all()
    assert before["x", "anew", "c"] < 0.02
    again = orthogonality({"x": features, "y": features[:, ::-1]}, known, ALPHAS, 50, draw(26))
    pd.testing.assert_frame_equal(pairs, again[0])
    pd.testing.assert_frame_equal(losses, again[1])
