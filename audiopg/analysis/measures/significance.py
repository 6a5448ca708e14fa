"""How a statistic compares with chance."""

import numpy as np

from audiopg.arrays import Float64

SIGNIFICANCE = 0.05


def p_value(value: float | Float64, null: Float64) -> Float64:
    """Share of a null, shape (P,), that is at least as large, counting the value itself: never 0."""
    at_least = (null >= np.asarray(value)[..., None]).sum(axis=-1)
    return np.asarray((1 + at_least) / (1 + len(null)))


def holm(p_values: Float64) -> Float64:
    """P values corrected for their number by Holm's step-down procedure, shape (n,)."""
    order = np.argsort(p_values)
    corrected = np.empty_like(p_values)
    corrected[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1)).clip(max=1)
    return corrected
