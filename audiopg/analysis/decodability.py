"""How well a physical factor can be read from features by a linear map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """A ridge probe that was trained on one half of a probe corpus and scored on the other."""

    r2: float
    """Held-out R², averaged over targets; 0 is a constant guess of the mean, negative is worse."""
    alpha: float
    """Penalty chosen inside the training half."""
    weights: Matrix
    """Weights on the features as they are, of targets in standard deviations, shape (D, targets)."""


def ridge_probe(features: Matrix, targets: Matrix, alphas: Sequence[float]) -> Reading:
    """Fit ridge regression on the first half of the clips, the penalty by leave-one-out there; score on the second.

    Args:
        features: shape (N, D).
        targets: shape (N, K).
        alphas: penalties to choose from.
    """
    half = len(features) // 2
    scaler = StandardScaler().fit(features[:half])
    centre, spread = targets[:half].mean(axis=0), targets[:half].std(axis=0)
    standardised = (targets - centre) / spread
    ridge = RidgeCV(alphas=alphas).fit(scaler.transform(features[:half]), standardised[:half])
    predicted = ridge.predict(scaler.transform(features[half:])).reshape(standardised[half:].shape)
    weights = np.asarray(ridge.coef_).reshape(targets.shape[1], -1).T / scaler.scale_[:, None]
    return Reading(float(r2_score(standardised[half:], predicted)), float(ridge.alpha_), weights)
