"""Whether factors lie in orthogonal subspaces: their angles, and what is left of one without the other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from audiopg.analysis.ridge import Matrix, ridge
from audiopg.analysis.subspaces import Cloud, Removal, Subspace, angles, ranks, subspace
from audiopg.analysis.targets import Known, Mask, Target, targets_of

N_RANDOM = 5


def held_out_r2(
    features: Matrix, targets: list[tuple[Mask, list[Target]]], held_out: Mask, alphas: Sequence[float]
) -> dict[str, float]:
    """Held-out R² of each target by ridge probes that are trained on the other clips."""
    found = {}
    for defined, members in targets:
        train, test = defined & ~held_out, defined & held_out
        values = np.hstack([target.values for target in members])
        predicted = ridge(features[train], values[train], alphas).predict(features[test])
        for target, column in zip(members, predicted.T, strict=True):
            found[target.factor] = float(
                target.score(target.parts(target.values[test], column[:, None]).sum(axis=0)),
            )
    return found


def interventions(
    features: Matrix,
    factors: dict[str, Matrix],
    held_out: Mask,
    subspaces: dict[str, Subspace],
    alphas: Sequence[float],
    draw: np.random.Generator,
) -> pd.DataFrame:
    """Take each factor's subspace out of the features, train probes of all factors anew, and score them held out.

    ``projection`` removes the subspace whose angles are measured, ``whitened`` the directions of the covariance. With a
    small penalty the two are nearly the same directions, so that after either nothing linear is left of the factor
    itself, wherever it lies: only what is left of the others can tell anything.

    Args:
        features: shape (N, D).
        factors: ranks, shape (N,), NaN where a factor has no meaning.
        held_out: clips that are scored only, shape (N,).
        subspaces: by factor.
        alphas: penalties to choose from by leave-one-out.
        draw: source of the random subspaces.
    """
    targets = targets_of(factors, {}, held_out)
    cloud = Cloud.of(features[~held_out])

    def after(basis: Matrix, by: Removal) -> dict[str, float]:
        return held_out_r2(cloud.remove(features, basis, by), targets, held_out, alphas)

    before = held_out_r2(features, targets, held_out, alphas)
    ways: tuple[Removal, ...] = ("projection", "whitened")
    # subspaces of the same dimension share the random ones
    chance = {
        (n, by): [after(basis, by) for basis in cloud.random(N_RANDOM, n, draw)]
        for n in sorted({found.basis.shape[1] for found in subspaces.values()})
        for by in ways
    }
    return pd.DataFrame(
        [
            {
                "erased": erased,
                "by": by,
                "factor": factor,
                "r2_before": before[factor],
                "r2_after": r2,
                "r2_random": np.mean([random[factor] for random in chance[found.basis.shape[1], by]]),
            }
            for erased, found in subspaces.items()
            for by in ways
            for factor, r2 in after(found.basis if by == "projection" else found.covariance, by).items()
        ]
    )


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
        known: of the clips; at least two factors, the classes are not looked at.
        alphas: penalties to choose from by leave-one-out.
        n_null: number of random pairs behind each p value.
        draw: source of shuffles, halves and random subspaces.

    Returns:
        Angles with columns ``encoder, first, second, n_first, n_second, angles_deg`` (largest first) ``, min_deg,
        mean_deg, cosine`` (of the main directions) ``, null_median_deg, null_cosine, effect_deg, p_value`` (of an
        angle at least as large by chance) ``, self_first_deg, self_second_deg, readable, p_holm``;
        interventions with columns ``encoder, erased, by, factor, r2_before, r2_after, r2_random``, R² of ranks.

    Raises:
        AudiopgError: a factor does not vary.
    """
    held_out = known.held_out
    targets_of(known.factors, {}, held_out)
    ranked = {factor: ranks(values, ~held_out) for factor, values in known.factors.items()}
    pairs: list[pd.DataFrame] = []
    losses: list[pd.DataFrame] = []
    for encoder, embedding in features.items():
        x = np.asarray(embedding, np.float64)
        # the penalties then mean the same for every encoder
        x = x / np.sqrt(x[~held_out].var(axis=0).mean())
        subspaces = {}
        for factor, rank in ranked.items():
            used = ~held_out & np.isfinite(rank)
            subspaces[factor] = subspace(x[used], rank[used], known.groups[used], alphas, draw)
        found = angles(subspaces, Cloud.of(x[~held_out]), n_null, draw)
        lost = interventions(x, ranked, held_out, subspaces, alphas, draw)
        for frames, frame in ((pairs, found), (losses, lost)):
            frame.insert(0, "encoder", encoder)
            frames.append(frame)
    return pd.concat(pairs, ignore_index=True), pd.concat(losses, ignore_index=True)
