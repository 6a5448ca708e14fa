"""Spaces of units in which factors are planted."""

import numpy as np
from numpy.typing import NDArray

from audiopg.analysis.corpora.targets import FactorTable

N, K = 1000, 3

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
