"""Ridge regressions."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from support.planted import K, N, draw, known, planted, rotated

from audiopg.analysis.corpora.targets import FactorTable
from audiopg.analysis.measures.disentanglement import PENALTIES, linear
from audiopg.analysis.measures.mutual_information import N_PERMUTATIONS


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
