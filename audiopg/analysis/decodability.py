"""What a linear map, and one with radial basis functions beside it, can read of the physics from an encoder."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import StandardScaler

from audiopg.analysis.ridge import Matrix, ridge
from audiopg.analysis.targets import Known, Mask, Resamples, Target, targets_of

Orders = list[tuple[NDArray[np.int64], NDArray[np.int64]]]

POOLINGS = {"mean": [0], "std": [1], "mean_std": [0, 1]}
N_SHUFFLES = 5
N_COMPONENTS = 300
GAMMAS = (0.3, 1.0, 3.0)


def decode(
    features: Matrix,
    targets: list[tuple[Mask, list[Target]]],
    held_out: Mask,
    resamples: Resamples,
    alphas: Sequence[float],
    orders: dict[str, Orders],
) -> Iterator[dict[str, Any]]:
    """Train ridge probes on the training half and score them on the other.

    Args:
        features: shape (N, P).
        targets: from `targets_of`.
        held_out: clips that are scored only, shape (N,).
        resamples: bootstrap of the held-out clips.
        alphas: penalties to choose from.
        orders: permutations of each factor's training clips and of its held-out clips, one pair per shuffle.

    Yields:
        Per factor ``factor, measure, selection_score, score, low, high, shuffled``.
    """
    for defined, members in targets:
        train, test = defined & ~held_out, defined & held_out
        scaler = StandardScaler().fit(features[train])
        columns = [
            labels
            for target in members
            for labels in (target.values[train], *(target.values[train][order] for order, _ in orders[target.factor]))
        ]
        probe = ridge(scaler.transform(features[train]), np.hstack(columns), alphas)
        predicted = iter(np.split(probe.predict(scaler.transform(features[test])), ends(columns), axis=1))
        left_out = iter(np.split(probe.left_out, ends(columns), axis=1))
        for target in members:
            true = target.values[test]
            parts = target.parts(true, next(predicted))
            selection = target.score(target.parts(target.values[train], next(left_out)).sum(axis=0))
            # scored on shuffled labels too: on the true ones, what permuted labels share with them by accident
            # would count twice its correlation, which has no mean but is far larger than R² by chance
            chance = []
            for _, order in orders[target.factor]:
                chance.append(target.score(target.parts(true[order], next(predicted)).sum(axis=0)))
                next(left_out)
            low, high = resamples.interval(target, parts, defined[held_out])
            yield {
                "factor": target.factor,
                "measure": target.measure,
                "selection_score": float(selection),
                "score": float(target.score(parts.sum(axis=0))),
                "low": low,
                "high": high,
                "shuffled": float(np.mean(chance)) if chance else np.nan,
            }


def ends(blocks: list[Matrix]) -> NDArray[np.int64]:
    """Columns at which blocks that stand side by side are to be split."""
    return np.cumsum([block.shape[1] for block in blocks])[:-1]


def cell(embeddings: NDArray[np.float32], layer: int, pooling: str) -> Matrix:
    """Features of one layer and pooling, shape (N, D) or (N, 2 D); only these become float64."""
    return np.concatenate([np.asarray(embeddings[:, layer, i], np.float64) for i in POOLINGS[pooling]], axis=1)


def table(
    embeddings: dict[str, NDArray[np.float32]],
    known: Known,
    alphas: Sequence[float],
    draw: np.random.Generator,
) -> pd.DataFrame:
    """How well each factor is read from each encoder, layer and pooling.

    Args:
        embeddings: by encoder, shape (N, layers, 2, D), mean and standard deviation over tokens; one layer is read
            as ``mean_std`` only.
        known: of the clips.
        alphas: penalties to choose from.
        draw: source of the bootstrap and the shuffles.

    Returns:
        Columns ``factor, measure, encoder, layer, pooling, selection_score, score, low, high, shuffled``; the
        selection score is by leave-one-out in the training half, the rest is held out, and ``shuffled`` is the mean
        score of probes for permuted labels.

    Raises:
        AudiopgError: a factor does not vary.
    """
    held_out = known.held_out
    targets = targets_of(known.factors, known.classes, held_out)
    resamples = Resamples(known.groups, held_out, draw)
    orders = {
        target.factor: [
            (draw.permutation((defined & ~held_out).sum()), draw.permutation((defined & held_out).sum()))
            for _ in range(N_SHUFFLES)
        ]
        for defined, members in targets
        for target in members
    }
    rows = [
        {"encoder": encoder, "layer": layer, "pooling": pooling} | reading
        for encoder, layers in embeddings.items()
        for layer in range(layers.shape[1])
        for pooling in (POOLINGS if layers.shape[1] > 1 else ["mean_std"])
        for reading in decode(cell(layers, layer, pooling), targets, held_out, resamples, alphas, orders)
    ]
    columns = ["factor", "measure", "encoder", "layer", "pooling", "selection_score", "score", "low", "high"]
    return pd.DataFrame(rows)[[*columns, "shuffled"]]


def chosen(cells: pd.DataFrame) -> pd.DataFrame:
    """Row of the best selection score per factor and encoder, in the table's order; no held-out score is looked at."""
    best = cells.groupby(["factor", "encoder"], sort=False)["selection_score"].idxmax()
    return cells.loc[best].reset_index(drop=True)


def radial(features: Matrix, held_out: Mask, draw: np.random.Generator) -> Iterator[Matrix]:
    """Standardised features with radial basis functions beside them, once per width, shape (N, P + components).

    Args:
        features: shape (N, P).
        held_out: shape (N,); these clips shape nothing.
        draw: source of the components.
    """
    train = np.flatnonzero(~held_out)
    linear = StandardScaler().fit(features[train]).transform(features)
    few = draw.choice(train, min(len(train), 1000), replace=False)
    median = np.median(pdist(linear[few], "sqeuclidean"))
    seed = int(draw.integers(2**31))
    for gamma in GAMMAS:
        kernel = Nystroem(gamma=gamma / median, n_components=min(N_COMPONENTS, len(train)), random_state=seed)
        functions = kernel.fit(linear[train]).transform(linear)
        # one penalty serves both blocks, so that both need the same total variance
        functions *= np.sqrt(linear[train].var(axis=0).sum() / functions[train].var(axis=0).sum())
        yield np.hstack([linear, functions])


def rbf(
    cells: pd.DataFrame,
    embeddings: dict[str, NDArray[np.float32]],
    known: Known,
    alphas: Sequence[float],
    draw: np.random.Generator,
) -> pd.DataFrame:
    """A non-linear probe at the chosen cells, which tells an absent factor from one that no linear map reads.

    Args:
        cells: from `chosen`.
        embeddings: as for `table`.
        known: of the clips.
        alphas: penalties to choose from.
        draw: source of the bootstrap and the components.

    Returns:
        The cells with ``rbf_score, rbf_low, rbf_high``, held out; the width is chosen by leave-one-out.
    """
    held_out = known.held_out
    targets = targets_of(known.factors, known.classes, held_out)
    resamples = Resamples(known.groups, held_out, draw)
    none: dict[str, Orders] = {name: [] for name in [*known.factors, *known.classes]}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    places = cells[["encoder", "layer", "pooling"]]
    for encoder, layer, pooling in places.drop_duplicates().itertuples(index=False, name=None):
        read_here = set(cells["factor"][(places == [encoder, layer, pooling]).all(axis=1)])
        wanted = [(defined, [t for t in members if t.factor in read_here]) for defined, members in targets]
        wanted = [(defined, members) for defined, members in wanted if members]
        for features in radial(cell(embeddings[encoder], layer, pooling), held_out, draw):
            for reading in decode(features, wanted, held_out, resamples, alphas, none):
                best = found.setdefault((reading["factor"], encoder), reading)
                if reading["selection_score"] > best["selection_score"]:
                    found[reading["factor"], encoder] = reading
    readings = [found[key] for key in zip(cells["factor"], cells["encoder"], strict=True)]
    return cells.assign(**{f"rbf_{name}": [r[name] for r in readings] for name in ("score", "low", "high")})
