"""Tests of paired differences over folds, or over the seeds of one split."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from audiopg.arrays import Float64


class Tests(NamedTuple):
    """Tests of the mean of some differences; NaN if there is only one difference, or all are equal."""

    t: float
    p_t: float
    p_wilcoxon: float
    t_corrected: float
    p_corrected: float


NO_TESTS = Tests(*[float("nan")] * len(Tests._fields))


def corrected_t_test(differences: Float64, test_to_train: float) -> tuple[float, float]:
    """Corrected resampled t test of a mean of 0, t and two-sided p.

    ``t = mean / √((1/J + n_test / n_train) s²)`` with ``J - 1`` degrees of freedom, where s² is the variance of the J
    differences: J training sets that overlap hold less information than J that do not.

    Args:
        differences: two or more, not all equal, shape (J,).
        test_to_train: n_test / n_train of a fold.

    Source: Nadeau and Bengio (2003), Inference for the generalization error, section 5.1.
    """
    n = len(differences)
    t = differences.mean() / np.sqrt((1 / n + test_to_train) * differences.var(ddof=1))
    return float(t), float(2 * stats.t.sf(abs(t), n - 1))


def tests(differences: Float64, test_to_train: float) -> Tests:
    """Test whether the mean of paired differences is 0.

    Args:
        differences: one for each fold, its mean over seeds, or one for each seed of a split, shape (J,).
        test_to_train: n_test / n_train of a fold.
    """
    if np.ptp(differences) == 0:
        return NO_TESTS
    plain, ranks = stats.ttest_1samp(differences, 0), stats.wilcoxon(differences)
    return Tests(
        float(plain.statistic),
        float(plain.pvalue),
        float(ranks.pvalue),
        *corrected_t_test(differences, test_to_train),
    )
