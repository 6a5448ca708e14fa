"""Mutual information between the units of an embedding and factors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from audiopg.arrays import Float64, Int64
from audiopg.jit import compiled, inlined

Kernel = Callable[[Int64, Int64, Float64, Float64, int], Float64]

N_BINS = 20
"""Number of levels of a factor; whole-numbered factors of up to as many values are discrete."""
N_NEIGHBOURS = 3
"""Of the estimators, as scikit-learn's default."""
N_INFORMATION_CLIPS = 1000
"""The cost grows as N^1.5, and the spread of an estimate is 0.03 nats here already."""
N_PERMUTATIONS = 59
"""No p value can be smaller than 1/60."""


@inlined
def _n_closer(scores: Float64, at: int, radius: float) -> int:
    """Count scores that are closer to one of them than a radius, itself among them.

    Score i lies between i and i + 1, which limits the search.
    """
    first = max(int(scores[at] - radius), 0)
    while scores[at] - scores[first] >= radius:
        first += 1
    last = min(int(scores[at] + radius), len(scores) - 1)
    while scores[last] - scores[at] >= radius:
        last -= 1
    return last - first + 1


@inlined
def _insert(nearest: Float64, distance: float) -> None:
    """Insert a distance into the smallest ones, in ascending order, and drop the largest."""
    place = len(nearest) - 1
    while place > 0 and nearest[place - 1] > distance:
        nearest[place] = nearest[place - 1]
        place -= 1
    nearest[place] = distance


@compiled
def _of_continuous(orders: Int64, ranks: Int64, scores: Float64, digammas: Float64, n_neighbours: int) -> Float64:
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
def _of_discrete(orders: Int64, labels: Int64, scores: Float64, digammas: Float64, n_neighbours: int) -> Float64:
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


def _is_discrete(values: Float64) -> bool:
    distinct = np.unique(values)
    return len(distinct) <= N_BINS and bool((distinct == np.round(distinct)).all())


def _order(columns: NDArray[Any], draw: np.random.Generator) -> Int64:
    """Order of the rows along each column, shape (columns, N), ties by lot.

    Ties that follow the clips' order would be the same ones in two columns, and look like information.
    """
    return np.ascontiguousarray(np.lexsort((draw.random(columns.shape), columns), axis=0).T)


class Information:
    """Mutual information in nats between units and factors, on the first clips.

    The estimates are those of scikit-learn's ``mutual_info_regression`` and ``mutual_info_classif``, ten times faster
    as all columns have the same values in different orders: units and continuous factors are replaced by their ranks,
    which changes no information. So the null of permuted factors is affordable. Each rank is moved by less than one,
    the same everywhere: on a lattice many neighbours are equally far away, and the estimate would be too large.

    Source: Kraskov et al. (2004) for continuous, Ross (2014) for discrete factors.
    """

    def __init__(self, units: Float64, factors: dict[str, Float64], draw: np.random.Generator) -> None:
        """Rank units, shape (N, D), and factors, shape (N,) each; ties are broken by lot."""
        kept = units[:N_INFORMATION_CLIPS]
        n = len(kept)
        self._live = np.ptp(units, axis=0) > 0
        self._orders = _order(kept[:, self._live], draw)
        self._scores = np.arange(n) + draw.random(n)
        self._digammas = digamma(np.maximum(np.arange(n + 1), 1))
        self._factors: list[tuple[Kernel, Int64]] = []
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

    def estimate(self) -> Float64:
        """Estimate the information, shape (D, K); 0 for constant units."""
        return np.stack([self._column(kernel, codes) for kernel, codes in self._factors], axis=1)

    def null(self, draw: np.random.Generator) -> Float64:
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

    def _permuted(self, kernel: Kernel, codes: Int64, draw: np.random.Generator) -> Float64:
        return np.stack([self._column(kernel, draw.permutation(codes)) for _ in range(N_PERMUTATIONS)])

    def _column(self, kernel: Kernel, codes: Int64) -> Float64:
        column = np.zeros(len(self._live))
        column[self._live] = kernel(self._orders, codes, self._scores, self._digammas, N_NEIGHBOURS)
        return np.maximum(column, 0)
