"""How units of an embedding share the factors among them: information, disentanglement scores, and what chance gives.

Every score counts all units. A constant unit knows nothing and weighs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import digamma

from audiopg.errors import AudiopgError
from audiopg.jit import compiled, inlined

Matrix = NDArray[np.float64]
Kernel = Callable[[NDArray[np.int64], NDArray[np.int64], Matrix, Matrix, int], Matrix]

N_BINS = 20
"""Resolution to which a factor is asked for; whole-numbered factors of up to as many values are discrete."""
N_NEIGHBOURS = 3
"""Of the estimators of information, as scikit-learn's default."""
N_INFORMATION_CLIPS = 1000
"""The information's cost grows as N^1.5, and the spread of an estimate is 0.03 nats here already."""
N_PERMUTATIONS = 59
"""No p value can be smaller than 1/60."""
SIGNIFICANCE = 0.05
PENALTIES = tuple(10.0**power for power in range(-6, 3))
"""Of the ridge regression, per clip: 1 is a standardised unit's variance."""
DIGITS = 6


def mig(information: Matrix, entropies: Matrix) -> float:
    """Mutual information gap: how much more the best unit knows of a factor than the second best, mean over factors.

    Differs from the definition: a unit cannot know more than the factor's entropy, so that the gap stays below 1. The
    definition has the information of bins, which is bounded; the estimate for continuous values is not.

    Args:
        information: of units and factors in nats, shape (D, K).
        entropies: of the factors in nats, shape (K,).

    Source: Chen et al. (2018).
    """
    return float((_gaps(np.minimum(information, entropies)) / entropies).mean())


def sap(r2: Matrix) -> float:
    """Separated attribute predictability: the gap of the two best units' R², mean over factors.

    Args:
        r2: squared correlations of units and factors, shape (D, K).

    Source: Kumar et al. (2018).
    """
    return float(_gaps(r2).mean())


def _gaps(matrix: Matrix) -> Matrix:
    """Largest less second largest entry of each column, shape (K,); a single unit is compared with nothing."""
    ascending = np.sort(np.vstack([np.zeros(matrix.shape[1]), matrix]), axis=0)
    return np.asarray(ascending[-1] - ascending[-2])


def dci(importance: Matrix) -> tuple[float, float]:
    """Disentanglement (does a unit serve one factor?) and completeness (is a factor served by one unit?), in [0, 1].

    Units weigh in by their share of all importance; units of no importance weigh nothing. Completeness does not count
    them among the units over which a factor could spread either, or else it would rise with each dead unit.

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


def _evenness(rows: Matrix, n: int) -> Matrix:
    """Entropy of each row relative to that of n equal shares, shape (rows,)."""
    logarithms = np.log(rows, out=np.zeros_like(rows), where=rows > 0)
    return np.asarray(-(rows * logarithms).sum(axis=1) / np.log(max(n, 2)))


@inlined
def _n_closer(scores: Matrix, at: int, radius: float) -> int:
    """Count scores that are closer to one of them than a radius, itself among them.

    Score i lies between i and i + 1, which tells where to look.
    """
    first = max(int(scores[at] - radius), 0)
    while scores[at] - scores[first] >= radius:
        first += 1
    last = min(int(scores[at] + radius), len(scores) - 1)
    while scores[last] - scores[at] >= radius:
        last -= 1
    return last - first + 1


@inlined
def _insert(nearest: Matrix, distance: float) -> None:
    """Put a distance in its place among the smallest ones, ascending, which loses the largest."""
    place = len(nearest) - 1
    while place > 0 and nearest[place - 1] > distance:
        nearest[place] = nearest[place - 1]
        place -= 1
    nearest[place] = distance


@compiled
def _of_continuous(
    orders: NDArray[np.int64], ranks: NDArray[np.int64], scores: Matrix, digammas: Matrix, n_neighbours: int
) -> Matrix:
    """Information between units and one continuous factor, which all take the same values in different orders.

    Neighbours are looked for along the unit until it alone is farther away than the worst neighbour so far.
    """
    n = len(scores)
    found = np.zeros(len(orders))
    nearest = np.empty(n_neighbours)
    for unit in range(len(orders)):
        total = 0.0
        along = ranks[orders[unit]]
        values = scores[along]
        for at in range(n):
            nearest[:] = n
            radius = nearest[-1]
            for other in range(at + 1, n):
                if scores[other] - scores[at] >= radius:
                    break
                distance = abs(values[other] - values[at])
                if distance < radius:
                    _insert(nearest, max(distance, scores[other] - scores[at]))
                    radius = nearest[-1]
            for other in range(at - 1, -1, -1):
                if scores[at] - scores[other] >= radius:
                    break
                distance = abs(values[other] - values[at])
                if distance < radius:
                    _insert(nearest, max(distance, scores[at] - scores[other]))
                    radius = nearest[-1]
            total += digammas[_n_closer(scores, at, radius)] + digammas[_n_closer(scores, along[at], radius)]
        found[unit] = digammas[n] + digammas[n_neighbours] - total / n
    return found


@compiled
def _of_discrete(
    orders: NDArray[np.int64], labels: NDArray[np.int64], scores: Matrix, digammas: Matrix, n_neighbours: int
) -> Matrix:
    """Information between units, which all take the same values in different orders, and one discrete factor.

    A clip that is the only one of its label is left out.
    """
    found = np.zeros(len(orders))
    for unit in range(len(orders)):
        along = labels[orders[unit]]
        total, n = 0.0, 0
        for label in range(labels.max() + 1):
            places = np.flatnonzero(along == label)
            count = len(places)
            k = min(n_neighbours, count - 1)
            if k < 1:
                continue
            n += count
            for index in range(count):
                value = scores[places[index]]
                radius = float(len(scores))
                for first in range(max(index - k, 0), min(index, count - 1 - k) + 1):
                    radius = min(radius, max(value - scores[places[first]], scores[places[first + k]] - value))
                total += digammas[k] - digammas[count] - digammas[_n_closer(scores, places[index], radius)]
        found[unit] = digammas[n] + total / max(n, 1)
    return found


def _is_discrete(values: Matrix) -> bool:
    distinct = np.unique(values)
    return len(distinct) <= N_BINS and bool((distinct == np.round(distinct)).all())


def _order(columns: NDArray[Any], draw: np.random.Generator) -> NDArray[np.int64]:
    """Order of the rows along each column, shape (columns, N), ties by lot.

    Ties that follow the clips' order would be the same ones in two columns, and look like information.
    """
    return np.ascontiguousarray(np.lexsort((draw.random(columns.shape), columns), axis=0).T)


class Information:
    """Mutual information in nats between units and factors, on the first clips.

    The estimates are those of scikit-learn's ``mutual_info_regression`` and ``mutual_info_classif``, ten times faster
    as all columns have the same values in different orders: units and continuous factors are replaced by their ranks,
    which changes no information. Hence permuted factors are affordable as the null. Each rank is moved by less than
    one, the same everywhere: on a lattice many neighbours are equally far away, and the estimate is too large.

    Source: Kraskov et al. (2004) for continuous, Ross (2014) for discrete factors.
    """

    def __init__(self, units: NDArray[np.float32], factors: dict[str, Matrix], draw: np.random.Generator) -> None:
        """Rank units, shape (N, D), and factors, shape (N,) each; ties are broken by lot."""
        kept = units[:N_INFORMATION_CLIPS]
        n = len(kept)
        self._live = np.ptp(units, axis=0) > 0
        self._orders = _order(kept[:, self._live], draw)
        self._scores = np.arange(n) + draw.random(n)
        self._digammas = digamma(np.maximum(np.arange(n + 1), 1))
        self._factors: list[tuple[Kernel, NDArray[np.int64]]] = []
        self.entropies = np.empty(len(factors))
        """Of the factors in nats; of a continuous one in equally filled bins, shape (K,)."""
        for index, values in enumerate(factors.values()):
            if _is_discrete(values):
                _, codes, counts = np.unique(values[:n], return_inverse=True, return_counts=True)
                self.entropies[index] = -(counts / n * np.log(counts / n)).sum()
                self._factors.append((_of_discrete, codes))
            else:
                self.entropies[index] = np.log(N_BINS)
                self._factors.append((_of_continuous, np.argsort(_order(values[:n, None], draw)[0])))

    def estimate(self) -> Matrix:
        """Estimate the information, shape (D, K); 0 for constant units."""
        return np.stack([self._column(kernel, codes) for kernel, codes in self._factors], axis=1)

    def null(self, draw: np.random.Generator) -> Matrix:
        """Estimate the information of permuted factors, shape (permutations, D, K).

        All continuous factors are permutations of the same ranks, so that one set of permutations is the null of each.
        In one draw of the null of several factors each has another permutation of the set, as the factors are
        independent of each other.
        """
        shared = self._permuted(_of_continuous, np.arange(len(self._scores)), draw)
        apart = N_PERMUTATIONS // len(self._factors)
        columns = [
            np.roll(shared, index * apart, axis=0) if kernel is _of_continuous else self._permuted(kernel, codes, draw)
            for index, (kernel, codes) in enumerate(self._factors)
        ]
        return np.stack(columns, axis=2)

    def _permuted(self, kernel: Kernel, codes: NDArray[np.int64], draw: np.random.Generator) -> Matrix:
        return np.stack([self._column(kernel, draw.permutation(codes)) for _ in range(N_PERMUTATIONS)])

    def _column(self, kernel: Kernel, codes: NDArray[np.int64]) -> Matrix:
        column = np.zeros(len(self._live))
        column[self._live] = kernel(self._orders, codes, self._scores, self._digammas, N_NEIGHBOURS)
        return np.maximum(column, 0)


@dataclass(frozen=True)
class Linear:
    """What linear maps read, first of the factors as they are, then of each of their permutations (P in all)."""

    r2: Matrix
    """Squared correlation of units and factors, shape (P, D, K)."""
    importance: Matrix
    """Squared ridge weights of standardised units, shape (P, D, K)."""
    held_out_r2: Matrix
    """R² of all units together on the second half of the clips, shape (P, K)."""


def linear(units: NDArray[np.float32], factors: Matrix, draw: np.random.Generator) -> Linear:
    """Correlate units with factors, and fit ridge regressions on the first half of the clips, score on the second.

    Ridge has a closed form, so that the regressions of all permuted factors cost one matrix product, each with a
    penalty of its own by generalised cross-validation. A lasso would have to be fitted anew for each permutation, and
    picks by chance among correlated units. Weights are squared, as shares of variance: a ridge leaves a little weight
    on every unit, and the sum of hundreds would hide those that matter.

    Args:
        units: shape (N, D).
        factors: shape (N, K).
        draw: source of the permutations.
    """
    n, n_units, n_factors = *units.shape, factors.shape[1]
    rows = [np.arange(n), *(draw.permutation(n) for _ in range(N_PERMUTATIONS))]
    inputs, standard = _standardised(units.astype(np.float64)), _standardised(factors)
    targets = np.concatenate([standard[row] for row in rows], axis=1)

    def by_permutation(matrix: Matrix) -> Matrix:
        return matrix.reshape(*matrix.shape[:-1], len(rows), n_factors)

    half = n // 2
    seen, seen_targets = inputs[:half], targets[:half]
    centre, target_centre = seen.mean(axis=0), seen_targets.mean(axis=0)
    weights = _ridge(seen - centre, seen_targets - target_centre)
    left = targets[half:] - target_centre - (inputs[half:] - centre) @ weights
    held_out_r2 = 1 - (left**2).sum(axis=0) / (n - half) / targets[half:].var(axis=0)
    return Linear(
        np.moveaxis(by_permutation((inputs.T @ targets / n) ** 2), 0, 1),
        np.moveaxis(by_permutation(weights**2), 0, 1).reshape(len(rows), n_units, n_factors),
        by_permutation(held_out_r2),
    )


def _standardised(columns: Matrix) -> Matrix:
    """Columns of mean 0 and variance 1; constant ones become exactly 0."""
    spread = np.where(np.ptp(columns, axis=0) > 0, columns.std(axis=0), np.inf)
    return np.asarray((columns - columns.mean(axis=0)) / spread)


def _ridge(inputs: Matrix, targets: Matrix) -> Matrix:
    """Ridge weights, shape (D, targets), of centred data, the penalty per target by generalised cross-validation.

    Source: Golub, Heath & Wahba (1979).
    """
    n = len(inputs)
    eigenvalues, vectors = np.linalg.eigh(inputs.T @ inputs / n)
    eigenvalues = np.maximum(eigenvalues, 0)[:, None]
    projected = vectors.T @ (inputs.T @ targets / n)
    power = (targets**2).mean(axis=0)
    best, lowest = np.zeros_like(projected), np.full(targets.shape[1], np.inf)
    for penalty in PENALTIES:
        shrunk = projected / (eigenvalues + penalty)
        residual = power - (projected * shrunk).sum(axis=0) - penalty * (shrunk**2).sum(axis=0)
        # one more degree of freedom is the mean
        freedom = (eigenvalues / (eigenvalues + penalty)).sum() + 1
        error = residual / max(1 - freedom / n, 1e-3) ** 2
        best = np.where(error < lowest, shrunk, best)
        lowest = np.minimum(error, lowest)
    return np.asarray(vectors @ best)


def p_value(value: float | Matrix, null: Matrix) -> Matrix:
    """Share of a null, shape (P,), that is at least as large, the value itself among it: never 0."""
    at_least = (null >= np.asarray(value)[..., None]).sum(axis=-1)
    return np.asarray((1 + at_least) / (1 + len(null)))


def _against(value: float, null: Matrix) -> dict[str, float]:
    return {
        "value": round(float(value), DIGITS),
        "null_mean": round(float(null.mean()), DIGITS),
        "null_95": round(float(np.quantile(null, 1 - SIGNIFICANCE)), DIGITS),
        "p": round(float(p_value(value, null)), DIGITS),
    }


def units_table(information: Matrix, null: Matrix, names: list[str]) -> pd.DataFrame:
    """Tell what each unit is about.

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


def _per_factor(information: Matrix, null: Matrix, names: list[str]) -> dict[str, dict[str, float]]:
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


def _check(units: NDArray[np.float32], factors: dict[str, Matrix]) -> None:
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
    units: NDArray[np.float32], factors: dict[str, Matrix], draw: np.random.Generator
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score how units share the factors among them, each score against the same of permuted clips.

    The null permutes the factors' clips, so that units keep what they have in common.

    Args:
        units: an embedding, shape (N, D).
        factors: at least two independent factors by name, shape (N,) each.
        draw: source of the permutations, and of the order of ties.

    Returns:
        Scores with the mean and 95 % quantile of their null and p, and per factor the largest information of a unit
        in nats, the same of the null, the number of units above its 95 % quantile, and of those that are above no
        other factor's; and a table of the units (see `units_table`).

    Raises:
        AudiopgError: there are fewer than two factors, one does not vary, or a unit is not finite.
    """
    _check(units, factors)
    names = list(factors)
    shared = Information(units, factors, draw)
    information, null = shared.estimate(), shared.null(draw)
    read = linear(units, np.stack(list(factors.values()), axis=1), draw)
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
