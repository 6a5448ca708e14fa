"""Whether factors lie in orthogonal subspaces: their angles, and what is left of one without the other."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from audiopg.analysis.corpora.targets import FactorTable, Resamples
from audiopg.analysis.measures.subspaces import (
    Bases,
    EmbeddingCovariance,
    angles,
    halved,
    ranks,
    readable,
    responses,
    spans,
)
from audiopg.arrays import Float64
from audiopg.evaluate.ridge import Ridge, ridge

N_RANDOM = 5


def agreement_parts(true: Float64, read: Float64) -> Float64:
    """Terms of each clip in the sums behind `agreement`; both arguments (N,), the result (N, 6)."""
    y, x = true - true.mean(), read - read.mean()
    return np.stack([np.ones_like(y), y, x, y * y, x * x, x * y], axis=1)


def agreement(sums: Float64) -> Float64:
    """Squared correlation, of sums of `agreement_parts` over clips, shape (..., 6); 0 where a probe reads a constant.

    Not R²: with a subspace taken out, a probe may read too little, or other things as well, and still show the factor.
    """
    count, y, x, yy, xx, xy = np.moveaxis(sums, -1, 0)
    spread = (yy - y**2 / count) * (xx - x**2 / count)
    return np.asarray(np.divide((xy - x * y / count) ** 2, spread, out=np.zeros_like(spread), where=spread > 0))


def read_without(
    taken: Sequence[Float64 | None], probes: Sequence[Ridge], features: Float64, factors: dict[str, Float64]
) -> dict[str, Float64]:
    """What frozen probes read once a subspace is taken out: `agreement_parts` of each factor.

    Args:
        taken: for each set of probes an orthonormal basis of what is set to zero, shape (D, n); None for nothing.
        probes: of all factors, each set trained on other clips; the parts are their mean.
        features: of the scored clips, less the mean of the training clips, shape (N, D).
        factors: ranks of the scored clips, shape (N,).
    """
    parts = {name: np.zeros((len(features), 6)) for name in factors}
    for basis, trained in zip(taken, probes, strict=True):
        left = features if basis is None else features - features @ basis @ basis.T
        for (name, rank), read in zip(factors.items(), trained.predict(left).T, strict=True):
            parts[name] += agreement_parts(rank, read) / len(probes)
    return parts


def interventions(  # noqa: PLR0913
    features: Float64,
    factors: dict[str, Float64],
    probes: Sequence[Ridge],
    shown: Sequence[Bases],
    covariance: EmbeddingCovariance,
    resamples: Resamples,
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Take each factor's subspace out of the features, and score what frozen probes then read of all factors.

    Args:
        features: of the scored clips, less the mean of the training clips, shape (N, D).
        factors: ranks of the scored clips, shape (N,).
        probes: sets of probes of all factors.
        shown: for each set the factors' subspaces, from clips that the set was not trained on.
        covariance: from which random subspaces are drawn.
        resamples: bootstrap of the scored clips.
        draw: source of the random subspaces.
    """
    everyone = np.ones(len(features), bool)

    def without(*taken: Float64 | None) -> dict[str, Float64]:
        parts = read_without(taken, probes, features, factors)
        return {
            name: np.append(resamples.scores(agreement, part, everyone), agreement(part.sum(axis=0)))
            for name, part in parts.items()
        }

    untouched = without(*(None for _ in probes))
    sizes = {bases[name].shape[1] for bases in shown for name in bases}
    random = {
        n: [without(*(basis for _ in probes)) for basis in covariance.random(N_RANDOM, n, draw)] for n in sorted(sizes)
    }
    rows: list[dict[str, Any]] = []
    for erased, basis in shown[0].items():
        left = without(*(bases[erased] for bases in shown))
        for factor, before in untouched.items():
            *resampled, share = kept(left[factor], before)
            by_chance = np.mean([drawn[factor] for drawn in random[basis.shape[1]]], axis=0)
            low, high = np.quantile(resampled, [0.025, 0.975])
            row = {
                "erased": erased,
                "factor": factor,
                "r2_before": before[-1],
                "r2_after": left[factor][-1],
                "r2_random": by_chance[-1],
                "kept": share,
                "kept_low": low,
                "kept_high": high,
                "kept_random": kept(by_chance, before)[-1],
            }
            rows.append(row)
    return pd.DataFrame(rows)


def kept(after: Float64, before: Float64) -> Float64:
    """Share that stays; 0 where nothing was there before."""
    return np.asarray(np.divide(after, before, out=np.zeros_like(before), where=before > 0))


def in_encoder(  # noqa: PLR0913
    x: Float64,
    covariance: EmbeddingCovariance,
    known: FactorTable,
    alphas: Sequence[float],
    n_null: int,
    draw: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Angles and interventions in the features of one encoder, shape (N, D)."""
    train, groups = ~known.held_out, known.groups[~known.held_out]
    ranked = {factor: ranks(values, train) for factor, values in known.factors.items()}
    factors = {factor: readable(x[train], rank[train], groups, alphas, draw) for factor, rank in ranked.items()}
    half = halved(groups, draw)
    seen, labels = x[train], np.stack([rank[train] for rank in ranked.values()], axis=1)
    pairs = angles(seen, factors, half, groups, covariance, n_null, draw)
    probes = [ridge(seen[side], labels[side], alphas, groups[side]) for side in (half, ~half)]
    # the subspaces of one half are taken out for the probes of the other half
    shown = [spans(responses(seen, factors, side.astype(float)), factors) for side in (~half, half)]
    scored = {factor: rank[known.held_out] for factor, rank in ranked.items()}
    resamples = Resamples(known.groups, known.held_out, draw)
    return pairs, interventions(x[known.held_out], scored, probes, shown, covariance, resamples, draw)


def orthogonality(  # noqa: PLR0913
    features: dict[str, Float64],
    covariances: Mapping[str, EmbeddingCovariance],
    known: FactorTable,
    alphas: Sequence[float],
    n_null: int,
    draw: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Angles between the factors' subspaces in each encoder, and what of each factor is left without another's.

    Subspaces are found in the training half alone; the held-out half only scores the interventions.

    Args:
        features: one layer and pooling by encoder, shape (N, D).
        covariances: by encoder, of clips in which more varies than the factors; random subspaces are drawn from them.
        known: of the clips; at least two factors, independent of one another and with a meaning in each clip; the
            classes are not looked at.
        alphas: penalties to choose from by leaving out clips, or groups of them.
        n_null: number of random subspaces behind each p value.
        draw: source of shuffles, halves, resamples and random subspaces, the same for every encoder.

    Returns:
        Angles with columns ``encoder, first, second, n_first, n_second``; of the subspaces ``principal_deg`` (largest
        first) ``, principal_mean_deg, principal_null_deg`` (median of random ones) ``, principal_p_value``; of the main
        directions, without the error of the estimates, ``angle_deg, low_deg, high_deg`` (95 % interval by resampled
        clips) ``, cosine, null_deg, effect_deg, p_value`` (of an angle at least as large by chance) ``, p_holm,
        p_together`` (of all pairs' mean squared cosine) ``, self_first_deg, self_second_deg`` (between two estimates)
        ``, readable``;
        interventions with columns ``encoder, erased, factor, r2_before, r2_after, r2_random, kept, kept_low, kept_high,
        kept_random``; here r² is the squared correlation of what a probe reads with the rank.
    """
    pairs: list[pd.DataFrame] = []
    losses: list[pd.DataFrame] = []
    for encoder, embedding in features.items():
        x = np.asarray(embedding, np.float64)
        x = x - x[~known.held_out].mean(axis=0)
        # the penalties then mean the same for every encoder
        x /= np.sqrt(x[~known.held_out].var(axis=0).mean())
        found = in_encoder(x, covariances[encoder], known, alphas, n_null, copy.deepcopy(draw))
        for frames, frame in zip((pairs, losses), found, strict=True):
            frame.insert(0, "encoder", encoder)
            frames.append(frame)
    return pd.concat(pairs, ignore_index=True), pd.concat(losses, ignore_index=True)
