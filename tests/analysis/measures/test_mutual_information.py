"""Estimates of mutual information: closed forms, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from support.planted import N, draw, planted, rotated

from audiopg.analysis.measures.mutual_information import Information


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
