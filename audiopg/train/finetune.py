"""The stage that fine-tunes a classifier on one fold of a task, from a pre-trained encoder or from scratch."""

import copy
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from audiopg import compute, config, rng, storage, tensors
from audiopg.arrays import Float64, Int64
from audiopg.data import clips as recordings
from audiopg.data.clips import Clips
from audiopg.evaluate import metrics
from audiopg.evaluate.embeddings import over_windows
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.classifier import Classifier
from audiopg.models.vit import initialise
from audiopg.provenance import run_cards, stages
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest
from audiopg.train.batches import Batches
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.drop import drop_path, patch_drop
from audiopg.train.feed import Batch, check_division
from audiopg.train.loop import Training, strip_prefix

OUTPUTS = ("metrics.json", "predictions.csv", "classes.csv", "loss.csv", "classifier.safetensors")


class BestEpoch:
    """The epoch that does best on the validation split, and its weights; the earlier one of two equals."""

    def __init__(self) -> None:
        """Start without any."""
        self.scores: list[float] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def epoch(self) -> int:
        """Its number, from 1; 0 before there is any."""
        return 1 + int(np.argmax(np.nan_to_num(self.scores, nan=-np.inf))) if self.scores else 0

    def offer(self, score: float, model: torch.nn.Module) -> None:
        """Take the weights of the next epoch if its score is the best so far."""
        self.scores.append(score)
        if self.epoch == len(self.scores):
            self.weights = copy.deepcopy(model.state_dict())

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that is known, for a run that is interrupted."""
        return {"scores": torch.tensor(self.scores, dtype=torch.float64)} | {
            f"weights.{name}": weight for name, weight in self.weights.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`."""
        self.scores = state["scores"].tolist()
        self.weights = strip_prefix(state, "weights.")


class FoldData:
    """The steps of one fold's training."""

    def __init__(self, batches: Batches, encoder: config.Encoder) -> None:
        """Take the batches, and the size of the encoder that they are for."""
        self.batches = batches
        self.encoder = encoder
        self._whole = lru_cache(maxsize=1)(self._make)  # its parts come one after another

    def n_clips(self, step: int) -> int:
        """Count the clips of a step; the last of an epoch may have fewer."""
        size, number = self.batches.recipe.batch_size, step % self.batches.per_epoch
        return min(size, len(self.batches.rows) - number * size)

    def part(self, step: int, places: range) -> Batch:
        """Return spectrograms (B, F, M), targets (B, C), visible patches (B, V) and drop-path factors (depth, 2, B)."""
        spectrograms, targets, visible, drop_path_scale = self._whole(step)
        chosen = slice(places.start, places.stop)
        return (
            spectrograms[chosen],
            targets[chosen],
            None if visible is None else visible[chosen],
            None if drop_path_scale is None else drop_path_scale[:, :, chosen],
        )

    def names(self, step: int) -> str:
        """List the recordings of a step by their place in the manifest, counted from 0."""
        return f"recordings {', '.join(map(str, self.batches.rows_of(step)))} of the manifest"

    def _make(self, step: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        recipe, seed, stream = self.batches.recipe, self.batches.seed, self.batches.stream
        spectrograms, targets = self.batches.batch(step)
        draw = rng.generator(seed, f"{stream}/drop_path", step)
        drop_path_scale = drop_path(recipe.drop_path, self.encoder.shape.depth, len(targets), draw)
        draw = rng.generator(seed, f"{stream}/patch_drop", step)
        n_patches = spectrograms[0].numel() // (self.encoder.patch_frames * self.encoder.patch_mels)
        return spectrograms, targets, patch_drop(recipe.patch_drop, n_patches, len(targets), draw), drop_path_scale


def train(
    model: Classifier,
    batches: Batches,
    backend: compute.Backend,
    label: str,
    validate: Callable[[], float] | None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Training, BestEpoch]:
    """Fine-tune for all epochs; with a validation split, restore the weights of the best epoch.

    Args:
        model: on the backend's device.
        batches: the data, and the recipe.
        backend: device, precision and processes.
        label: what to call the run in the progress lines.
        validate: returns the figure that an epoch is selected by; None keeps the last epoch.
        checkpoints: where to continue from and to keep the state; None keeps none.
    """
    recipe = batches.recipe
    loss_function = functional.binary_cross_entropy_with_logits if batches.multi_label else functional.cross_entropy
    best = BestEpoch()
    training = Training(
        model,
        recipe.optimizer,
        batches.n_steps,
        accumulate=recipe.accumulate,
        layer_decay=recipe.layer_decay,
        companion=best,
    )

    def loss_of(run: torch.nn.Module, batch: Batch) -> Tensor:
        spectrograms, targets, *drawn = batch
        return loss_function(run(spectrograms, *drawn), targets)

    def select(step: int) -> None:
        if validate is not None and step % batches.per_epoch == 0:
            with training.ema.applied():
                best.offer(validate(), model)

    training.fit(FoldData(batches, model.encoder.config), loss_of, backend, label, checkpoints, select)
    if validate is None:
        training.ema.settle()
    else:
        model.load_state_dict(best.weights)
    return training, best


def run(  # noqa: PLR0913  (the stage's inputs and outputs)
    cfg: config.Config,
    task: str,
    fold: int,
    init: Literal["pretrained", "scratch"],
    manifest_path: Path,
    card_path: Path,
    decoded: Path,
    encoder_path: Path | None,
    *,
    resume: Path,
    out: Path,
) -> None:
    """Fine-tune, and report the held-out fold after the last epoch, or the test split after the selected one.

    Both initialisations see the same batches, augmentation and budget. An epoch is selected on the validation split;
    a task with folds has none, and nothing is selected. An interrupted run with the same inputs is continued exactly
    where it was saved last.

    Args:
        cfg: all parameters.
        task: name of the task.
        fold: number of the held-out fold, from 1; a task with a split has one run, number 1.
        init: where the encoder's weights come from.
        manifest_path: the task's manifest.
        card_path: the task's card.
        decoded: folder with the task's decoded recordings.
        encoder_path: the pre-trained encoder; None from scratch.
        resume: folder for the state while the run lasts.
        out: folder for metrics, predictions, figures of each class, losses, weights and run card.

    Raises:
        AudiopgError: a recording or checkpoint is missing or damaged, or the loss is not finite.
    """
    recipe, section = cfg.recipe(task), cfg.task(task)
    manifest, card = Manifest.read(manifest_path), Card.read(card_path)
    backend = compute.backend(cfg.compute, recipe.n_threads, trains=True)
    check_division("finetune", recipe, backend)
    clips = recordings.load(decoded, cfg.features, section.clip_s)
    rows = split(manifest, fold, section.train_share, cfg.seed)
    label, stream = f"{task} fold {fold} {init}", f"finetune/{task}/fold{fold}"
    if recipe.normalise == "task":
        clips = clips.normalised_to(rows.train)
    batches = Batches(clips, manifest.targets, rows.train, recipe, cfg.seed, stream, multi_label=card.multi_label)
    model = Classifier(cfg.encoder, card.n_classes, recipe.pooling)
    initialise(model, cfg.seed)
    if encoder_path is not None:
        model.encoder = load_encoder(encoder_path, cfg.encoder, cfg.features)
    model.to(backend.device)
    if recipe.standardise:
        known = list(over_windows(model.embedding, clips, rows.train, backend, f"{label}: embedding"))
        model.standardise(torch.from_numpy(np.stack(known)))
    reads, inputs = stages.reads(cfg, "finetune", task), [manifest_path, card_path, *recordings.files(decoded)]
    inputs += [] if encoder_path is None else [encoder_path]
    run_digest = run_cards.run_digest("finetune", reads, inputs, backend.name, stream, init)
    checkpoints = Checkpoints(resume, run_digest, recipe.save_every)

    def figures(part: Int64, scores: Float64) -> dict[str, float]:
        return metrics.evaluate(manifest.targets[part], scores, multi_label=card.multi_label)

    def validate() -> float:
        return figures(rows.val, predict(model, clips, rows.val, backend, f"{label}: validating"))[card.metric]

    training, best = train(model, batches, backend, label, validate if len(rows.val) else None, checkpoints)
    if not backend.is_main_process:
        return
    scores = predict(model, clips, rows.test, backend, f"{label}: testing")
    losses = training.loss_table()
    losses.insert(0, "epoch", 1 + losses["step"] // batches.per_epoch)
    storage.write_table(out / "loss.csv", losses)
    storage.write_table(out / "predictions.csv", predictions(manifest, rows.test, scores, card))
    by_class = metrics.per_class(manifest.targets[rows.test], scores, multi_label=card.multi_label)
    named = [(manifest.class_names[number], *figures) for number, *figures in by_class]
    storage.write_table(out / "classes.csv", pd.DataFrame(named, columns=["class", "n_clips", "score"]))
    tensors.write(out / "classifier.safetensors", model.state_dict(), {"classes": "|".join(manifest.class_names)})
    found = {metric: round(value, 6) for metric, value in figures(rows.test, scores).items()}
    epoch = best.epoch or recipe.n_epochs
    storage.write_json(
        out / "metrics.json", {"task": task, "init": init, "fold": fold, "epoch": epoch, "metrics": found}
    )
    run_cards.write_card(
        out / "run.json",
        "finetune",
        reads,
        inputs,
        [out / name for name in OUTPUTS],
        task=task,
        device=backend.name,
        init=init,
        fold=fold,
        norm_mean=clips.log_mel.features.norm_mean,
        norm_std=clips.log_mel.features.norm_std,
        **{f"n_{part}": len(numbers) for part, numbers in rows._asdict().items()},
        validation=[round(score, 6) for score in best.scores],
    )
    checkpoints.clear()


def predict(model: Classifier, clips: Clips, rows: Int64, backend: compute.Backend, label: str) -> Float64:
    """Average the logits of each recording's windows, shape (len(rows), C)."""
    model.eval()
    scores = np.stack(list(over_windows(model, clips, rows, backend, label)))
    model.train()
    return scores


def predictions(manifest: Manifest, rows: Int64, scores: Float64, card: Card) -> pd.DataFrame:
    """Return the actual and the predicted labels of clips, columns ``path, actual, predicted``.

    Predicted is the label with the highest score; where a clip may have several, also all above even odds, from the
    highest score down.
    """
    names = np.array(manifest.class_names)
    order = np.argsort(-scores, axis=1, kind="stable")
    n_predicted = np.maximum((scores > 0).sum(axis=1), 1) if card.multi_label else np.ones(len(rows), dtype=np.int64)
    return pd.DataFrame(
        {
            "path": np.array(manifest.paths)[rows],
            "actual": ["|".join(names[labels > 0]) for labels in manifest.targets[rows]],
            "predicted": ["|".join(names[best[:n]]) for best, n in zip(order, n_predicted, strict=True)],
        }
    )
