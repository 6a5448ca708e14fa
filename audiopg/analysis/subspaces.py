"""Angles between the subspaces in which two factors live, against what chance gives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import subspace_angles

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Angles:
    """Principal angles between two subspaces, and the same for random subspaces of the same dimensions."""

    degrees: Matrix
    """Principal angles, largest first, in [0, 90]."""
    null_degrees: Matrix
    """Mean principal angle of each pair of random subspaces, shape (n_null,)."""

    @property
    def mean(self) -> float:
        """Mean principal angle in degrees."""
        return float(self.degrees.mean())

    @property
    def p_value(self) -> float:
        """Share of random pairs that are at least as orthogonal (one-sided, never 0)."""
        return float((1 + (self.null_degrees >= self.mean).sum()) / (1 + len(self.null_degrees)))


def patterns(features: Matrix, weights: Matrix) -> Matrix:
    """Directions along which a factor moves the features: covariance times probe weights, shape (D, K).

    A probe's weights also cancel what disturbs it; the pattern is where the factor itself lies.
    Source: Haufe et al. (2014).
    """
    covariance: Matrix = np.cov(features, rowvar=False)
    return covariance @ weights


def angles_between(first: Matrix, second: Matrix, features: Matrix, n_null: int, draw: np.random.Generator) -> Angles:
    """Compare two subspaces with random ones drawn from the features' own covariance.

    Args:
        first: basis of one subspace, shape (D, K).
        second: basis of the other, shape (D, K').
        features: shape (N, D).
        n_null: number of random pairs.
        draw: source of the random pairs.
    """
    root = (features - features.mean(axis=0)).T / np.sqrt(len(features))

    def random(columns: int) -> Matrix:
        basis: Matrix = root @ draw.standard_normal((len(features), columns))
        return basis

    null = [subspace_angles(random(first.shape[1]), random(second.shape[1])).mean() for _ in range(n_null)]
    return Angles(np.rad2deg(subspace_angles(first, second)), np.rad2deg(np.array(null)))
