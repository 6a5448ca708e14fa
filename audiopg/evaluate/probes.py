"""The stage that probes frozen features: linear and nearest-neighbour probes, with controls."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import KNeighborsRegressor

from audiopg import compute, config, storage
from audiopg.arrays import Float64, Int64
from audiopg.data import clips as recordings
from audiopg.errors import AudiopgError
from audiopg.evaluate import metrics
from audiopg.evaluate.embeddings import Statistics, View, embed
from audiopg.evaluate.protocol import N_DRAWS, split
from audiopg.evaluate.ridge import RidgePath
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import Encoder, untrained
from audiopg.provenance import run_cards, stages
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest

OUTPUTS = ("scores.json", "choices.csv")

Predictor = Callable[[Float64], Float64]
"""From features of shape (N, P) to scores of the labels, shape (N, C)."""


class Features(Protocol):
    """Frozen features of N recordings, in several views."""

    views: list[View]

    def features(self, view: View) -> Float64:
        """Return one view, shape (N, P)."""


class Linear:
    """Ridge regression of the labels; its penalty is per feature, so that it means the same for views of any size."""

    def __init__(self, cfg: config.Probe, device: torch.device) -> None:
        """Take the penalties of the ``probe`` section, and where to compute."""
        self.penalties = cfg.ridge_alphas
        self.device = device

    def left_out(self, x: Float64, y: Float64, parts: Sequence[Int64]) -> Iterator[tuple[float, Float64]]:
        """Yield each penalty, and what it predicts for parts of the rows, one after another, that it did not see.

        Args:
            x: standardised features, shape (n, P).
            y: labels, shape (n, C).
            parts: rows of each part; either all rows are in one, or there is one part only.
        """
        rows = np.concatenate(parts)
        if len(rows) == len(x):
            path = RidgePath(x, y, self.device)
            for penalty in self.penalties:
                yield penalty, path.left_out(penalty * x.shape[1], parts)[rows]
            return
        seen = np.setdiff1d(np.arange(len(x)), rows)
        path = RidgePath(x[seen], y[seen], self.device)
        for penalty in self.penalties:
            weights, offset = path.fit(penalty * x.shape[1])
            yield penalty, x[rows] @ weights + offset

    def fit(self, x: Float64, y: Float64, penalty: float) -> Predictor:
        """Fit all rows with one penalty."""
        weights, offset = RidgePath(x, y, self.device).fit(penalty * x.shape[1])
        return lambda new: new @ weights + offset


class Nearest:
    """Vote of the nearest neighbours by cosine distance, which has only its view to select."""

    def __init__(self, cfg: config.Probe) -> None:
        """Take the number of neighbours of the ``probe`` section."""
        self.k = cfg.knn_k

    def left_out(self, x: Float64, y: Float64, parts: Sequence[Int64]) -> Iterator[tuple[float, Float64]]:
        """Yield once, as `Linear.left_out`; there is no penalty."""
        predicted = []
        for rows in parts:
            seen = np.setdiff1d(np.arange(len(x)), rows)
            predicted.append(self.fit(x[seen], y[seen])(x[rows]))
        yield 0.0, np.concatenate(predicted)

    def fit(self, x: Float64, y: Float64, penalty: float = 0.0) -> Predictor:  # noqa: ARG002  (it has none)
        """Keep all rows."""
        neighbours = KNeighborsRegressor(self.k, metric="cosine", algorithm="brute").fit(x, y)
        predict: Predictor = neighbours.predict
        return predict


class Choice(NamedTuple):
    """What one run of a probe has chosen, and by which figure on left-out training recordings."""

    view: View
    penalty: float
    figure: float


def select(
    probe: Linear | Nearest,
    features: Features,
    used: Int64,
    targets: Float64,
    parts: Sequence[Int64],
    figure: Callable[[Float64, Float64], float],
) -> Choice:
    """Choose the view and the penalty that do best when parts of the training recordings are left out in turn.

    Args:
        probe: its kind.
        features: of all recordings.
        used: numbers of the recordings to learn from, shape (n,).
        targets: their labels, shape (n, C).
        parts: of ``used``, as `Linear.left_out`.
        figure: the figure of labels and predictions of one part; the mean over the parts counts.
    """
    best = Choice(features.views[0], 0.0, -np.inf)
    ends = np.cumsum([len(rows) for rows in parts])[:-1]
    for view in features.views:
        x = features.features(view)[used]
        for penalty, predicted in probe.left_out(_standardised(x, x), targets, parts):
            of_parts = zip(parts, np.split(predicted, ends), strict=True)
            found = float(np.mean([figure(targets[rows], each) for rows, each in of_parts]))
            if found > best.figure:
                best = Choice(view, penalty, found)
    return best


def _standardised(x: Float64, by: Float64) -> Float64:
    """Scale features to mean 0 and deviation 1 over the rows of ``by``; one that never changes becomes 0."""
    deviation = by.std(axis=0)
    scaled: Float64 = (x - by.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)
    return scaled


def scores(  # noqa: PLR0913  (the data, the protocol and the probe)
    probe: Linear | Nearest,
    features: Features,
    manifest: Manifest,
    card: Card,
    cfg: config.Probe,
    share: float = 1.0,
    seed: int = 0,
) -> tuple[dict[str, list[float]], list[Choice]]:
    """Figures of a probe on each run of a task.

    View and penalty are selected inside the training folds, or on the validation split; the selected probe is then
    fitted to all of them.

    Args:
        probe: its kind.
        features: in the order of the manifest.
        manifest: labels, folds or splits, and groups.
        card: metric and number of runs.
        cfg: the ``probe`` section.
        share: of the training recordings, as `split`.
        seed: as `split`.

    Returns:
        ``{metric: [figure of each run]}``, and what each run has chosen.

    Raises:
        AudiopgError: there are fewer clips to learn from than ``knn_k``.
    """

    def figures(targets: Float64, predicted: Float64) -> dict[str, float]:
        return metrics.evaluate(targets.astype(np.float32), predicted, multi_label=card.multi_label)

    def figure(targets: Float64, predicted: Float64) -> float:
        return figures(targets, predicted)[card.metric]

    targets = manifest.targets.astype(np.float64)
    found: dict[str, list[float]] = {}
    choices = []
    for run in range(1, card.n_folds + 1):
        train, val, test = split(manifest, run, share, seed)
        used = np.concatenate([train, val])
        parts = _parts(manifest, train, val)
        fewest = len(used) - max(map(len, parts))
        if fewest < cfg.knn_k:
            msg = f"{card.name}: {fewest} clips to learn from are fewer than probe.knn_k = {cfg.knn_k}; lower it"
            raise AudiopgError(msg)
        choice = select(probe, features, used, targets[used], parts, figure)
        x = features.features(choice.view)
        predict = probe.fit(_standardised(x[used], x[used]), targets[used], choice.penalty)
        for metric, value in figures(targets[test], predict(_standardised(x[test], x[used]))).items():
            found.setdefault(metric, []).append(round(value, 6))
        choices.append(choice)
    return found, choices


def _parts(manifest: Manifest, train: Int64, val: Int64) -> list[Int64]:
    """Return what is left out in turn, as rows of ``train`` and ``val`` joined: validation, or each fold."""
    if len(val):
        return [np.arange(len(train), len(train) + len(val))]
    folds = manifest.parts[train]
    return [np.flatnonzero(folds == fold) for fold in np.unique(folds)]


def run(  # noqa: PLR0913  (the stage's inputs and outputs)
    cfg: config.Config, task: str, manifest_path: Path, card_path: Path, decoded: Path, encoder_path: Path, out: Path
) -> None:
    """Probe the frozen encoder, random ones, and the log-mel statistics on all folds of a task.

    Args:
        cfg: all parameters.
        task: name of the task.
        manifest_path: the task's manifest.
        card_path: the task's card.
        decoded: folder with the task's decoded recordings.
        encoder_path: the pre-trained encoder.
        out: folder for ``scores.json``, ``choices.csv`` and the run card.

    Raises:
        AudiopgError: a checkpoint or recording is missing, damaged or of another size.
    """
    backend = compute.backend(cfg.compute, cfg.probe.n_threads)
    manifest, card = Manifest.read(manifest_path), Card.read(card_path)
    manifest.check(card)
    section = cfg.task(task)
    clips = recordings.load(decoded, cfg.features, section.clip_s, len(manifest))
    given = (manifest, card, cfg.probe, section.train_share, cfg.seed)
    linear, nearest = Linear(cfg.probe, backend.device), Nearest(cfg.probe)
    rows: dict[str, list[tuple[dict[str, list[float]], list[Choice]]]] = {}
    out.mkdir(parents=True, exist_ok=True)

    def probe(encoder: Encoder, name: str, **probes: Linear | Nearest) -> None:
        # one encoder after the other, as large tasks have gigabytes of embeddings
        with tempfile.TemporaryDirectory(dir=out, prefix=".embeddings-") as folder:
            embeddings = embed(clips, encoder, backend, f"{task}: embedding, {name}", Path(folder) / "statistics.npy")
            for row, each in probes.items():
                rows.setdefault(row, []).append(scores(each, embeddings, *given))

    pretrained = load_encoder(encoder_path, cfg.encoder, cfg.features)
    probe(pretrained, "pre-trained", probe_linear=linear, probe_knn=nearest)
    for draw in range(N_DRAWS):
        probe(untrained(cfg.encoder, cfg.seed, draw), f"random weights {draw + 1}", probe_random=linear)
    rows["logmel_stats"] = [scores(linear, Statistics(clips, f"{task}: log-mel statistics"), *given)]
    storage.write_json(
        out / "scores.json", {row: _mean([figures for figures, _ in runs]) for row, runs in rows.items()}
    )
    storage.write_text(out / "choices.csv", _table(rows).to_csv(index=False))
    run_cards.write_card(
        out / "run.json",
        "probe",
        stages.reads(cfg, "probe", task),
        [manifest_path, card_path, *recordings.files(decoded), encoder_path],
        [out / name for name in OUTPUTS],
        task=task,
        device=backend.name,
    )


def _mean(draws: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Average the figures of each run over draws of the weights."""
    return {
        metric: [round(float(np.mean(values)), 6) for values in zip(*(draw[metric] for draw in draws), strict=True)]
        for metric in draws[0]
    }


def _table(rows: dict[str, list[tuple[dict[str, list[float]], list[Choice]]]]) -> pd.DataFrame:
    """List what each row has chosen on each run, for each draw of its weights."""
    return pd.DataFrame(
        [
            {
                "row": row,
                "draw": draw,
                "run": run,
                "layer": choice.view.layer,
                "pooling": choice.view.pooling,
                "penalty": choice.penalty,
                "selection_figure": round(choice.figure, 6),
                **{metric: values[run - 1] for metric, values in figures.items()},
            }
            for row, runs in rows.items()
            for draw, (figures, choices) in enumerate(runs, start=1)
            for run, choice in enumerate(choices, start=1)
        ]
    )
