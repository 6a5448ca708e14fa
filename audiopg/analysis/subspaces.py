"""In which directions of the latent space factors lie, and at which angles.

Features are divided by one common number only: standardising each feature would make angles depend on the axes in
which the encoder happens to write its embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

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
N_RESAMPLES = 200

Bases = dict[str, Matrix]
"""Orthonormal basis of each factor's subspace, shape (D, n)."""


@dataclass(frozen=True)
class Readable:
    """A factor in N clips, as far as it can be read."""

    curve: Matrix
    """Polynomials of the factor's rank, orthonormal over the clips, shape (N, k)."""
    mixture: Matrix
    """Mixtures of the polynomials that are read, best first, shape (k, n); the rank itself where none is."""
    rank_is_read: bool
    """Whether the rank itself is read better than shuffled ranks."""


def ranks(values: Matrix, train: Mask) -> Matrix:
    """Ranks among the training clips, scaled to [-1, 1], shape (N,)."""
    known = np.sort(values[train])
    below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return np.asarray(below / len(known) - 1)


def curve(rank: Matrix) -> Matrix:
    """Legendre polynomials P1 to P3 of a rank, orthonormal over the clips, shape (N, at most 3).

    A factor of k values has k - 1 of them.
    """
    axes, triangle = np.linalg.qr(legendre.legvander(rank, DEGREE))
    sizes = np.diag(triangle)[1:]
    used = np.abs(sizes) > 1e-6 * np.sqrt(len(rank))
    polynomials: Matrix = (axes[:, 1:] * np.sign(sizes))[:, used] * np.sqrt(len(rank))
    return polynomials


def unread(targets: Matrix, left_out: Matrix) -> Matrix:
    """Covariance of what a probe misses of orthonormal targets, shape (K, K); its diagonal is 1 - R²."""
    missed = targets - left_out
    covariance: Matrix = missed.T @ missed / len(missed)
    return covariance


def readable(
    features: Matrix, rank: Matrix, groups: NDArray[np.int64], alphas: Sequence[float], draw: np.random.Generator
) -> Readable:
    """Find what of a factor can be read by linear probes, left-out clips by the others.

    The dimensions are mixtures of the polynomials, not the polynomials themselves: a factor laid out at uneven speed
    along a line makes several polynomials readable in one direction. One counts if its left-out R² is above
    0.01 and above that of the best mixture of each of 20 shuffles.

    Args:
        features: shape (N, D).
        rank: the factor's, shape (N,).
        groups: clips that are left out together, shape (N,).
        alphas: penalties to choose from by leaving out.
        draw: source of the shuffles.
    """
    targets = curve(rank)
    columns = [targets, *(targets[draw.permutation(len(targets))] for _ in range(N_SHUFFLES))]
    left_out = np.split(ridge(features, np.hstack(columns), alphas, groups).left_out, len(columns), axis=1)
    missed, *chance = [unread(labels, predicted) for labels, predicted in zip(columns, left_out, strict=True)]
    variances, mixtures = np.linalg.eigh(missed)
    n = int((1 - variances > max(R2_MIN, *(1 - np.linalg.eigvalsh(shuffle)[0] for shuffle in chance))).sum())
    return Readable(
        curve=targets,
        mixture=mixtures[:, :n] if n else np.eye(len(missed))[:, :1],
        rank_is_read=bool(1 - missed[0, 0] > max(R2_MIN, *(1 - shuffle[0, 0] for shuffle in chance))),
    )


def halved(groups: NDArray[np.int64], draw: np.random.Generator) -> Mask:
    """Draw half of the groups; True for their clips, shape (N,)."""
    names = np.unique(groups)
    return np.isin(groups, draw.choice(names, len(names) // 2, replace=False))


def responses(features: Matrix, factors: dict[str, Readable], counts: Matrix) -> dict[str, Matrix]:
    """How the features move with each factor's polynomials, shape (k, D): a regression on those of all factors at once.

    A probe's weights would also cancel what disturbs it (Haufe et al. 2014); and the directions of each factor alone
    would hold a part of every other that it correlates with by chance.

    Args:
        features: shape (N, D).
        factors: by name.
        counts: how often each clip counts, shape (N,).
    """
    design = np.hstack([np.ones((len(features), 1)), *(factor.curve for factor in factors.values())])
    weighted = (design * counts[:, None]).T
    moves = np.linalg.lstsq(weighted @ design, weighted @ features)[0][1:]
    ends = np.cumsum([factor.curve.shape[1] for factor in factors.values()])[:-1]
    return dict(zip(factors, np.split(moves, ends), strict=True))


def bases(features: Matrix, factors: dict[str, Readable], counts: Matrix) -> Bases:
    """Span each factor's subspace by the directions in which the features move with what can be read of it.

    Args:
        features: shape (N, D).
        factors: by name.
        counts: how often each clip counts, shape (N,).
    """
    moved = responses(features, factors, counts)
    return {name: orthonormal(moved[name].T @ factor.mixture) for name, factor in factors.items()}


def orthonormal(basis: Matrix) -> Matrix:
    """The nearest orthonormal columns, shape (..., D, n): two estimates of a basis stay as near as they are."""
    left, _, right = np.linalg.svd(basis, full_matrices=False)
    return np.asarray(left @ right)


@dataclass(frozen=True)
class Cloud:
    """The covariance of features by its axes, from which random subspaces are drawn."""

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
        """Orthonormal bases of n random subspaces of k dimensions, shape (n, D, k)."""
        return orthonormal((self.axes * np.sqrt(self.variances)) @ draw.standard_normal((n, len(self.variances), k)))


def overlap(first: Matrix, second: Matrix, third: Matrix, fourth: Matrix) -> Matrix:
    """Mean squared cosine of two subspaces, the product of two estimates of their cosines, shape (...).

    With independent errors in the estimates, the expected overlap of subspaces at right angles is 0; the square of one
    estimate is always positive.

    Args:
        first: estimate of one subspace, orthonormal, shape (..., D, m).
        second: of the other, shape (..., D, n).
        third: another estimate of the one.
        fourth: another estimate of the other.
    """
    one, other = first.swapaxes(-1, -2) @ second, third.swapaxes(-1, -2) @ fourth
    return np.asarray((one * other).sum(axis=(-1, -2)) / min(one.shape[-2:]))


def corrected(first_half: Bases, second_half: Bases) -> Matrix:
    """Overlap of each pair of factors as it would be without the error of the estimates, shape (pairs,), at most 1.

    Two estimates of a subspace from different clips tell how reliable they are; an overlap shrinks by the root of both
    reliabilities.
    Source: Spearman (1904), the correction for attenuation.
    """
    reliable = {
        name: np.sqrt(max(0.0, float(overlap(basis, second_half[name], basis, second_half[name]))))
        for name, basis in first_half.items()
    }
    return np.array(
        [
            min(1.0, float(overlap(first_half[a], first_half[b], second_half[a], second_half[b])) / max(size, 1e-6))
            for a, b in combinations(first_half, 2)
            for size in [reliable[a] * reliable[b]]
        ]
    )


def degrees(overlaps: Matrix) -> Matrix:
    """Angle whose squared cosine is the overlap; less than none counts as none."""
    return np.asarray(np.rad2deg(np.arccos(np.sqrt(overlaps.clip(0, 1)))))


def angles(
    features: Matrix,
    factors: dict[str, Readable],
    half: Mask,
    groups: NDArray[np.int64],
    n_null: int,
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Compare each pair of subspaces, and all pairs together, with random ones of the same dimensions.

    Args:
        features: shape (N, D).
        factors: by name, at least two.
        half: the clips of one of two estimates, shape (N,).
        groups: clips that a resample draws together, shape (N,).
        n_null: number of random subspaces for each factor, from the features' own covariance.
        draw: source of resamples and random subspaces.
    """
    pairs = list(combinations(factors, 2))
    halves = [bases(features, factors, side) for side in (half.astype(float), (~half).astype(float))]
    whole = bases(features, factors, np.ones(len(features)))
    main = {name: moves[:1].T for name, moves in responses(features, factors, np.ones(len(features))).items()}
    found = corrected(halves[0], halves[1])
    resampled = np.stack([corrected(*_resampled(features, factors, half, groups, draw)) for _ in range(N_RESAMPLES)])
    cloud = Cloud.of(features)
    random = {name: cloud.random(n_null, basis.shape[1], draw) for name, basis in whole.items()}
    lines = {name: cloud.random(n_null, 1, draw) for name in factors}
    null = np.stack([overlap(random[a], random[b], random[a], random[b]) for a, b in pairs], axis=1)
    low, high = np.quantile(degrees(resampled), [0.025, 0.975], axis=0)
    # small overlaps count; averaged over what the overlap may be, given the clips
    p_values = np.array([p_value(-resampled[:, i], -null[:, i]).mean() for i in range(len(pairs))])
    together = float(p_value(-resampled.mean(axis=1), -null.mean(axis=1)).mean())
    rows: list[dict[str, Any]] = []
    for i, (a, b) in enumerate(pairs):
        chance = float(np.median(degrees(null[:, i])))
        row = {
            "first": a,
            "second": b,
            "n_first": whole[a].shape[1],
            "n_second": whole[b].shape[1],
            "angles_deg": np.rad2deg(subspace_angles(whole[a], whole[b])).tolist(),
            "angle_deg": float(degrees(found[i])),
            "low_deg": low[i],
            "high_deg": high[i],
            "cosine": np.cos(subspace_angles(main[a], main[b])[0]),
            "null_median_deg": chance,
            "null_cosine": np.median(np.abs((lines[a] * lines[b]).sum(axis=(1, 2)))),
            "effect_deg": float(degrees(found[i])) - chance,
            "p_value": p_values[i],
            "p_together": together,
            "self_first_deg": _between(*(side[a] for side in halves)),
            "self_second_deg": _between(*(side[b] for side in halves)),
            "readable": factors[a].rank_is_read and factors[b].rank_is_read,
        }
        rows.append(row)
    return pd.DataFrame(rows).assign(p_holm=holm(p_values))


def _between(one: Matrix, other: Matrix) -> float:
    """Angle in degrees of two estimates of one subspace."""
    return float(degrees(overlap(one, other, one, other)))


def _resampled(
    features: Matrix, factors: dict[str, Readable], half: Mask, groups: NDArray[np.int64], draw: np.random.Generator
) -> list[Bases]:
    """Both estimates from groups drawn anew within each half."""
    estimates = []
    for side in (half, ~half):
        names, members = np.unique(groups[side], return_inverse=True)
        counts = np.zeros(len(features))
        counts[side] = np.bincount(draw.integers(len(names), size=len(names)), minlength=len(names))[members]
        estimates.append(bases(features, factors, counts))
    return estimates
