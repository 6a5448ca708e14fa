"""In which directions of the latent space factors lie, at which angles, and how one is taken out.

Features are divided by one common number only: standardising each feature would make angles depend on the axes in
which the encoder happens to write its embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.linalg import subspace_angles

from audiopg.analysis.ridge import Matrix, ridge
from audiopg.analysis.significance import holm, p_value
from audiopg.analysis.targets import Mask

DEGREE = 3
N_SHUFFLES = 20
R2_MIN = 0.01

Removal = Literal["projection", "whitened"]


@dataclass(frozen=True)
class Subspace:
    """Where a factor lies in the features."""

    main: Matrix
    """Direction in which the features move with the factor's rank, shape (D, 1)."""
    basis: Matrix
    """Directions of what can be read of the factor, best first, `main` where nothing can; shape (D, n)."""
    covariance: Matrix
    """Covariance of the features with what can be read of the factor, shape (D, n)."""
    readable: bool
    """Whether the factor's rank is read better than shuffled ranks."""
    self_deg: float
    """Mean principal angle in degrees between the factor's subspaces in two disjoint halves of the training clips."""


def ranks(values: Matrix, train: Mask) -> Matrix:
    """Ranks among the training clips, scaled to [-1, 1], shape (N,); NaN stays NaN."""
    known = np.sort(values[train & np.isfinite(values)])
    below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return np.where(np.isfinite(values), below / len(known) - 1, np.nan)


def curve(rank: Matrix) -> Matrix:
    """Legendre polynomials P1 to P3 of a rank, orthonormal over the clips, shape (N, at most 3).

    A factor of k values has k - 1 of them.
    """
    axes, triangle = np.linalg.qr(legendre.legvander(rank, DEGREE))
    sizes = np.diag(triangle)[1:]
    used = np.abs(sizes) > 1e-6 * np.sqrt(len(rank))
    polynomials: Matrix = (axes[:, 1:] * np.sign(sizes))[:, used] * np.sqrt(len(rank))
    return polynomials


def patterns(features: Matrix, weights: Matrix) -> Matrix:
    """Directions along which factors move the features: covariance times probe weights, shape (D, K).

    A probe's weights also cancel what disturbs it; the pattern is where the factor itself lies.
    Source: Haufe et al. (2014).
    """
    x = features - features.mean(axis=0)
    moved: Matrix = x.T @ (x @ weights) / len(x)
    return moved


def unread(targets: Matrix, left_out: Matrix) -> Matrix:
    """Covariance of what a probe misses of orthonormal targets, shape (K, K); its diagonal is 1 - R²."""
    missed = targets - left_out
    covariance: Matrix = missed.T @ missed / len(missed)
    return covariance


def mixtures(missed: Matrix, n: int) -> Matrix:
    """The n mixtures of the polynomials that are read best, or the first polynomial for n = 0, shape (K, n)."""
    best: Matrix = np.linalg.eigh(missed)[1][:, :n] if n else np.eye(len(missed))[:, :1]
    return best


def directions(features: Matrix, rank: Matrix, n: int, alphas: Sequence[float]) -> Matrix:
    """The directions of the n best read mixtures, shape (D, n)."""
    targets = curve(rank)
    probe = ridge(features, targets, alphas)
    return patterns(features, probe.weights) @ mixtures(unread(targets, probe.left_out), n)


def subspace(
    features: Matrix, rank: Matrix, groups: NDArray[np.int64], alphas: Sequence[float], draw: np.random.Generator
) -> Subspace:
    """Find a factor's subspace in the training clips.

    Its dimensions are mixtures of the polynomials, not the polynomials themselves: a factor laid out at uneven speed
    along a line makes several polynomials readable in one direction. One counts if its left-out R² is above
    0.01 and above that of the best mixture of each of 20 shuffles.

    Args:
        features: shape (N, D).
        rank: the factor's, shape (N,).
        groups: clips that stay in one half when the subspace is compared with itself, shape (N,).
        alphas: penalties to choose from by leave-one-out.
        draw: source of the shuffles and halves.
    """
    targets = curve(rank)
    k = targets.shape[1]
    columns = [targets, *(targets[draw.permutation(len(targets))] for _ in range(N_SHUFFLES))]
    probe = ridge(features, np.hstack(columns), alphas)
    left_out = np.split(probe.left_out, len(columns), axis=1)
    missed, *chance = [unread(labels, predicted) for labels, predicted in zip(columns, left_out, strict=True)]
    r2 = 1 - np.linalg.eigvalsh(missed)
    n = int((r2 > max(R2_MIN, *(1 - np.linalg.eigvalsh(shuffle)[0] for shuffle in chance))).sum())
    used = mixtures(missed, n)
    moved = patterns(features, probe.weights[:, :k])
    names = np.unique(groups)
    half = np.isin(groups, draw.choice(names, len(names) // 2, replace=False))
    halves = [directions(features[part], rank[part], n, alphas) for part in (half, ~half)]
    return Subspace(
        main=moved[:, :1],
        basis=moved @ used,
        covariance=(features - features.mean(axis=0)).T @ (targets @ used) / len(targets),
        readable=bool(1 - missed[0, 0] > max(R2_MIN, *(1 - shuffle[0, 0] for shuffle in chance))),
        self_deg=float(np.rad2deg(subspace_angles(*halves).mean())),
    )


@dataclass(frozen=True)
class Cloud:
    """The training clips' covariance by its axes, from which random subspaces are drawn."""

    axes: Matrix
    """Shape (D, rank)."""
    variances: Matrix
    """Along the axes, shape (rank,)."""

    @classmethod
    def of(cls, features: Matrix) -> "Cloud":
        """Measure the covariance of features of shape (N, D)."""
        x = features - features.mean(axis=0)
        variances, axes = np.linalg.eigh(x.T @ x / len(x))
        used = variances > 1e-10 * variances[-1]
        return cls(axes[:, used], variances[used])

    def random(self, n: int, k: int, draw: np.random.Generator) -> Matrix:
        """Bases of n random subspaces of k dimensions, shape (n, D, k)."""
        basis: Matrix = (self.axes * np.sqrt(self.variances)) @ draw.standard_normal((n, len(self.variances), k))
        return basis

    def remove(self, features: Matrix, basis: Matrix, by: Removal) -> Matrix:
        """Take a subspace out of the features, shape (N, D).

        Args:
            features: shape (N, D).
            basis: shape (D, n).
            by: ``projection`` sets what lies along the subspace to zero, at right angles in the features' units;
                ``whitened`` does so at right angles in the whitened features, the least change after which the
                features are uncorrelated with a factor whose covariance with them spans the subspace (Belrose et al.
                2023). Without a penalty, a linear map reads the same from what either leaves of one subspace.
        """
        reading = basis if by == "projection" else self.axes / self.variances @ (self.axes.T @ basis)
        left: Matrix = features - features @ reading @ np.linalg.pinv(basis.T @ reading) @ basis.T
        return left


def angles(subspaces: dict[str, Subspace], cloud: Cloud, n_null: int, draw: np.random.Generator) -> pd.DataFrame:
    """Compare each pair of subspaces with random ones of the same dimensions from the features' own covariance.

    Args:
        subspaces: by factor.
        cloud: of the training clips.
        n_null: number of random pairs.
        draw: source of the random pairs.
    """
    left, right = (np.linalg.qr(cloud.random(n_null, DEGREE, draw))[0] for _ in range(2))

    def null(m: int, n: int) -> Matrix:
        cosines = np.linalg.svd(left[:, :, :m].swapaxes(1, 2) @ right[:, :, :n], compute_uv=False)
        degrees: Matrix = np.rad2deg(np.arccos(np.clip(cosines, 0, 1))).mean(axis=1)
        return degrees

    rows: list[dict[str, Any]] = []
    for (first, a), (second, b) in combinations(subspaces.items(), 2):
        m, n = a.basis.shape[1], b.basis.shape[1]
        degrees = np.rad2deg(subspace_angles(a.basis, b.basis))
        chance = null(m, n)
        rows.append(
            {
                "first": first,
                "second": second,
                "n_first": m,
                "n_second": n,
                "angles_deg": degrees.tolist(),
                "min_deg": degrees[-1],
                "mean_deg": degrees.mean(),
                "cosine": np.cos(subspace_angles(a.main, b.main)[0]),
                "null_median_deg": np.median(chance),
                "null_cosine": np.median(np.cos(np.deg2rad(null(1, 1)))),
                "effect_deg": degrees.mean() - np.median(chance),
                "p_value": float(p_value(degrees.mean(), chance)),
                "self_first_deg": a.self_deg,
                "self_second_deg": b.self_deg,
                "readable": a.readable and b.readable,
            }
        )
    found = pd.DataFrame(rows)
    found["p_holm"] = holm(found["p_value"].to_numpy())
    return found
