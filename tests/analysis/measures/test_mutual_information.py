"""Information and disentanglement scores by hand, on planted spaces, and where there is nothing to find."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from audiopg.analysis.corpora.targets import FactorTable
from audiopg.analysis.measures.disentanglement import PENALTIES, dci, disentanglement, linear, mig, sap, units_table
from audiopg.analysis.measures.mutual_information import N_PERMUTATIONS, Information
from audiopg.analysis.measures.significance import p_value
from audiopg.errors import AudiopgError

SCORES = ("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness")
N, K = 1000, 3
SMALLEST_P = 1 / (1 + N_PERMUTATIONS)

Factors = dict[str, NDArray[np.float64]]
Units = NDArray[np.float64]


def draw(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def physics(seed: int, n: int = N) -> Factors:
    """Two continuous factors, one of them skewed, and a discrete one."""
    generator = draw(seed)
    return {
        "f0_octaves": generator.uniform(5, 9, n),
        "decay_s": np.exp(generator.uniform(-3, 0, n)),
        "n_events": generator.integers(2, 7, n).astype(np.float64),
    }


def planted(seed: int, n_noise: int = 9) -> tuple[Units, Factors]:
    """One unit per factor with a little noise, then units that know nothing."""
    factors, generator = physics(seed), draw(seed + 100)
    values = np.stack(list(factors.values()), axis=1)
    told = (values - values.mean(axis=0)) / values.std(axis=0) + 0.05 * generator.standard_normal((N, K))
    return np.hstack([told, generator.standard_normal((N, n_noise))]).astype(np.float64), factors


def rotated(units: Units, seed: int) -> Units:
    basis, _ = np.linalg.qr(draw(seed).standard_normal((units.shape[1], units.shape[1])))
    return (units @ basis).astype(np.float64)


def halves(n: int) -> NDArray[np.bool_]:
    """The second half is held out."""
    return np.arange(n) >= n // 2


def known(factors: Factors) -> FactorTable:
    n = len(next(iter(factors.values())))
    return FactorTable(factors, {}, halves(n), np.arange(n))


def score(units: Units, factors: Factors, seed: int = 0) -> dict[str, Any]:
    return disentanglement(units, known(factors), draw(seed))[0]


def test_mig_by_hand() -> None:
    # gaps of 1 and 0.2 nats under entropies of 2 and 0.5; the last entry is held to the entropy
    shared = np.array([[1.5, 0.1], [0.5, 0.3], [0.0, 9.0]])
    assert mig(shared, np.array([2.0, 0.5])) == pytest.approx((1.0 / 2 + 0.2 / 0.5) / 2)
    assert mig(np.array([[1.0, 0.0]]), np.array([2.0, 2.0])) == pytest.approx(0.25)


def test_sap_by_hand() -> None:
    assert sap(np.array([[0.9, 0.2], [0.3, 0.2], [0.1, 0.05]])) == pytest.approx((0.6 + 0.0) / 2)


def test_dci_by_hand() -> None:
    # shares of the columns: 3/4, 1/4, 0 and 0, 1, 0; the dead third unit has no weight
    importance = np.array([[3.0, 0.0], [1.0, 20.0], [0.0, 0.0]])
    mixed = 1 - (0.2 * np.log2(5) + 0.8 * np.log2(1.25))  # the second unit: 1/4 against 1
    disentangled, complete = dci(importance)
    assert disentangled == pytest.approx((0.75 * 1 + 1.25 * mixed) / 2)
    assert complete == pytest.approx((1 - (0.75 * np.log2(4 / 3) + 0.25 * np.log2(4)) + 1) / 2)
    assert dci(np.ones((4, 2))) == pytest.approx((0, 0))
    assert dci(np.eye(3)) == pytest.approx((1, 1))


def test_no_importance_is_not_perfect() -> None:
    assert dci(np.zeros((5, 3))) == (0, 0)
    half = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert dci(half) == pytest.approx((1, 0.5))  # the factor that no unit serves is not complete


def test_p_counts_the_value_itself() -> None:
    null = np.arange(19.0)
    assert p_value(18.5, null) == pytest.approx(0.05)
    assert p_value(18.0, null) == pytest.approx(0.1)
    np.testing.assert_allclose(p_value(np.array([-1.0, 17.5]), null), [1, 0.1])


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_information_of_a_bivariate_normal(rho: float) -> None:
    """The estimate has a spread of 0.04 nats, so that the mean of 20 has one of 0.01."""
    found = []
    for seed in range(20):
        generator = draw(seed)
        first, second, other = generator.standard_normal((3, N))
        unit = (rho * first + np.sqrt(1 - rho**2) * second).astype(np.float64)[:, None]
        found.append(Information(unit, {"a": first, "b": other}, generator).estimate()[0, 0])
    # ranks add 1 % at 0.99; estimates below 0 are held to 0, which adds to the mean where there is no information
    truth = -0.5 * np.log(1 - rho**2)
    assert np.mean(found) == pytest.approx(truth, abs=0.03 + 0.01 * truth)


@pytest.mark.parametrize("seed", [0, 1])
def test_estimates_are_scikit_learns(seed: int) -> None:
    generator = draw(seed)
    units, factors = planted(seed)
    shared = Information(rotated(units, seed), factors, generator)
    ranked = shared._scores[np.argsort(shared._orders, axis=1)].T
    (_, codes), _, (_, labels) = shared._factors
    estimates = shared.estimate()
    # it adds noise of 1e-10, which may move a neighbour over the edge
    expected = mutual_info_regression(ranked, shared._scores[codes], random_state=0)
    np.testing.assert_allclose(estimates[:, 0], expected, atol=1e-3)
    np.testing.assert_allclose(estimates[:, 2], mutual_info_classif(ranked, labels, random_state=0), atol=1e-6)
    assert estimates.max() > 0.1


def test_information_is_blind_to_monotone_maps() -> None:
    units, factors = planted(0)
    mapped = {
        "f0_octaves": 2 ** factors["f0_octaves"],
        "decay_s": -1 / factors["decay_s"],
        "n_events": factors["n_events"],
    }
    plain = Information(units, factors, draw(1)).estimate()
    np.testing.assert_array_equal(Information(np.exp(3 * units), mapped, draw(1)).estimate(), plain)


def test_information_of_a_discrete_factor_is_its_entropy() -> None:
    units, factors = planted(2)
    shared = Information(units, factors, draw(2))
    assert shared.entropies == pytest.approx([np.log(20), np.log(20), np.log(5)], abs=0.01)
    assert shared.estimate()[2, 2] == pytest.approx(shared.entropies[2], abs=0.01)


def test_ties_are_no_information() -> None:
    """A unit that is mostly off and a factor that is mostly 0 agree on nothing but the order of the clips."""
    generator = draw(3)
    off = np.where(generator.random((N, 20)) < 0.8, 0, generator.random((N, 20))).astype(np.float64)
    floor = np.where(generator.random(N) < 0.8, 0, generator.random(N))
    found = Information(off, {"floor": floor, "b": generator.random(N)}, generator).estimate()[:, 0]
    assert found.mean() < 0.03


def test_a_clip_that_is_alone_with_its_label() -> None:
    units, factors = planted(2)
    factors["n_events"][0] = 9
    assert Information(units, factors, draw(2)).estimate()[2, 2] == pytest.approx(np.log(5), abs=0.03)


def test_linear_is_an_ordinary_ridge() -> None:
    units, factors = planted(4, n_noise=60)
    units[:, :K] += draw(5).standard_normal((N, K)).astype(np.float64)  # a noisy fit is better on the clips it has seen
    units, values = rotated(units, 4), np.stack(list(factors.values()), axis=1)
    held_out = draw(40).random(N) < 0.5
    read = linear(units, FactorTable(factors, {}, held_out, np.arange(N)), draw(4))
    correlations = np.corrcoef(units, values, rowvar=False)[: units.shape[1], -K:]
    np.testing.assert_allclose(read.r2[0], correlations**2, rtol=1e-4)
    train = ~held_out
    inputs = (units - units[train].mean(axis=0)) / units[train].std(axis=0)
    targets = (values - values.mean(axis=0)) / values.std(axis=0)
    errors, scores = [], []
    for penalty in PENALTIES:
        ridge = Ridge(alpha=penalty * train.sum()).fit(inputs[train], targets[train])
        errors.append(np.abs(ridge.coef_.T**2 - read.importance[0]).max(axis=0))
        scores.append(r2_score(targets[held_out], ridge.predict(inputs[held_out]), multioutput="raw_values"))
    chosen = np.argmin(errors, axis=0)
    assert (np.min(errors, axis=0) < 1e-6).all()
    np.testing.assert_allclose(read.held_out_r2[0], np.array(scores)[chosen, range(K)], atol=1e-4)


def test_the_penalty_grows_where_there_is_nothing_to_read() -> None:
    """With as many units as a third of the clips an unpenalised fit of nothing has a held-out R² of -1/2."""
    generator = draw(5)
    nothing = known({"a": generator.random(600), "b": generator.random(600)})
    read = linear(generator.standard_normal((600, 100)), nothing, generator)
    assert read.held_out_r2.mean() > -0.02
    assert read.held_out_r2.shape == (1 + N_PERMUTATIONS, 2)


def test_what_is_informative_is_scored_on_clips_that_nothing_was_fitted_to() -> None:
    units, factors = planted(12)
    others = {name: np.where(halves(N), values[::-1], values) for name, values in factors.items()}
    one, two = (linear(units, known(each), draw(1)) for each in (factors, others))
    assert (one.held_out_r2[0] > 0.9).all()
    assert (two.held_out_r2[0] < 0).all()
    np.testing.assert_allclose(one.importance[0][:3].argmax(axis=0), two.importance[0][:3].argmax(axis=0))


def test_a_planted_space_is_disentangled_and_its_rotation_is_not() -> None:
    units, factors = planted(6)
    apart, table = disentanglement(units, known(factors), draw(6))
    mixed = score(rotated(units, 6), factors)
    for name in SCORES:
        assert apart[name]["p"] == pytest.approx(SMALLEST_P, abs=1e-6)
    assert apart["mig"]["value"] > 0.6
    assert apart["sap"]["value"] > 0.9
    assert apart["dci_disentanglement"]["value"] > 0.95
    assert apart["dci_completeness"]["value"] > 0.95
    assert mixed["mig"]["value"] < 0.1
    assert mixed["sap"]["value"] < 0.3
    assert mixed["dci_disentanglement"]["value"] < 0.6
    assert mixed["dci_completeness"]["value"] < 0.6
    # all is still there to be read
    assert mixed["dci_informativeness"]["value"] == pytest.approx(apart["dci_informativeness"]["value"], abs=0.01)
    assert table["best_factor"][:3].tolist() == list(factors)
    assert (table["selectivity"][:3] > 0.9).all()
    for name in factors:
        assert apart["factors"][name]["n_informed_units"] >= apart["factors"][name]["n_selective_units"] >= 1
        assert mixed["factors"][name]["n_informed_units"] > mixed["factors"][name]["n_selective_units"]
    assert json.loads(json.dumps(apart)) == apart


def test_dead_units_change_no_score() -> None:
    units, factors = planted(7)
    for space in (units, rotated(units, 7)):
        alone = score(space, factors)
        more = score(np.hstack([space, np.full((N, 60), 0.1, np.float64)]), factors)
        for name in SCORES:
            assert more[name]["value"] == pytest.approx(alone[name]["value"], abs=0.02), name
        assert (more["n_units"], more["n_constant_units"]) == (72, 60)


def test_dead_units_are_listed_as_knowing_nothing() -> None:
    units, factors = planted(7)
    summary, table = disentanglement(np.hstack([units, np.ones((N, 2), np.float64)]), known(factors), draw(7))
    dead = table.iloc[-2:]
    assert (dead[["mi", "selectivity"]] == 0).all(axis=None)
    assert (dead["p"] == 1).all()
    assert (dead["best_factor"] == "").all()
    assert table["unit"].tolist() == list(range(14))
    nothing = score(np.ones((N, 4), np.float64), factors)
    assert summary["n_constant_units"] == 2
    for name in SCORES[:-1]:
        assert (nothing[name]["value"], nothing[name]["p"]) == (0, 1)


def test_noise_units_raise_no_score() -> None:
    units, factors = planted(8, n_noise=0)
    few = score(units, factors)
    many = score(np.hstack([units, draw(9).standard_normal((N, 50)).astype(np.float64)]), factors)
    for name in SCORES:
        assert many[name]["value"] < few[name]["value"] + 0.01, name


def test_where_there_is_nothing_p_is_uniform() -> None:
    """Units that have much in common, as an encoder's have, and nothing to do with the factors."""
    found = []
    for seed in range(30):
        generator = draw(seed)
        units = generator.standard_normal((200, 3)) @ generator.standard_normal((3, 8))
        summary, table = disentanglement(units.astype(np.float64), known(physics(seed + 500, 200)), generator)
        found.append([summary[name]["p"] for name in SCORES] + [table["p"].min()])
    p = np.array(found)
    # the mean of 30 uniform values has a spread of 0.053
    np.testing.assert_allclose(p.mean(axis=0), 0.5, atol=0.16)
    assert (p < 0.25).mean() == pytest.approx(0.25, abs=0.1)
    assert (p <= 0.05).mean() < 0.12


def test_units_table_by_hand() -> None:
    shared = np.array([[0.1, 0.8], [0.3, 0.0], [0.0, 0.0]])
    null = np.zeros((19, 3, 2))
    null[:, 2, 0] = np.linspace(0.1, 0.5, 19)  # the largest of any unit and factor
    table = units_table(shared, null, ["a", "b"])
    assert table["best_factor"].tolist() == ["b", "a", ""]
    np.testing.assert_allclose(table["selectivity"], [0.875, 0, 0])
    np.testing.assert_allclose(table["p"], [0.05, (1 + 10) / 20, 1])


def test_scores_repeat() -> None:
    units, factors = planted(10)
    assert score(units, factors, 3) == score(units, factors, 3)


def test_what_cannot_be_scored_is_an_error() -> None:
    units, factors = planted(11)
    with pytest.raises(AudiopgError, match="expected at least 2 factors, found 1"):
        score(units, {"f0_octaves": factors["f0_octaves"]})
    with pytest.raises(AudiopgError, match="n_events is the same in all clips"):
        score(units, {**factors, "n_events": np.full(N, 3.0)})
    units[3, 2:4] = np.nan
    with pytest.raises(AudiopgError, match="2 of 12 units are not finite"):
        score(units, factors)
