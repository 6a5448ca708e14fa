"""Information and disentanglement scores by hand, on planted spaces, and where there is nothing to find."""

import json
from typing import Any

import numpy as np
import pytest
from support.planted import Factors, N, Units, draw, halves, known, physics, planted, rotated

from audiopg.analysis.measures.disentanglement import dci, disentanglement, linear, mig, sap, units_table
from audiopg.analysis.measures.mutual_information import N_PERMUTATIONS
from audiopg.errors import AudiopgError

SCORES = ("mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness")
SMALLEST_P = 1 / (1 + N_PERMUTATIONS)


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
