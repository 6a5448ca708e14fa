"""The stage that asks frozen features: linear and nearest-neighbour probes, with controls."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from audiopg import closure, compute, config, params, provenance, storage
from audiopg.data import clips as recordings
from audiopg.evaluate.embeddings import embed
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import untrained
from audiopg.tasks.manifest import Manifest


class Layer:
    """Picks one layer of the features; an object, so that a grid search can name it."""

    def __init__(self, number: int) -> None:
        """Pick layer ``number``."""
        self.number = number

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the layer's features, (N, layers, D) to (N, D)."""
        return features[:, self.number]


def linear(n_layers: int, folds: NDArray[np.int64], probe: config.Probe) -> GridSearchCV:
    """Ridge classifier on standardised features; layer and regularisation are selected over the given folds."""
    pipeline = make_pipeline(FunctionTransformer(), StandardScaler(), RidgeClassifier())
    grid = {
        "functiontransformer__func": [Layer(number) for number in range(n_layers)],
        "ridgeclassifier__alpha": probe.ridge_alphas,
    }
    return GridSearchCV(pipeline, grid, cv=PredefinedSplit(folds))


def nearest(n_layers: int, folds: NDArray[np.int64], probe: config.Probe) -> GridSearchCV:
    """Vote of the nearest neighbours by cosine distance; the layer is selected over the given folds."""
    neighbours = KNeighborsClassifier(probe.knn_k, metric="cosine", algorithm="brute")
    pipeline = make_pipeline(FunctionTransformer(), StandardScaler(), neighbours)
    return GridSearchCV(
        pipeline,
        {"functiontransformer__func": [Layer(number) for number in range(n_layers)]},
        cv=PredefinedSplit(folds),
    )


def fold_scores(
    probe: Any,  # noqa: ANN401  (one of the two functions above)
    features: NDArray[np.float32],
    manifest: Manifest,
    cfg: config.Probe,
) -> list[float]:
    """Accuracy of a probe on each fold of a task, trained and selected on the others.

    Args:
        probe: `linear` or `nearest`.
        features: shape (N, layers, D), in the order of the manifest.
        manifest: labels, folds and groups.
        cfg: the ``probe`` section.
    """
    scores = []
    for fold in sorted(set(manifest.folds.tolist())):
        train, test = split(manifest, fold)
        search = probe(features.shape[1], manifest.folds[train], cfg)
        with warnings.catch_warnings():
            # an untrained layer may be nearly singular; the smallest penalties then lose the selection, as they should
            warnings.simplefilter("ignore", LinAlgWarning)
            search.fit(features[train], manifest.classes[train])
        scores.append(round(float(search.score(features[test], manifest.classes[test])), 6))
    return scores


def run(cfg: config.Config, task: str, manifest_path: Path, encoder_path: Path, out: Path) -> None:
    """Probe the frozen encoder, a random one, and the log-mel statistics on all folds of a task.

    Args:
        cfg: all parameters.
        task: name of the task.
        manifest_path: the task's manifest.
        encoder_path: the pre-trained encoder.
        out: folder for ``scores.json`` and the run card.

    Raises:
        AudiopgError: a checkpoint or recording is missing, damaged or of another size.
    """
    backend = compute.backend(cfg.compute, cfg.probe.n_threads)
    manifest = Manifest.read(manifest_path)
    clips = recordings.load(task, manifest_path, cfg.features, cfg.task(task).clip_s)
    pretrained = load_encoder(encoder_path, cfg.encoder, cfg.features)
    embeddings = embed(clips, pretrained, backend, f"{task}: embedding")
    controls = {
        "probe_random": embed(clips, untrained(cfg.encoder, cfg.seed), backend, f"{task}: embedding, random weights"),
        "logmel_stats": embed(clips, None, backend, f"{task}: log-mel statistics"),
    }
    rows = {
        "probe_linear": fold_scores(linear, embeddings, manifest, cfg.probe),
        "probe_knn": fold_scores(nearest, embeddings, manifest, cfg.probe),
        **{row: fold_scores(linear, features, manifest, cfg.probe) for row, features in controls.items()},
    }
    card = provenance.run_card(
        "probe",
        params.reads(cfg, "probe", task),
        [manifest_path, encoder_path],
        backend.name,
        code=closure.digest(__name__),
    )
    storage.write_json(out / "card.json", card)
    storage.write_json(out / "scores.json", rows)
