"""The stage that asks frozen features: linear and nearest-neighbour probes, with controls."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from audiopg import compute, config, params, provenance, storage, tasks
from audiopg.data import clips as recordings
from audiopg.errors import AudiopgError
from audiopg.evaluate import metrics
from audiopg.evaluate.embeddings import embed
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import untrained
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest


class Layer:
    """Picks one layer of the features; an object, so that a grid search can name it."""

    def __init__(self, number: int) -> None:
        """Pick layer ``number``."""
        self.number = number

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the layer's features, (N, layers, D) to (N, D)."""
        return features[:, self.number]


def linear(n_layers: int, probe: config.Probe) -> tuple[Any, dict[str, list[Any]]]:
    """Ridge regression of the labels on standardised features, and the grid of its layer and penalty."""
    grid: dict[str, list[Any]] = {
        "functiontransformer__func": [Layer(number) for number in range(n_layers)],
        "ridge__alpha": probe.ridge_alphas,
    }
    return make_pipeline(FunctionTransformer(), StandardScaler(), Ridge()), grid


def nearest(n_layers: int, probe: config.Probe) -> tuple[Any, dict[str, list[Any]]]:
    """Vote of the nearest neighbours by cosine distance, and the grid of its layer."""
    neighbours = KNeighborsRegressor(probe.knn_k, metric="cosine", algorithm="brute")
    grid: dict[str, list[Any]] = {"functiontransformer__func": [Layer(number) for number in range(n_layers)]}
    return make_pipeline(FunctionTransformer(), StandardScaler(), neighbours), grid


def scores(  # noqa: PLR0913  (the data, the protocol and the probe)
    probe: Callable[[int, config.Probe], tuple[Any, dict[str, list[Any]]]],
    features: NDArray[np.float32],
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

    def figures(fitted: Any, x: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:  # noqa: ANN401
        return metrics.evaluate(targets, fitted.predict(x), multi_label=card.multi_label)

    def selected_by(fitted: Any, x: NDArray[np.float32], targets: NDArray[np.float32]) -> float:  # noqa: ANN401
        return figures(fitted, x, targets)[card.metric]

    found: dict[str, list[float]] = {}
    for run in range(1, card.n_folds + 1):
        train, val, test = split(manifest, run, share, seed)
        used = np.concatenate([train, val])
        # the parts that take turns in being selected on; -1 is never one
        turns = np.repeat([-1, 0], [len(train), len(val)]) if len(val) else manifest.parts[train].astype(np.int64)
        fewest = len(used) - int(np.bincount(turns[turns >= 0]).max())
        if fewest < cfg.knn_k:
            msg = f"{card.name}: {fewest} clips to learn from are fewer than probe.knn_k = {cfg.knn_k}; lower it"
            raise AudiopgError(msg)
        estimator, grid = probe(features.shape[1], cfg)
        search = GridSearchCV(estimator, grid, scoring=selected_by, cv=PredefinedSplit(turns))
        with warnings.catch_warnings():
            # an untrained layer may be nearly singular; the smallest penalties then lose the selection, as they should
            warnings.simplefilter("ignore", LinAlgWarning)
            search.fit(features[used], manifest.targets[used])
        for metric, value in figures(search, features[test], manifest.targets[test]).items():
            found.setdefault(metric, []).append(round(value, 6))
    return found


def run(  # noqa: PLR0913  (the stage's inputs and outputs)
    cfg: config.Config, task: str, manifest_path: Path, card_path: Path, encoder_path: Path, out: Path
) -> None:
    """Probe the frozen encoder, a random one, and the log-mel statistics on all folds of a task.

    Args:
        cfg: all parameters.
        task: name of the task.
        manifest_path: the task's manifest.
        card_path: the task's card.
        encoder_path: the pre-trained encoder.
        out: folder for ``scores.json`` and the run card.

    Raises:
        AudiopgError: a checkpoint or recording is missing, damaged or of another size.
    """
    backend = compute.backend(cfg.compute, cfg.probe.n_threads)
    manifest, card = Manifest.read(manifest_path), Card.read(card_path)
    section = cfg.task(task)
    clips = recordings.load(tasks.find(task, section), manifest_path, cfg.features, section.clip_s)
    pretrained = load_encoder(encoder_path, cfg.encoder, cfg.features)
    embeddings = embed(clips, pretrained, backend, f"{task}: embedding")
    controls = {
        "probe_random": embed(clips, untrained(cfg.encoder, cfg.seed), backend, f"{task}: embedding, random weights"),
        "logmel_stats": embed(clips, None, backend, f"{task}: log-mel statistics"),
    }
    given = (manifest, card, cfg.probe, section.train_share, cfg.seed)
    rows = {
        "probe_linear": scores(linear, embeddings, *given),
        "probe_knn": scores(nearest, embeddings, *given),
        **{row: scores(linear, features, *given) for row, features in controls.items()},
    }
    storage.write_json(out / "scores.json", rows)
    provenance.write_card(
        out / "run.json",
        "probe",
        params.reads(cfg, "probe", task),
        [manifest_path, card_path, encoder_path],
        [out / "scores.json"],
        task=task,
        device=backend.name,
    )
