"""The stage that probes frozen features: linear and nearest-neighbour probes, with controls."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audiopg import compute, config, storage
from audiopg.arrays import Float32, Float64, Int64
from audiopg.data import clips as recordings
from audiopg.errors import AudiopgError
from audiopg.evaluate import metrics
from audiopg.evaluate.embeddings import embed
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import untrained
from audiopg.provenance import run_cards, stages
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest


def linear(probe: config.Probe) -> tuple[Any, dict[str, list[float]]]:
    """Ridge regression of the labels on standardised features, and the grid of its penalty."""
    return make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": probe.ridge_alphas}


def nearest(probe: config.Probe) -> tuple[Any, dict[str, list[float]]]:
    """Vote of the nearest neighbours by cosine distance, which has only its layer to select."""
    return KNeighborsRegressor(probe.knn_k, metric="cosine", algorithm="brute"), {}


class Selected(NamedTuple):
    """A probe fitted to one layer."""

    layer: int
    estimator: Any
    """With the selected penalty, fitted to all recordings that are not held out."""

    def predict(self, features: Float32) -> Float64:
        """Return the scores of the labels, from features of all layers, (N, layers, D) to (N, C)."""
        found: Float64 = self.estimator.predict(features[:, self.layer])
        return found


def select(  # noqa: PLR0913  (the data and what selects)
    estimator: Any,  # noqa: ANN401  (scikit-learn has no type for it)
    grid: Mapping[str, list[float]],
    features: Float32,
    rows: Int64,
    targets: Float32,
    turns: Int64,
    scoring: Callable[[Any, Float32, Float32], float],
) -> Selected:
    """Fit a probe with the layer and penalty that do best when parts of the training recordings are left out in turn.

    Args:
        estimator: the probe to fit.
        grid: its settings to try, in addition to the layers.
        features: of all recordings, shape (N, layers, D); a layer at a time is copied.
        rows: numbers of the recordings to learn from, shape (n,).
        targets: their labels, shape (n, C).
        turns: number of the left-out part of each recording, -1 if it is never left out, shape (n,).
        scoring: the figure of a fitted estimator on features and labels.
    """
    best, chosen, found = -np.inf, {}, 0
    for layer in range(features.shape[1]):
        search = GridSearchCV(estimator, grid, scoring=scoring, cv=PredefinedSplit(turns), refit=False)
        search.fit(features[rows, layer], targets)
        if search.best_score_ > best:
            best, chosen, found = search.best_score_, search.best_params_, layer
    return Selected(found, clone(estimator).set_params(**chosen).fit(features[rows, found], targets))


def scores(  # noqa: PLR0913  (the data, the protocol and the probe)
    probe: Callable[[config.Probe], tuple[Any, dict[str, list[float]]]],
    features: Float32,
    manifest: Manifest,
    card: Card,
    cfg: config.Probe,
    share: float = 1.0,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Figures of a probe on each run of a task.

    Layer and penalty are selected inside the training folds, or on the validation split; the selected probe is then
    fitted to all of them.

    Args:
        probe: `linear` or `nearest`.
        features: shape (N, layers, D), in the order of the manifest.
        manifest: labels, folds or splits, and groups.
        card: metric and number of runs.
        cfg: the ``probe`` section.
        share: of the training recordings, as `split`.
        seed: as `split`.

    Returns:
        ``{metric: [figure of each run]}``.

    Raises:
        AudiopgError: there are fewer clips to learn from than ``knn_k``.
    """

    def figures(fitted: Any, x: Float32, targets: Float32) -> dict[str, float]:  # noqa: ANN401
        return metrics.evaluate(targets, fitted.predict(x), multi_label=card.multi_label)

    def selected_by(fitted: Any, x: Float32, targets: Float32) -> float:  # noqa: ANN401
        return figures(fitted, x, targets)[card.metric]

    found: dict[str, list[float]] = {}
    for run in range(1, card.n_folds + 1):
        train, val, test = split(manifest, run, share, seed)
        used = np.concatenate([train, val])
        # the parts that are left out in turn; -1 is never left out
        turns = np.repeat([-1, 0], [len(train), len(val)]) if len(val) else manifest.parts[train].astype(np.int64)
        fewest = len(used) - int(np.bincount(turns[turns >= 0]).max())
        if fewest < cfg.knn_k:
            msg = f"{card.name}: {fewest} clips to learn from are fewer than probe.knn_k = {cfg.knn_k}; lower it"
            raise AudiopgError(msg)
        with warnings.catch_warnings():
            # an untrained layer may be nearly singular; the smallest penalties then lose the selection, as they should
            warnings.simplefilter("ignore", LinAlgWarning)
            fitted = select(*probe(cfg), features, used, manifest.targets[used], turns, selected_by)
        for metric, value in figures(fitted, features[test], manifest.targets[test]).items():
            found.setdefault(metric, []).append(round(value, 6))
    return found


def run(  # noqa: PLR0913  (the stage's inputs and outputs)
    cfg: config.Config, task: str, manifest_path: Path, card_path: Path, decoded: Path, encoder_path: Path, out: Path
) -> None:
    """Probe the frozen encoder, a random one, and the log-mel statistics on all folds of a task.

    Args:
        cfg: all parameters.
        task: name of the task.
        manifest_path: the task's manifest.
        card_path: the task's card.
        decoded: folder with the task's decoded recordings.
        encoder_path: the pre-trained encoder.
        out: folder for ``scores.json`` and the run card.

    Raises:
        AudiopgError: a checkpoint or recording is missing, damaged or of another size.
    """
    backend = compute.backend(cfg.compute, cfg.probe.n_threads)
    manifest, card = Manifest.read(manifest_path), Card.read(card_path)
    section = cfg.task(task)
    clips = recordings.load(decoded, cfg.features, section.clip_s)
    pretrained = load_encoder(encoder_path, cfg.encoder, cfg.features)
    given = (manifest, card, cfg.probe, section.train_share, cfg.seed)
    embeddings = embed(clips, pretrained, backend, f"{task}: embedding")
    rows = {"probe_linear": scores(linear, embeddings, *given), "probe_knn": scores(nearest, embeddings, *given)}
    # one after the other, as large tasks have gigabytes of embeddings
    del embeddings
    controls = {"probe_random": (untrained(cfg.encoder, cfg.seed), "random weights"), "logmel_stats": (None, "log-mel")}
    for row, (encoder, name) in controls.items():
        rows[row] = scores(linear, embed(clips, encoder, backend, f"{task}: embedding, {name}"), *given)
    storage.write_json(out / "scores.json", rows)
    run_cards.write_card(
        out / "run.json",
        "probe",
        stages.reads(cfg, "probe", task),
        [manifest_path, card_path, *recordings.files(decoded), encoder_path],
        [out / "scores.json"],
        task=task,
        device=backend.name,
    )
