"""How units of an embedding share the factors among them: scores, and what chance gives.

Every score counts all units. A constant unit knows nothing and weighs nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from audiopg.analysis.corpora.targets import FactorTable
from audiopg.analysis.measures.mutual_information import N_INFORMATION_CLIPS, N_PERMUTATIONS, Information
from audiopg.analysis.measures.significance import SIGNIFICANCE, p_value
from audiopg.arrays import Bool, Float64
from audiopg.errors import AudiopgError
from audiopg.evaluate.ridge import ridge

PENALTIES = 10.0 ** np.arange(-6, 3)
"""Of the ridge regression, per clip: 1 is a standardised unit's variance."""
DIGITS = 6


def mig(information: Float64, entropies: Float64) -> float:
    """Mutual information gap: how much more the best unit knows of a factor than the second best, mean over factors.

    Differs from the definition: a unit cannot know more than the factor's entropy, so that the gap stays below 1. The
    definition has the information of bins, which is bounded; the estimate for continuous values is not.

    Args:
        information: of units and factors in nats, shape (D, K).
        entropies: of the factors in nats, shape (K,).

    Source: Chen et al. (2018).
    """
    return float((_gaps(np.minimum(information, entropies)) / entropies).mean())


def sap(r2: Float64) -> float:
    """Separated attribute predictability: the gap of the two best units' R², mean over factors.

    Args:
        r2: squared correlations of units and factors, shape (D, K).

    Source: Kumar et al. (2018).
    """
    return float(_gaps(r2).mean())


def _gaps(matrix: Float64) -> Float64:
    """Largest less second largest entry of each column, shape (K,); a single unit is compared with nothing."""
    ascending = np.sort(np.vstack([np.zeros(matrix.shape[1]), matrix]), axis=0)
    return np.asarray(ascending[-1] - ascending[-2])


def dci(importance: Float64) -> tuple[float, float]:
    """Disentanglement (does a unit serve one factor?) and completeness (is a factor served by one unit?), in [0, 1].

    Units weigh in by their share of all importance; units of no importance weigh nothing. Completeness does not count
    them among the units over which a factor could spread; otherwise it would rise with each dead unit.

    Args:
        importance: of units for factors, not negative, shape (D, K); each column is taken relative to its sum.

    Source: Eastwood & Williams (2018); columns that sum to 1 as those of Locatello et al. (2019).
    """
    totals = importance.sum(axis=0)
    shares = np.divide(importance, totals, out=np.zeros_like(importance), where=totals > 0)
    weights = shares.sum(axis=1)
    live = weights > 0
    if not live.any():
        return 0.0, 0.0
    of_factors = _evenness(shares[live] / weights[live, None], shares.shape[1])
    disentangled = (weights[live] * (1 - of_factors)).sum() / weights.sum()
    complete = np.where(totals > 0, 1 - _evenness(shares.T, int(live.sum())), 0).mean()
    return float(disentangled), float(complete)


def _evenness(rows: Float64, n: int) -> Float64:
    """Entropy of each row relative to that of n equal shares, shape (rows,)."""
    logarithms = np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return np.asarray(-(rows * logarithms).sum(axis=1) / np.log(max(n, 2)))


@dataclass(frozen=True)
class Linear:
    """What linear maps read, first of the factors as they are, then of each of their permutations (P in all)."""

    r2: Float64
    """Squared correlation of units and factors, shape (P, D, K)."""
    importance: Float64
    """Squared ridge weights of standardised units, shape (P, D, K)."""
    held_out_r2: Float64
    """R² of all units together on the held-out clips, shape (P, K)."""


def linear(units: Float64, known: FactorTable, draw: np.random.Generator) -> Linear:
    """Correlate units with factors, and fit ridge regressions on the training clips, score them on the held-out ones.

    Ridge has a closed form, so that the regressions of all permuted factors cost one matrix product, each with its own
    penalty. A lasso would need a new fit for each permutation, and
    picks by chance among correlated units. Weights are squared, as shares of variance: a ridge leaves a little weight
    on every unit, and the sum of hundreds would hide the important ones.

    Args:
        units: shape (N, D).
        known: of the clips; the classes are not looked at.
        draw: source of the permutations.
    """
    held_out, factors = known.held_out, np.stack(list(known.factors.values()), axis=1)
    n, n_units, n_factors = *units.shape, factors.shape[1]
    rows = [np.arange(n), *(draw.permutation(n) for _ in range(N_PERMUTATIONS))]
    everyone = np.ones(n, bool)
    inputs, standard = _standardised(units, everyone), _standardised(factors, everyone)
    targets = np.concatenate([standard[row] for row in rows], axis=1)

    def by_permutation(matrix: Float64) -> Float64:
        return matrix.reshape(*matrix.shape[:-1], len(rows), n_factors)

    seen = _standardised(units, ~held_out)
    probe = ridge(seen[~held_out], targets[~held_out], PENALTIES * (~held_out).sum(), known.groups[~held_out])
    left = targets[held_out] - probe.predict(seen[held_out])
    held_out_r2 = 1 - (left**2).mean(axis=0) / targets[held_out].var(axis=0)
    return Linear(
        np.moveaxis(by_permutation((inputs.T @ targets / n) ** 2), 0, 1),
        np.moveaxis(by_permutation(probe.weights**2), 0, 1).reshape(len(rows), n_units, n_factors),
        by_permutation(held_out_r2),
    )


def _standardised(columns: Float64, rows: Bool) -> Float64:
    """Columns of mean 0 and variance 1 in some rows; ones that are constant there become exactly 0."""
    some = columns[rows]
    spread = np.where(np.ptp(some, axis=0) > 0, some.std(axis=0), np.inf)
    return np.asarray((columns - some.mean(axis=0)) / spread)


def _against(value: float, null: Float64) -> dict[str, float]:
    return {
        "value": round(float(value), DIGITS),
        "null_mean": round(float(null.mean()), DIGITS),
        "null_95": round(float(np.quantile(null, 1 - SIGNIFICANCE)), DIGITS),
        "p": round(float(p_value(value, null)), DIGITS),
    }


def units_table(information: Float64, null: Float64, names: list[str]) -> pd.DataFrame:
    """Describe each unit: its best factor, and how selective it is.

    Args:
        information: shape (D, K), in nats.
        null: the same of permuted factors, shape (P, D, K).
        names: of the factors.

    Returns:
        A row per unit: ``unit, best_factor, mi, second_mi, selectivity, p``. p is corrected for the choice among all
        units and factors: it is the chance of such a value anywhere. Selectivity is the share of the best factor's
        information that the second lacks, and 0 where p is above 5 %. A unit of no information has no best factor.
    """
    ascending = np.sort(information, axis=1)
    best, second = ascending[:, -1], ascending[:, -2]
    p = p_value(best, null.max(axis=(1, 2)))
    selectivity = np.divide(best - second, best, out=np.zeros_like(best), where=(p <= SIGNIFICANCE) & (best > 0))
    return pd.DataFrame(
        {
            "unit": np.arange(len(best)),
            "best_factor": np.where(best > 0, np.array(names)[information.argmax(axis=1)], ""),
            "mi": best.round(DIGITS),
            "second_mi": second.round(DIGITS),
            "selectivity": selectivity.round(DIGITS),
            "p": p.round(DIGITS),
        }
    )


def _per_factor(information: Float64, null: Float64, names: list[str]) -> dict[str, dict[str, float]]:
    """Describe each factor: its best unit against the best under permutation, and how many units know it."""
    largest_null = null.max(axis=1)
    above = information > np.quantile(largest_null, 1 - SIGNIFICANCE, axis=0)
    alone = above & (above.sum(axis=1) == 1)[:, None]
    return {
        name: {
            "largest_mi": against.pop("value"),
            **against,
            "n_informed_units": int(above[:, k].sum()),
            "n_selective_units": int(alone[:, k].sum()),
        }
        for k, name in enumerate(names)
        for against in [_against(information[:, k].max(), largest_null[:, k])]
    }


def _check(units: Float64, factors: dict[str, Float64]) -> None:
    if len(factors) < 2:  # noqa: PLR2004  (a unit of one factor is disentangled by definition)
        msg = f"information: expected at least 2 factors, found {len(factors)}"
        raise AudiopgError(msg)
    for name, values in factors.items():
        if np.ptp(values[:N_INFORMATION_CLIPS]) == 0:
            msg = f"information: {name} is the same in all clips"
            raise AudiopgError(msg)
    n_broken = int((~np.isfinite(units)).any(axis=0).sum())
    if n_broken:
        msg = f"information: {n_broken} of {units.shape[1]} units are not finite"
        raise AudiopgError(msg)


def disentanglement(
    units: Float64, known: FactorTable, draw: np.random.Generator
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score how units share the factors among them, each score against the same of permuted clips.

    The null permutes the factors' clips, so that units keep what they have in common.

    Args:
        units: an embedding, shape (N, D).
        known: at least two independent factors with a meaning in each clip; the classes are not looked at.
        draw: source of the permutations, and of the order of ties.

    Returns:
        Scores with the mean and 95 % quantile of their null and p, and per factor the largest information of a unit
        in nats, the same of the null, the number of units above its 95 % quantile, and of those that are above no
        other factor's; and a table of the units (see `units_table`).

    Raises:
        AudiopgError: there are fewer than two factors, one does not vary, or a unit is not finite.
    """
    factors = known.factors
    _check(units, factors)
    names = list(factors)
    shared = Information(units, factors, draw)
    information, null = shared.estimate(), shared.null(draw)
    read = linear(units, known, draw)
    parts = np.array([dci(importance) for importance in read.importance])
    scores = {
        "mig": np.array([mig(each, shared.entropies) for each in (information, *null)]),
        "sap": np.array([sap(r2) for r2 in read.r2]),
        "dci_disentanglement": parts[:, 0],
        "dci_completeness": parts[:, 1],
        "dci_informativeness": read.held_out_r2.mean(axis=1),
    }
    summary = {
        "n_clips": len(units),
        "n_units": units.shape[1],
        "n_constant_units": int((np.ptp(units, axis=0) == 0).sum()),
        "n_permutations": N_PERMUTATIONS,
        **{name: _against(values[0], values[1:]) for name, values in scores.items()},
        "factors": _per_factor(information, null, names),
    }
    return summary, units_table(information, null, names)
