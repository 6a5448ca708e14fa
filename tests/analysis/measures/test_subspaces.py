"""Angles and interventions on planted latent spaces with known answers."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.linalg import subspace_angles

from audiopg.analysis import claims
from audiopg.analysis.claims import Verdict
from audiopg.analysis.corpora.targets import FactorTable, Resamples
from audiopg.analysis.measures import orthogonality as orthogonality_module
from audiopg.analysis.measures import subspaces
from audiopg.analysis.measures.orthogonality import (
    agreement,
    agreement_parts,
    interventions,
    kept,
    orthogonality,
    read_without,
)
from audiopg.analysis.measures.significance import holm
from audiopg.analysis.measures.subspaces import (
    EmbeddingCovariance,
    Readable,
    angles,
    curve,
    degrees,
    halved,
    ranks,
    readable,
    responses,
    spans,
    squared_cosines,
)
from audiopg.evaluate.ridge import ridge

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


ROUND = EmbeddingCovariance(np.eye(D), np.ones(D))


def measure(features: Array, factors: dict[str, Array], n_null: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = FactorTable(factors, {}, HELD_OUT, ALONE)
    return orthogonality({"e": features}, {"e": ROUND}, known, ALPHAS, n_null, draw(3))


def bases(features: Array, factors: dict[str, Readable], counts: Array) -> dict[str, Array]:
    return spans(responses(features, factors, counts), factors)


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
    plain_deg = pairs["principal_deg"].map(lambda found: found[0])
    assert plain_deg.mean() > 32
    assert pairs["angle_deg"].mean() == pytest.approx(20, abs=8)


def judged(angle_deg: float) -> list[claims.Finding]:
    """Verdicts on a planted space, beside one whose factors are entangled."""
    features, factors = planted(angle_deg)
    entangled = planted(20.0)[0]
    known = FactorTable(factors, {}, HELD_OUT, ALONE)
    spaces, covariances = {"pretrained": features, "random": entangled}, {"pretrained": ROUND, "random": ROUND}
    found = orthogonality(spaces, covariances, known, ALPHAS, 400, draw(5))
    return claims.orthogonal(*(table.assign(corpus="planted") for table in found))


def test_planted_orthogonal_and_entangled_factors_are_told_apart() -> None:
    """Six pairs, so that the correction for their number bites."""
    apart, slanted, entangled = (judged(angle) for angle in (90.0, 60.0, 20.0))
    assert [finding.verdict for finding in apart] == [Verdict.HOLDS] * 6
    assert [finding.random for finding in apart] == [Verdict.NOT] * 6
    assert Verdict.HOLDS not in {finding.verdict for finding in slanted}
    assert [finding.verdict for finding in entangled] == [Verdict.NOT] * 6


def test_factors_that_correlate_by_chance_are_not_found_closer() -> None:
    """In 40 clips, where the correlation is 0.5, patterns of each factor alone would lie 37° apart."""
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
        others = generator.standard_normal((N, D)) * spectrum
        factors = lines(**dict(zip("abc", values, strict=True)))
        # factors far louder than all else, which they are in a corpus that varies nothing else
        found = angles(
            others + 3 * values.T @ towards, factors, HELD_OUT, ALONE, EmbeddingCovariance.of(others), 100, generator
        )
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
    np.testing.assert_allclose(pairs["effect_deg"], pairs["angle_deg"] - pairs["null_deg"])


def test_squared_cosines_by_hand() -> None:
    def at(degree: float) -> Array:
        """Main direction at an angle in a plane, and one that does not matter."""
        angle = np.deg2rad(degree)
        return np.array([[7 * np.cos(angle), 7 * np.sin(angle)], [0, 1]])

    exact = {"a": at(0), "b": at(30), "c": at(120)}
    found = squared_cosines(exact, exact)
    np.testing.assert_allclose(found, np.cos(np.deg2rad([30, 120, 90])) ** 2, atol=1e-12)
    np.testing.assert_allclose(degrees(found), [30, 60, 90], atol=1e-6)
    # estimates that err to either side of a right angle: the mean is one
    assert degrees(squared_cosines({"a": at(0), "b": at(80)}, {"a": at(0), "b": at(100)})) == 90
    # each direction is 40° off between the halves, in one sense: the angle of 50° stays
    shifted = squared_cosines({"a": at(0), "b": at(50)}, {"a": at(40), "b": at(90)})
    assert shifted[0] == pytest.approx(min(1, (np.cos(np.deg2rad(50)) / np.cos(np.deg2rad(40))) ** 2))


def test_the_interval_of_an_angle_covers_it_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subspaces, "N_RESAMPLES", 100)
    generator = draw(31)
    n, half, found = 300, np.arange(300) % 2 == 0, []
    for _ in range(80):
        values = generator.uniform(-1, 1, (2, n))
        features = values.T @ axes(60.0, 2) + 0.7 * generator.standard_normal((n, D))
        factors = {
            name: Readable(curve(ranks(each, np.ones(n, bool)))[:, :1], np.eye(1), rank_is_read=True)
            for name, each in zip("ab", values, strict=True)
        }
        found.append(angles(features, factors, half, np.arange(n), ROUND, 10, generator).iloc[0])
    low, high, angle = (np.array([each[name] for each in found]) for name in ("low_deg", "high_deg", "angle_deg"))
    assert 0.87 < np.mean((low < 60) & (high > 60)) <= 1
    assert np.median(high - low) == pytest.approx(2 * 1.96 * np.std(angle), rel=0.3)
    assert np.mean(angle) == pytest.approx(60, abs=2)


def test_copies_in_a_group_do_not_narrow_the_interval_of_an_angle() -> None:
    values = draw(32).uniform(-1, 1, (2, 200)).repeat(9, axis=1)
    features = np.repeat(draw(33).standard_normal((200, D)), 9, axis=0) * 0.7 + values.T @ axes(60.0, 2)
    factors = {
        name: Readable(curve(ranks(each, np.ones(1800, bool)))[:, :1], np.eye(1), rank_is_read=True)
        for name, each in zip("ab", values, strict=True)
    }
    group = np.arange(1800) // 9
    half = group % 2 == 0
    widths = [
        np.ptp(angles(features, factors, half, groups, ROUND, 10, draw(34))[["low_deg", "high_deg"]].to_numpy())
        for groups in (group, np.arange(1800))
    ]
    assert widths[0] > 2 * widths[1]


def test_the_angle_is_that_of_the_main_directions_and_principal_angles_are_those_of_the_subspaces() -> None:
    """The first factor bends, its second axis along the other factor: the planes meet, the main directions do not."""
    factor, other = draw(35).uniform(-1, 1, (2, N))
    space = axes(90.0, 2)
    features = np.outer(factor, space[0]) + np.outer(factor**2 - 1 / 3 + other, space[1])
    pair = measure(features + 0.05 * draw(36).standard_normal((N, D)), {"a": factor, "b": other})[0].iloc[0]
    assert (pair["n_first"], pair["n_second"]) == (2, 1)
    assert pair["angle_deg"] > 87
    assert pair["principal_deg"][-1] < 5
    assert pair["principal_mean_deg"] == pytest.approx(np.mean(pair["principal_deg"]))
    assert pair["principal_p_value"] > 0.9


def test_the_null_follows_the_cloud_and_the_dimensions() -> None:
    features, factors = planted(90.0, n=2)
    narrow = EmbeddingCovariance(np.eye(D), np.array([900.0] + [0.01] * (D - 1)))
    known = FactorTable(factors, {}, HELD_OUT, ALONE)
    wide, long = (
        orthogonality({"e": features}, {"e": covariance}, known, ALPHAS, 400, draw(11))[0].iloc[0]
        for covariance in (ROUND, narrow)
    )
    # random directions are nearly orthogonal in a round covariance, and nearly the same in a long one
    assert wide["null_deg"] == pytest.approx(np.rad2deg(np.arccos(0.2)), abs=3)
    assert wide["principal_null_deg"] == pytest.approx(wide["null_deg"], abs=3)
    assert long["null_deg"] < 10
    assert long["p_value"] < 0.05
    assert wide["angle_deg"] == long["angle_deg"]


def test_random_subspaces_have_the_cloud_s_covariance() -> None:
    mixing = np.array([[3.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    features = draw(21).standard_normal((N, 3)) @ mixing
    drawn = EmbeddingCovariance.of(features).random(20_000, 1, draw(22))[:, :, 0]
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-9)
    others = draw(23).standard_normal((20_000, 3)) @ mixing
    others /= np.linalg.norm(others, axis=1)[:, None]
    np.testing.assert_allclose(drawn.T @ drawn / 20_000, others.T @ others / 20_000, atol=0.02)
    planes = EmbeddingCovariance.of(features).random(50, 2, draw(24))
    np.testing.assert_allclose(planes.swapaxes(1, 2) @ planes, np.tile(np.eye(2), (50, 1, 1)), atol=1e-9)


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
    others = 3 + np.where(counts[:, None] > 0, features, 99)
    repeated = np.repeat(ALONE, counts.astype(int))
    found = responses(others, curves, counts)
    alone = {name: Readable(each.curve[repeated], each.mixture, rank_is_read=True) for name, each in curves.items()}
    again = responses(features[repeated], alone, np.ones(len(repeated)))
    for name, each in found.items():
        np.testing.assert_allclose(each, again[name], atol=1e-9)


def read_frozen(angle_deg: float, noise: float, *, own: bool) -> tuple[float, float]:
    """Squared correlation of the best linear map with a factor, before and after a factor's direction is set to 0."""
    directions = axes(angle_deg, 2)
    covariance = directions.T @ directions / 3 + noise**2 * np.eye(D)
    taken, moved = directions[1 if own else 0], directions[1] / 3
    weights = np.linalg.solve(covariance, moved)
    left = weights - taken * (taken @ weights)
    if np.linalg.norm(left) < 1e-9 * np.linalg.norm(weights):  # what is left is rounding, and reads nothing
        left = np.zeros_like(left)
    before, after = (float(3 * (w @ moved) ** 2 / max(w @ covariance @ w, 1e-300)) for w in (weights, left))
    return before, after


@pytest.mark.parametrize("angle_deg", [10.0, 20.0, 60.0, 90.0])
def test_what_is_left_of_a_factor_without_another_has_a_closed_form(angle_deg: float) -> None:
    noise = 0.3
    lost = measure(*planted(angle_deg, noise, n=2))[1].set_index(["erased", "factor"])
    for erased, factor in ("ab", "ba", "aa", "bb"):
        row = lost.loc[(erased, factor)]
        before, after = read_frozen(angle_deg, noise, own=erased == factor)
        assert row["r2_before"] == pytest.approx(before, abs=0.04)
        assert row["r2_after"] == pytest.approx(after, abs=0.05)
        assert row["kept"] == pytest.approx(max(row["r2_after"], 0) / row["r2_before"])
        assert row["kept_low"] - 1e-4 <= row["kept"] <= row["kept_high"] + 1e-4
        assert row["kept_random"] == pytest.approx(row["r2_random"] / row["r2_before"])
    # the probe of an entangled factor needs the direction of the other
    if angle_deg == 10:
        assert lost.loc[("a", "b"), "kept_high"] < 0.5


def test_the_share_that_stays_has_the_interval_of_paired_resamples() -> None:
    features, factors = planted(20.0, 0.3, n=2)
    scored = {name: values[HELD_OUT] for name, values in factors.items()}
    probes = [ridge(features, np.stack(list(factors.values()), axis=1), ALPHAS, ALONE)]
    shown = [{name: line[:, None] for name, line in zip("ab", axes(20.0, 2), strict=True)}]
    resamples = Resamples(ALONE, HELD_OUT, draw(40))
    arguments = (features[HELD_OUT], scored, probes, shown, ROUND, resamples, draw(41))
    lost = interventions(*arguments).set_index(["erased", "factor"]).loc[("a", "b")]
    before, after = (read_without([basis], probes, features[HELD_OUT], scored)["b"] for basis in (None, shown[0]["a"]))
    ratios = [
        agreement(after[clips].sum(axis=0)) / agreement(before[clips].sum(axis=0))
        for clips in (np.repeat(np.arange(N // 2), counts) for counts in resamples.counts)
    ]
    assert lost[["kept_low", "kept_high"]].tolist() == pytest.approx(np.quantile(ratios, [0.025, 0.975]))


def test_each_set_of_probes_loses_its_own_subspace() -> None:
    """Each set of probes loses what is taken from it, and the parts are their mean."""
    features, factors = planted(90.0, n=2)
    train = ~HELD_OUT
    scored = {name: ranks(values, train)[HELD_OUT] for name, values in factors.items()}
    labels = np.stack([ranks(values, train)[train] for values in factors.values()], axis=1)
    probes = [ridge(features[train], labels, ALPHAS, ALONE[train])] * 2
    a, elsewhere = axes(90.0, 2)[:1].T, axes(90.0, 4)[2:3].T

    def r2(*taken: Array | None) -> list[float]:
        parts = read_without(taken, probes, features[HELD_OUT], scored)
        return [float(agreement(parts[name].sum(axis=0))) for name in "ab"]

    assert r2(None, None) == pytest.approx([0.97, 0.97], abs=0.02)
    assert r2(a, a) == pytest.approx([0, 0.97], abs=0.02)
    assert r2(elsewhere, elsewhere) == pytest.approx([0.97, 0.97], abs=0.02)
    # one of two equal probes reads nothing but noise: half the covariance, half the variance
    assert r2(a, elsewhere)[0] == pytest.approx(0.485, abs=0.02)


def test_agreement_is_the_squared_correlation() -> None:
    true, read = draw(43).standard_normal((2, 50))
    read += true
    found = agreement(agreement_parts(true + 5, 3 * read - 7).sum(axis=0))
    assert found == pytest.approx(np.corrcoef(true, read)[0, 1] ** 2)
    assert agreement(agreement_parts(true, np.ones(50)).sum(axis=0)) == 0


def test_a_quiet_factor_beside_a_loud_one_is_told_apart() -> None:
    """The quiet one's probe weighs faint directions, and what is taken out at random disturbs it."""
    generator = draw(44)
    values = generator.uniform(-1, 1, (3, N))
    features = (values.T * [10, 1, 10]) @ axes(90.0, 3) + 0.05 * generator.standard_normal((N, D))
    known = FactorTable(dict(zip("abc", values, strict=True)), {}, HELD_OUT, ALONE)
    covariances = {"pretrained": ROUND, "random": ROUND}
    found = orthogonality(dict.fromkeys(covariances, features), covariances, known, ALPHAS, 400, draw(45))
    verdicts = [finding.verdict for finding in claims.orthogonal(*(table.assign(corpus="x") for table in found))]
    assert verdicts == [Verdict.HOLDS] * 3


def test_absent_factors_do_not_make_entangled_ones_orthogonal() -> None:
    features, factors = planted(20.0, n=3)
    absent = {name: draw(46 + i).uniform(size=N) for i, name in enumerate("xy")}
    pairs = measure(features, factors | absent)[0]
    assert pairs["readable"].sum() == 3
    assert pairs["p_together"].iloc[0] > 0.99
    assert (measure(draw(48).standard_normal((N, D)), absent)[0]["p_together"] == 1).all()


def test_a_factor_that_other_clips_show_elsewhere_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """One half shows a factor along one axis, the other half along another: what one shows is not what one reads."""
    factor, other = draw(37).uniform(-1, 1, (2, N))
    first = ALONE < N // 2
    features = np.stack([factor * first, factor * ~first, other], axis=1) @ axes(90.0, 3)
    features[HELD_OUT] = (np.stack([factor, 0 * factor, other], axis=1) @ axes(90.0, 3))[HELD_OUT]
    monkeypatch.setattr(orthogonality_module, "halved", lambda groups, _: groups < N // 2)
    lost = measure(features + 0.05 * draw(39).standard_normal((N, D)), {"a": factor, "b": other})[1]
    own, shown = (lost.set_index(["erased", "factor"]).loc[(name, name)] for name in "ab")
    # the probes of the first half read it all, those of the other nothing
    assert own["r2_before"] == pytest.approx(0.5, abs=0.04)
    assert own["kept"] == pytest.approx(1, abs=0.1)
    assert shown["kept"] < 0.02


def test_removal_at_random_is_the_mean_over_subspaces_of_the_same_dimension() -> None:
    """In a round covariance a random direction has a squared cosine of 1 / D with a factor's."""
    generator = draw(27)
    values = generator.standard_normal((2, N))
    features = np.hstack([values.T, generator.standard_normal((N, D - 2))])
    lost = measure(features, {"a": values[0], "b": values[1]})[1].set_index(["erased", "factor"])
    assert lost.loc[("a", "a"), "r2_after"] < 0.02
    # what is left of 1 by a fixed probe: 1 - c² for a squared cosine of c
    assert lost.loc[("a", "a"), "kept_random"] == pytest.approx(0.92, abs=0.12)
    assert lost.loc[("a", "b"), "r2_random"] == lost.loc[("b", "b"), "r2_random"]


def test_nothing_stays_of_nothing() -> None:
    np.testing.assert_allclose(kept(np.array([0.4, 0.2]), np.array([0.8, 0.0])), [0.5, 0])


def test_held_out_clips_shape_no_subspace() -> None:
    features, factors = planted(60.0)
    others, labels = features.copy(), {name: values.copy() for name, values in factors.items()}
    others[HELD_OUT] = 7 - 50 * others[HELD_OUT]
    labels["a"][HELD_OUT] *= -3
    pd.testing.assert_frame_equal(measure(features, factors)[0], measure(others, labels)[0])


def test_the_tables_cover_encoders_pairs_and_factors_and_repeat() -> None:
    features, factors = planted(90.0, n=2)
    factors["c"] = draw(25).uniform(size=N)
    known = FactorTable(factors, {}, HELD_OUT, ALONE)
    pairs, losses = orthogonality(
        {"x": features, "y": features[:, ::-1]}, {"x": ROUND, "y": ROUND}, known, ALPHAS, 50, draw(26)
    )
    assert [*zip(pairs["encoder"], pairs["first"], pairs["second"], strict=True)] == [
        (encoder, *pair) for encoder in "xy" for pair in ("ab", "ac", "bc")
    ]
    assert list(pairs["readable"]) == [True, False, False] * 2
    # the same draws for both encoders, of which one is the other mirrored
    one, other = (rows[["angle_deg", "low_deg", "high_deg"]].to_numpy() for _, rows in pairs.groupby("encoder"))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(losses) == 2 * 3 * 3
    before = losses.groupby(["encoder", "factor"])["r2_before"].first()
    assert (before.loc[[("x", "a"), ("y", "b")]] > 0.9).all()
    assert before["x", "c"] < 0.02
    again = orthogonality(
        {"x": features, "y": features[:, ::-1]}, {"x": ROUND, "y": ROUND}, known, ALPHAS, 50, draw(26)
    )
    pd.testing.assert_frame_equal(pairs, again[0])
    pd.testing.assert_frame_equal(losses, again[1])
