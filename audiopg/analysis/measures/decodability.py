"""What a linear map, without and with added radial basis functions, can read of the physics from an encoder."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import StandardScaler

from audiopg.analysis.corpora.targets import FactorTable, Resamples, Target, interval, targets_of
from audiopg.arrays import Bool, Float32, Float64, Int64
from audiopg.evaluate.ridge import ridge

Orders = list[tuple[Int64, Int64]]

POOLINGS = {"mean": [0], "std": [1], "mean_std": [0, 1]}
N_SHUFFLES = 5
N_COMPONENTS = 300
GAMMAS = (0.3, 1.0, 3.0)


def decode(  # noqa: PLR0913
    features: Float64,
    targets: list[tuple[Bool, list[Target]]],
    known: FactorTable,
    resamples: Resamples,
    alphas: Sequence[float],
    orders: dict[str, Orders],
) -> Iterator[dict[str, Any]]:
    """Train ridge probes on the training half and score them on the other.

    Args:
        features: of comparable scale, shape (N, P).
        targets: from `targets_of`.
        known: of the clips.
        resamples: bootstrap of the held-out clips.
        alphas: penalties to choose from, by leaving out groups of training clips.
        orders: permutations of each factor's training clips and of its held-out clips, one pair per shuffle.

    Yields:
        Per factor ``factor, measure, selection_score, score, low, high, shuffled``, and the resampled scores ``drawn``.
    """
    for defined, members in targets:
        train, test = defined & ~known.held_out, defined & known.held_out
        columns = [
            labels
            for target in members
            for labels in (target.values[train], *(target.values[train][order] for order, _ in orders[target.factor]))
        ]
        probe = ridge(features[train], np.hstack(columns), alphas, known.groups[train])
        predicted = iter(np.split(probe.predict(features[test]), ends(columns), axis=1))
        left_out = iter(np.split(probe.left_out, ends(columns), axis=1))
        for target in members:
            true = target.values[test]
            parts = target.parts(true, next(predicted))
            selection = target.score(target.parts(target.values[train], next(left_out)).sum(axis=0))
            # score on shuffled labels, too: on the true ones, the chance correlation between them and the permuted
            # ones would count twice; its mean is 0, but it is far larger than R² by chance
            chance = []
            for _, order in orders[target.factor]:
                chance.append(target.score(target.parts(true[order], next(predicted)).sum(axis=0)))
                next(left_out)
            drawn = resamples.scores(target.score, parts, defined[known.held_out])
            low, high = interval(drawn)
            yield {
                "factor": target.factor,
                "measure": target.measure,
                "selection_score": float(selection),
                "score": float(target.score(parts.sum(axis=0))),
                "low": low,
                "high": high,
                "shuffled": float(np.mean(chance)) if chance else np.nan,
                "drawn": drawn,
            }


def ends(blocks: list[Float64]) -> Int64:
    """Columns at which to split adjacent blocks."""
    return np.cumsum([block.shape[1] for block in blocks])[:-1]


def cell(embeddings: Float32, layer: int, pooling: str, held_out: Bool) -> Float64:
    """Features of one layer and pooling, standardised by the training clips, shape (N, D) or (N, 2 D).

    Only these become float64.
    """
    features = np.concatenate([np.asarray(embeddings[:, layer, i], np.float64) for i in POOLINGS[pooling]], axis=1)
    scaler = StandardScaler(copy=False).fit(features[~held_out])
    return np.asarray(scaler.transform(features))


def table(
    embeddings: dict[str, Float32],
    known: FactorTable,
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
        Columns ``factor, measure, encoder, layer, pooling, selection_score, score, low, high, shuffled, drawn``; the
        selection score is by leaving out groups in the training half, the rest is held out, ``shuffled`` is the mean
        score of probes for permuted labels, and ``drawn`` are the scores of resamples, the same for all.
    """
    held_out = known.held_out
    targets = targets_of(known)
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
        for features in [cell(layers, layer, pooling, held_out)]
        for reading in decode(features, targets, known, resamples, alphas, orders)
    ]
    columns = ["factor", "measure", "encoder", "layer", "pooling", "selection_score", "score", "low", "high"]
    return pd.DataFrame(rows)[[*columns, "shuffled", "drawn"]]


def chosen(cells: pd.DataFrame) -> pd.DataFrame:
    """Row of the best selection score per factor and encoder, in the table's order; no held-out score is looked at.

    Returns:
        The columns of `table`, and ``lead, lead_low, lead_high``: by how much the encoder ``pretrained`` scores above
        this row's, with the 95 % interval of the difference on the same resamples.
    """
    best = cells.groupby(["factor", "encoder"], sort=False)["selection_score"].idxmax()
    rows = cells.loc[best].reset_index(drop=True)
    ours = rows[rows["encoder"] == "pretrained"].set_index("factor")
    ahead = [ours["drawn"][factor] - drawn for factor, drawn in zip(rows["factor"], rows["drawn"], strict=True)]
    lows, highs = zip(*map(interval, ahead), strict=True)
    return rows.assign(lead=rows["factor"].map(ours["score"]) - rows["score"], lead_low=lows, lead_high=highs)


def radial(linear: Float64, held_out: Bool, draw: np.random.Generator) -> Iterator[Float64]:
    """Features with radial basis functions added, once per width, shape (N, P + components).

    Args:
        linear: the features, standardised, shape (N, P).
        held_out: shape (N,); these clips shape nothing.
        draw: source of the components.
    """
    train = np.flatnonzero(~held_out)
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
    embeddings: dict[str, Float32],
    known: FactorTable,
    alphas: Sequence[float],
    draw: np.random.Generator,
) -> pd.DataFrame:
    """A non-linear probe at the chosen cells, which distinguishes an absent factor from one that no linear map reads.

    Args:
        cells: from `chosen`.
        embeddings: as for `table`.
        known: of the clips.
        alphas: penalties to choose from.
        draw: source of the bootstrap and the components.

    Returns:
        The cells with ``rbf_score, rbf_low, rbf_high``, held out; the width is chosen by leaving out groups.
    """
    held_out = known.held_out
    targets = targets_of(known)
    resamples = Resamples(known.groups, held_out, draw)
    none: dict[str, Orders] = {name: [] for name in [*known.factors, *known.classes]}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    places = cells[["encoder", "layer", "pooling"]]
    for encoder, layer, pooling in places.drop_duplicates().itertuples(index=False, name=None):
        read_here = set(cells["factor"][(places == [encoder, layer, pooling]).all(axis=1)])
        wanted = [(defined, [t for t in members if t.factor in read_here]) for defined, members in targets]
        wanted = [(defined, members) for defined, members in wanted if members]
        for features in radial(cell(embeddings[encoder], layer, pooling, held_out), held_out, draw):
            for reading in decode(features, wanted, known, resamples, alphas, none):
                best = found.setdefault((reading["factor"], encoder), reading)
                if reading["selection_score"] > best["selection_score"]:
                    found[reading["factor"], encoder] = reading
    best_probes = [found[key] for key in zip(cells["factor"], cells["encoder"], strict=True)]
    return cells.assign(**{f"rbf_{name}": [r[name] for r in best_probes] for name in ("score", "low", "high")})
