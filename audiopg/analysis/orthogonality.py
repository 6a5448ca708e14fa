"""Whether factors lie in orthogonal subspaces: their angles, and what is left of one without the other."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiopg.analysis.ridge import Matrix, Ridge, ridge
from audiopg.analysis.subspaces import Bases, Cloud, Readable, angles, bases, halved, ranks, readable
from audiopg.analysis.targets import Known, Mask, Resamples, Target

N_RANDOM = 5
FOLDS = ("first", "second")


@dataclass(frozen=True)
class Taken:
    """A subspace to take out, as the halves of the training clips and as all of them show it; shapes (D, n)."""

    first: Matrix
    second: Matrix
    whole: Matrix


@dataclass(frozen=True)
class Probes:
    """Probes of all factors, and how they are scored once a subspace is taken out.

    Those ``within`` read a factor from the coordinates in its own subspace; they are trained on one half of the
    training clips before anything is taken out, and what is taken out is a subspace that the other half shows. So the
    factor itself need not go, and another need not stay. Those ``anew`` are trained on all that is left of the
    embedding, and on all training clips; nothing linear can be left for them of the factor itself, and another stays
    wherever the embedding holds it twice.
    """

    features: Matrix
    """Shape (N, D)."""
    centre: Matrix
    """Mean of the training clips, shape (D,)."""
    targets: list[Target]
    held_out: Mask
    alphas: Sequence[float]
    groups: NDArray[np.int64]
    subspaces: dict[str, Bases]
    """Of ``first`` and ``second``, the halves that train the probes."""
    frozen: dict[str, dict[str, Ridge]]
    """By half and factor."""

    def within(self, taken: Taken | None) -> dict[str, Matrix]:
        """Parts of each factor's score (see `Target.parts`), their mean over both ways to divide the clips."""
        parts: dict[str, Matrix] = {}
        x = self.features[self.held_out] - self.centre
        for fold, out in zip(FOLDS, (None, None) if taken is None else (taken.second, taken.first), strict=True):
            left = x if out is None else x - x @ out @ out.T
            for target in self.targets:
                read = self.frozen[fold][target.factor].predict(left @ self.subspaces[fold][target.factor])
                share = target.parts(target.values[self.held_out], read) / len(FOLDS)
                parts[target.factor] = parts.get(target.factor, 0) + share
        return parts

    def anew(self, taken: Taken | None) -> dict[str, Matrix]:
        """Parts of each factor's score (see `Target.parts`)."""
        x = self.features - self.centre
        left = x if taken is None else x - x @ taken.whole @ taken.whole.T
        train = ~self.held_out
        values = np.hstack([target.values for target in self.targets])
        read = ridge(left[train], values[train], self.alphas, self.groups[train]).predict(left[self.held_out])
        return {
            target.factor: target.parts(target.values[self.held_out], read[:, [i]])
            for i, target in enumerate(self.targets)
        }


def interventions(
    probes: Probes, subspaces: dict[str, Taken], cloud: Cloud, resamples: Resamples, draw: np.random.Generator
) -> pd.DataFrame:
    """Take each factor's subspace out of the features, and score what probes then read of all factors.

    Args:
        probes: of the factors.
        subspaces: by factor.
        cloud: of the training clips.
        resamples: bootstrap of the held-out clips.
        draw: source of the random subspaces.
    """
    by_name = {target.factor: target for target in probes.targets}
    everyone = np.ones(probes.held_out.sum(), bool)
    sizes = sorted({taken.whole.shape[1] for taken in subspaces.values()})
    random = {n: [Taken(basis, basis, basis) for basis in cloud.random(N_RANDOM, n, draw)] for n in sizes}
    ways: dict[str, Callable[[Taken | None], dict[str, Matrix]]] = {"within": probes.within, "anew": probes.anew}
    rows: list[dict[str, Any]] = []
    for way, parts_of in ways.items():

        def r2(parts: dict[str, Matrix]) -> dict[str, float]:
            return {factor: float(by_name[factor].score(part.sum(axis=0))) for factor, part in parts.items()}

        untouched = parts_of(None)
        before = r2(untouched)
        drawn = {f: resamples.scores(by_name[f], part, everyone) for f, part in untouched.items()}
        chance = {n: [r2(parts_of(taken)) for taken in several] for n, several in random.items()}
        for erased, taken in subspaces.items():
            parts = parts_of(taken)
            for factor, after in r2(parts).items():
                shares = kept(resamples.scores(by_name[factor], parts[factor], everyone), drawn[factor])
                low, high = np.quantile(shares, [0.025, 0.975])
                row = {
                    "erased": erased,
                    "probe": way,
                    "factor": factor,
                    "r2_before": before[factor],
                    "r2_after": after,
                    "kept": float(kept(np.array(after), np.array(before[factor]))),
                    "kept_low": low,
                    "kept_high": high,
                    "r2_random": np.mean([found[factor] for found in chance[taken.whole.shape[1]]]),
                }
                rows.append(row)
    return pd.DataFrame(rows)


def kept(after: Matrix, before: Matrix) -> Matrix:
    """Share of an R² that stays; nothing stays of nothing."""
    share = np.divide(np.maximum(after, 0), before, out=np.zeros_like(before), where=before > 0)
    return np.asarray(share)


def in_encoder(  # noqa: PLR0913
    x: Matrix,
    known: Known,
    alphas: Sequence[float],
    n_null: int,
    resamples: Resamples,
    draw: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Angles and interventions in the features of one encoder, shape (N, D)."""
    train = ~known.held_out
    groups = known.groups[train]
    ranked = {factor: ranks(values, train) for factor, values in known.factors.items()}
    factors: dict[str, Readable] = {
        factor: readable(x[train], rank[train], groups, alphas, draw) for factor, rank in ranked.items()
    }
    half = halved(groups, draw)
    pairs = angles(x[train], factors, half, groups, n_null, draw)
    counts = dict(zip(FOLDS, (half, ~half), strict=True))
    centre = x[train].mean(axis=0)
    subspaces = {fold: bases(x[train], factors, side.astype(float)) for fold, side in counts.items()}
    whole = bases(x[train], factors, np.ones(train.sum()))
    frozen = {
        fold: {
            name: ridge((x[train][side] - centre) @ basis, ranked[name][train][side, None], alphas, groups[side])
            for name, basis in subspaces[fold].items()
        }
        for fold, side in counts.items()
    }
    targets = [Target(factor, rank[:, None]) for factor, rank in ranked.items()]
    probes = Probes(x, centre, targets, known.held_out, alphas, known.groups, subspaces, frozen)
    taken = {name: Taken(subspaces["first"][name], subspaces["second"][name], basis) for name, basis in whole.items()}
    return pairs, interventions(probes, taken, Cloud.of(x[train]), resamples, draw)


def orthogonality(
    features: dict[str, Matrix],
    known: Known,
    alphas: Sequence[float],
    n_null: int,
    draw: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Angles between the factors' subspaces in each encoder, and what of each factor is left without another's.

    Subspaces are found in the training half alone; the held-out half only scores the interventions.

    Args:
        features: one layer and pooling by encoder, shape (N, D).
        known: of the clips; at least two factors, independent of one another and with a meaning in each clip; the
            classes are not looked at.
        alphas: penalties to choose from by leaving out clips, or groups of them.
        n_null: number of random subspaces behind each p value.
        draw: source of shuffles, halves, resamples and random subspaces.

    Returns:
        Angles with columns ``encoder, first, second, n_first, n_second, angles_deg`` (principal angles, largest first)
        ``, angle_deg`` (from the mean squared cosine, without the error of the estimates) ``, low_deg, high_deg`` (95 %
        interval by resampled clips) ``, cosine`` (of the main directions) ``, null_median_deg, null_cosine, effect_deg,
        p_value`` (of an angle at least as large by chance) ``, p_together`` (of all pairs' mean overlap)
        ``, self_first_deg, self_second_deg`` (between two estimates) ``, readable, p_holm``;
        interventions with columns ``encoder, erased, probe, factor, r2_before, r2_after, kept, kept_low, kept_high,
        r2_random``, R² of ranks.
    """
    resamples = Resamples(known.groups, known.held_out, draw)
    pairs: list[pd.DataFrame] = []
    losses: list[pd.DataFrame] = []
    for encoder, embedding in features.items():
        x = np.asarray(embedding, np.float64)
        # the penalties then mean the same for every encoder
        x = x / np.sqrt(x[~known.held_out].var(axis=0).mean())
        # the same shuffles, halves and resamples for every encoder
        found = in_encoder(x, known, alphas, n_null, resamples, copy.deepcopy(draw))
        for frames, frame in zip((pairs, losses), found, strict=True):
            frame.insert(0, "encoder", encoder)
            frames.append(frame)
    return pd.concat(pairs, ignore_index=True), pd.concat(losses, ignore_index=True)
