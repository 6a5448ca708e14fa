"""Ridge regression of many targets at once, each with its own penalty."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from audiopg.arrays import Float64, Int64


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of many targets, the penalty of each chosen by leaving out clips."""

    weights: Float64
    """Shape (P, K)."""
    offset: Float64
    """Shape (K,)."""
    left_out: Float64
    """Prediction for each clip by the fit without its group, shape (N, K)."""

    def predict(self, features: Float64) -> Float64:
        """Predictions from features of shape (N, P), shape (N, K)."""
        predicted: Float64 = features @ self.weights + self.offset
        return predicted


def ridge(features: Float64, targets: Float64, alphas: Iterable[float], groups: Int64) -> Ridge:
    """Fit all targets by one eigendecomposition, with the closed form of leaving out each group.

    For groups of one clip the same as scikit-learn's `RidgeCV(alpha_per_target=True)`, which takes 1.4 to 6 times as
    long and keeps no left-out predictions.

    Args:
        features: shape (N, P).
        targets: shape (N, K).
        alphas: penalties to choose from.
        groups: clips that are left out together, shape (N,).
    """
    centre, mean = features.mean(axis=0), targets.mean(axis=0)
    x, y = features - centre, targets - mean
    if len(x) > x.shape[1]:
        variances, axes = np.linalg.eigh(x.T @ x)
        used = variances > 1e-12 * variances[-1]
        variances, axes = variances[used], axes[:, used]
    else:
        variances, clips = np.linalg.eigh(x @ x.T)
        used = variances > 1e-12 * variances[-1]
        variances = variances[used]
        axes = x.T @ clips[:, used] / np.sqrt(variances)
    scores = x @ axes
    projected = scores.T @ y
    names, member = np.unique(groups, return_inverse=True)
    together = [np.flatnonzero(member == group) for group in range(len(names))] if len(names) < len(x) else []
    errors, weights, left_out = np.full(y.shape[1], np.inf), np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape)
    for alpha in alphas:
        solution = projected / (variances + alpha)[:, None]
        residuals = y - scores @ solution
        for rows in together:
            hat = scores[rows] / (variances + alpha) @ scores[rows].T + 1 / len(x)
            residuals[rows] = np.linalg.solve(np.eye(len(rows)) - hat, residuals[rows])
        if not together:
            leverage = np.einsum("np,np,p->n", scores, scores, 1 / (variances + alpha)) + 1 / len(x)
            residuals /= (1 - leverage)[:, None]
        error = (residuals**2).sum(axis=0)
        better = error < errors
        errors[better], weights[:, better] = error[better], axes @ solution[:, better]
        left_out[:, better] = targets[:, better] - residuals[:, better]
    return Ridge(weights, mean - centre @ weights, left_out)
