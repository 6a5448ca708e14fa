"""Figures of merit of a classifier."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score


def accuracy(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Share of clips whose highest score is at the true class.

    Args:
        truth: class numbers, shape (N,).
        scores: any monotone scores, shape (N, C).
    """
    return float(accuracy_score(truth, scores.argmax(axis=1)))


def mean_and_std(values: list[float]) -> dict[str, float | int]:
    """Mean and sample standard deviation over folds, as they stand in the results (0 for a single fold)."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 6), "std": round(std, 6), "n": len(values)}
