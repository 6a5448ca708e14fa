"""Directions of factors in the latent space, and the angles between them.

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
from scipy.linalg import subspace_angles

from audiopg.analysis.measures.significance import holm, p_value
from audiopg.arrays import Bool, Float64, Int64
from audiopg.evaluate.ridge import ridge

DEGREE = 3
N_SHUFFLES = 20
R2_MIN = 0.01
N_RESAMPLES = 200

Bases = dict[str, Float64]
"""Orthonormal basis of each factor's subspace, shape (D, n)."""


@dataclass(frozen=True)
class Readable:
    """A factor in N clips, as far as it can be read."""

    curve: Float64
    """Polynomials of the factor's rank, orthonormal over the clips, shape (N, k)."""
    mixture: Float64
    """Mixtures of the polynomials that are read, best first, shape (k, n); the rank itself where none is."""
    rank_is_read: bool
    """Whether the rank itself is read better than shuffled ranks."""


def ranks(values: Float64, train: Bool) -> Float64:
    """Ranks among the training clips, scaled to [-1, 1], shape (N,)."""
    known = np.sort(values[train])
    below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return np.asarray(below / len(known) - 1)


def curve(rank: Float64) -> Float64:
    """Legendre polynomials P1 to P3 of a rank, orthonormal over the clips, shape (N, at most 3).

    A factor of k values has k - 1 of them.
    """
    axes, triangle = np.linalg.qr(legendre.legvander(rank, DEGREE))
    sizes = np.diag(triangle)[1:]
    used = np.abs(sizes) > 1e-6 * np.sqrt(len(rank))
    polynomials: Float64 = (axes[:, 1:] * np.sign(sizes))[:, used] * np.sqrt(len(rank))
    return polynomials


def unread(targets: Float64, left_out: Float64) -> Float64:
    """Covariance of what a probe misses of orthonormal targets, shape (K, K); its diagonal is 1 - R²."""
    missed = targets - left_out
    covariance: Float64 = missed.T @ missed / len(missed)
    return covariance


def readable(
    features: Float64, rank: Float64, groups: Int64, alphas: Sequence[float], draw: np.random.Generator
) -> Readable:
    """Find what linear probes can read of a factor in left-out clips.

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


def halved(groups: Int64, draw: np.random.Generator) -> Bool:
    """Draw half of the groups; True for their clips, shape (N,)."""
    names = np.unique(groups)
    return np.isin(groups, draw.choice(names, len(names) // 2, replace=False))


def responses(features: Float64, factors: dict[str, Readable], counts: Float64) -> dict[str, Float64]:
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


def spans(moved: dict[str, Float64], factors: dict[str, Readable]) -> Bases:
    """Span each factor's subspace by the directions in which the features move with what can be read of it.

    Args:
        moved: from `responses`.
        factors: by name.
    """
    return {name: np.linalg.qr(moved[name].T @ factor.mixture)[0] for name, factor in factors.items()}


@dataclass(frozen=True)
class EmbeddingCovariance:
    """The covariance of features by its axes, from which random subspaces are drawn."""

    axes: Float64
    """Shape (D, rank)."""
    variances: Float64
    """Along the axes, shape (rank,)."""

    @classmethod
    def of(cls, features: Float64) -> "EmbeddingCovariance":
        """Measure the covariance of features of shape (N, D)."""
        x = features - features.mean(axis=0)
        variances, axes = np.linalg.eigh(x.T @ x / len(x))
        used = variances > 1e-10 * variances[-1]
        return cls(axes[:, used], variances[used])

    def random(self, n: int, k: int, draw: np.random.Generator) -> Float64:
        """Orthonormal bases of n random subspaces of k dimensions, shape (n, D, k)."""
        drawn = (self.axes * np.sqrt(self.variances)) @ draw.standard_normal((n, len(self.variances), k))
        return np.asarray(np.linalg.qr(drawn)[0])


def squared_cosines(first: dict[str, Float64], second: dict[str, Float64]) -> Float64:
    """Squared cosine of each pair of factors' main directions, without the error of the estimates, shape (pairs,).

    The cosine is estimated in both halves of the clips, and the product taken: independent errors cancel in its mean,
    which a square would add up. It shrinks by the reliability of both directions, which their two estimates give.
    At most 1; below 0, at least -1, where the halves disagree on the sign.

    Args:
        first: from `responses` in one half of the clips.
        second: in the other half.
    Source: Spearman (1904), the correction for attenuation.
    """
    one, other = ({name: _unit(moved[0]) for name, moved in half.items()} for half in (first, second))
    reliable = {name: max(float(line @ other[name]), 1e-3) for name, line in one.items()}
    return np.array(
        [
            float((one[a] @ one[b]) * (other[a] @ other[b])) / (reliable[a] * reliable[b])
            for a, b in combinations(one, 2)
        ]
    ).clip(-1, 1)


def _unit(line: Float64) -> Float64:
    return line / np.linalg.norm(line)


def _between(one: Float64, other: Float64) -> float:
    """Angle in degrees of two estimates of one direction, at most 90."""
    return float(degrees(np.maximum(_unit(one) @ _unit(other), 0) ** 2))


def degrees(squared: Float64) -> Float64:
    """Angle of a squared cosine; a negative one counts as 0."""
    return np.asarray(np.rad2deg(np.arccos(np.sqrt(squared.clip(0, 1)))))


def angles(  # noqa: PLR0913
    features: Float64,
    factors: dict[str, Readable],
    half: Bool,
    groups: Int64,
    covariance: EmbeddingCovariance,
    n_null: int,
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Compare the subspaces and main directions of each pair of factors with random ones of the same dimensions.

    Args:
        features: shape (N, D).
        factors: by name, at least two.
        half: the clips of one of two estimates, shape (N,).
        groups: clips that a resample draws together, shape (N,).
        covariance: from which random subspaces are drawn.
        n_null: number of random subspaces for each factor.
        draw: source of resamples and random subspaces.
    """
    pairs = list(combinations(factors, 2))
    halves = [responses(features, factors, side.astype(float)) for side in (half, ~half)]
    found = squared_cosines(*halves)
    resampled = np.stack(
        [
            squared_cosines(*(responses(features, factors, _drawn(groups, side, draw)) for side in (half, ~half)))
            for _ in range(N_RESAMPLES)
        ]
    )
    low, high = np.quantile(degrees(resampled), [0.025, 0.975], axis=0)
    lines = {name: covariance.random(n_null, 1, draw) for name in factors}
    null = np.stack([(lines[a] * lines[b]).sum(axis=(1, 2)) ** 2 for a, b in pairs], axis=1)
    # small cosines count; averaged over what the cosine may be, given the clips
    p_values = np.array([p_value(-resampled[:, i], -null[:, i]).mean() for i in range(len(pairs))])
    read = np.array([factors[a].rank_is_read and factors[b].rank_is_read for a, b in pairs])
    # a direction that is noise is orthogonal to all others
    together = p_value(-resampled[:, read].mean(axis=1), -null[:, read].mean(axis=1)).mean() if read.any() else 1.0
    own = {name: _between(halves[0][name][0], halves[1][name][0]) for name in factors}
    subspaces = spans(responses(features, factors, np.ones(len(features))), factors)
    random = {name: covariance.random(n_null, basis.shape[1], draw) for name, basis in subspaces.items()}
    rows: list[dict[str, Any]] = []
    for i, (a, b) in enumerate(pairs):
        principal = np.rad2deg(subspace_angles(subspaces[a], subspaces[b]))
        cosines = np.linalg.svd(random[a].swapaxes(1, 2) @ random[b], compute_uv=False)
        chance = np.rad2deg(np.arccos(cosines.clip(0, 1))).mean(axis=1)
        row = {
            "first": a,
            "second": b,
            "n_first": subspaces[a].shape[1],
            "n_second": subspaces[b].shape[1],
            "principal_deg": principal.tolist(),
            "principal_mean_deg": principal.mean(),
            "principal_null_deg": np.median(chance),
            "principal_p_value": float(p_value(principal.mean(), chance)),
            "angle_deg": float(degrees(found[i])),
            "low_deg": low[i],
            "high_deg": high[i],
            "cosine": float(np.sqrt(found[i].clip(0))),
            "null_deg": float(np.median(degrees(null[:, i]))),
            "effect_deg": float(degrees(found[i]) - np.median(degrees(null[:, i]))),
            "p_value": p_values[i],
            "p_together": float(together),
            "self_first_deg": own[a],
            "self_second_deg": own[b],
            "readable": bool(read[i]),
        }
        rows.append(row)
    return pd.DataFrame(rows).assign(p_holm=holm(p_values))


def _drawn(groups: Int64, side: Bool, draw: np.random.Generator) -> Float64:
    """How often each clip counts when the groups of one half are drawn again, shape (N,)."""
    names, members = np.unique(groups[side], return_inverse=True)
    counts = np.zeros(len(groups))
    counts[side] = np.bincount(draw.integers(len(names), size=len(names)), minlength=len(names))[members]
    return counts
