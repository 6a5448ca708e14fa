"""The rows of a results table: what they are called, and how their figures are averaged."""

import numpy as np

TITLES = {
    "pretrained": "pre-trained",
    "scratch": "scratch",
    "probe_linear": "linear probe",
    "probe_knn": "k-NN probe",
    "probe_random": "random weights",
    "logmel_stats": "log-mel statistics",
}


def mean_and_std(values: list[float]) -> dict[str, float | int]:
    """Mean and sample standard deviation over folds, as the results show them (0 for a single fold)."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 6), "std": round(std, 6), "n": len(values)}


def with_spread(mean: str, std: float, n: int) -> str:
    """Write a mean with its standard deviation over n figures; one figure has none."""
    return f"{mean} ± {std:.3f}" if n > 1 else mean
