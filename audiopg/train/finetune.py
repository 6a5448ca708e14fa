"""The stage that fine-tunes a classifier on one fold of a task, from a pre-trained encoder or from scratch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from audiopg import closure, compute, config, params, provenance, rng, storage, tensors
from audiopg.data import clips as recordings
from audiopg.data.clips import Clips
from audiopg.evaluate import metrics
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.classifier import Classifier
from audiopg.models.vit import initialise
from audiopg.tasks import TASKS
from audiopg.tasks.manifest import Manifest
from audiopg.train.augment import drop_path, mixup, random_offsets
from audiopg.train.loop import Training


class Batches:
    """Augmented training batches of one fold, by step number."""

    def __init__(self, clips: Clips, classes: NDArray[np.int64], rows: NDArray[np.int64], n_classes: int) -> None:
        """Take all recordings, their classes, the rows that train, and the number of classes C."""
        self.clips = clips
        self.classes = classes
        self.rows = rows
        self.n_classes = n_classes

    def per_epoch(self, recipe: config.Finetune) -> int:
        """Steps of one epoch; the last batch may be smaller."""
        return -(-len(self.rows) // recipe.batch_size)

    def n_steps(self, recipe: config.Finetune) -> int:
        """Steps of all epochs."""
        return recipe.n_epochs * self.per_epoch(recipe)

    def batch(self, recipe: config.Finetune, seed: int, stream: str, step: int) -> tuple[Tensor, Tensor]:
        """Return spectrograms (B, F, M) and class probabilities (B, C) of one step."""
        epoch, number = divmod(step, self.per_epoch(recipe))
        order = rng.generator(seed, f"{stream}/order", epoch).permutation(len(self.rows))
        rows = self.rows[order[number * recipe.batch_size : (number + 1) * recipe.batch_size]]
        draw = rng.generator(seed, f"{stream}/augment", step)
        offsets = random_offsets(self.clips, rows.tolist(), recipe.shift_frames, draw.random(len(rows)))
        targets = functional.one_hot(torch.from_numpy(self.classes[rows]), self.n_classes).float()
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / self.n_classes
        return mixup(self.clips.batch(rows.tolist(), offsets), targets, recipe.mixup_alpha, draw)


@torch.no_grad()
def predict(model: Classifier, clips: Clips, rows: NDArray[np.int64], backend: compute.Backend) -> NDArray[np.float64]:
    """Average the logits of each recording's windows, shape (len(rows), C); in float32 whatever training used."""
    model.eval()
    scores = []
    for row in rows.tolist():
        offsets = clips.offsets(row)
        logits = model(clips.batch([row] * len(offsets), offsets).to(backend.device))
        scores.append(logits.double().mean(dim=0).cpu().numpy())
    return np.stack(scores)


def run(  # noqa: PLR0913  (the stage's inputs and outputs)
    cfg: config.Config,
    task: str,
    fold: int,
    init: Literal["pretrained", "scratch"],
    manifest_path: Path,
    encoder_path: Path | None,
    out: Path,
) -> None:
    """Fine-tune for a fixed number of epochs and report the last one on the held-out fold.

    Both initialisations see the same batches, augmentation and budget.

    Args:
        cfg: all parameters.
        task: name of the task.
        fold: number of the held-out fold, from 1.
        init: where the encoder's weights come from.
        manifest_path: the task's manifest.
        encoder_path: the pre-trained encoder; None from scratch.
        out: folder for metrics, predictions, losses, weights and run card.

    Raises:
        AudiopgError: a recording or checkpoint is missing or damaged, or the loss is not finite.
    """
    recipe, card = cfg.recipe(task), TASKS[task].card
    backend = compute.backend(cfg.compute, recipe.n_threads)
    manifest = Manifest.read(manifest_path)
    clips = recordings.load(task, manifest_path, cfg.features, cfg.task(task).clip_s)
    train, test = split(manifest, fold)
    batches = Batches(clips, manifest.classes, train, len(card.class_names))
    model = Classifier(cfg.encoder, batches.n_classes)
    initialise(model, cfg.seed)
    if encoder_path is not None:
        model.encoder = load_encoder(encoder_path, cfg.encoder, cfg.features)
    model.to(backend.device)
    stream = f"finetune/{task}/fold{fold}"

    def batch_of(step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        spectrograms, targets = batches.batch(recipe, cfg.seed, stream, step)
        draw = rng.generator(cfg.seed, f"{stream}/drop_path", step)
        keep = drop_path(recipe.drop_path, model.encoder.size.depth, len(targets), draw)
        device = backend.device
        return spectrograms.to(device), targets.to(device), None if keep is None else keep.to(device)

    def loss_of(batch: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        spectrograms, targets, keep = batch
        return functional.cross_entropy(model(spectrograms, keep), targets)

    training = Training(model, recipe.optimizer, batches.n_steps(recipe))
    training.fit(batch_of, loss_of, backend, f"{task} fold {fold} {init}", recipe.batch_size)
    scores = predict(model, clips, test, backend)
    storage.write_json(
        out / "card.json",
        provenance.run_card(
            "finetune",
            params.reads(cfg, "finetune", task),
            [path for path in (manifest_path, encoder_path) if path is not None],
            backend.name,
            code=closure.digest(__name__),
            seconds=round(training.seconds, 1),
            n_train=len(train),
            n_test=len(test),
        ),
    )
    training.write_losses(out / "loss.csv")
    _write_predictions(out / "predictions.csv", manifest, test, scores, card.class_names)
    tensors.write(out / "classifier.safetensors", model.state_dict(), {"classes": "|".join(card.class_names)})
    accuracy = round(metrics.accuracy(manifest.classes[test], scores), 6)
    storage.write_json(out / "metrics.json", {"task": task, "init": init, "fold": fold, "accuracy": accuracy})


def _write_predictions(
    path: Path, manifest: Manifest, rows: NDArray[np.int64], scores: NDArray[np.float64], class_names: Sequence[str]
) -> None:
    """Write the actual and the predicted class of each test clip as CSV."""
    names = np.array(class_names)
    table = pd.DataFrame(
        {
            "path": np.array(manifest.paths)[rows],
            "actual": names[manifest.classes[rows]],
            "predicted": names[scores.argmax(axis=1)],
        }
    )
    storage.write_text(path, table.to_csv(index=False))
