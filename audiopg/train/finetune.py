"""The stage that fine-tunes a classifier on one fold of a task, from a pre-trained encoder or from scratch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch

from audiopg import compute, config, storage
from audiopg.arrays import Float64, Int64
from audiopg.data import clips as recordings
from audiopg.data.clips import Clips
from audiopg.evaluate import metrics
from audiopg.evaluate.embeddings import over_windows
from audiopg.evaluate.protocol import Split, inner, split
from audiopg.models.checkpoint import load_encoder
from audiopg.models.classifier import Classifier
from audiopg.models.vit import initialise
from audiopg.provenance import run_cards, stages
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest
from audiopg.train.batches import Batches
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.classify import BestEpoch, predict, train
from audiopg.train.feed import check_division
from audiopg.train.loop import Training
from audiopg.train.search import Search

OUTPUTS = ("metrics.json", "predictions.csv", "classes.csv", "loss.csv", "search.csv")


class Learnt(NamedTuple):
    """What one fine-tuning gives."""

    model: Classifier
    clips: Clips
    """The recordings as the model is to see them."""
    training: Training
    best: BestEpoch


@dataclass(frozen=True)
class Fold:
    """The recordings of one fold, and where its encoder starts."""

    cfg: config.Config
    manifest: Manifest
    card: Card
    clips: Clips
    backend: compute.Backend
    encoder_path: Path | None
    """The pre-trained encoder; None from scratch."""
    label: str
    stream: str
    """Names the draws: the same for both initialisations."""

    def learn(self, recipe: config.Finetune, rows: Split, checkpoints: Checkpoints) -> Learnt:
        """Fine-tune on some recordings by one recipe."""
        clips = self.clips.normalised_to(rows.train) if recipe.normalise == "task" else self.clips
        batches = Batches(
            clips,
            self.manifest.targets,
            rows.train,
            recipe,
            self.cfg.seed,
            self.stream,
            multi_label=self.card.multi_label,
        )
        n_bands = self.cfg.features.n_mels // self.cfg.encoder.patch_mels
        model = Classifier(self.cfg.encoder, self.card.n_classes, recipe.pooling, n_bands)
        initialise(model, self.cfg.seed)
        if self.encoder_path is not None:
            model.encoder = load_encoder(self.encoder_path, self.cfg.encoder, self.cfg.features)
        model.to(self.backend.device)
        if recipe.standardise:
            known = list(over_windows(model.embedding, clips, rows.train, self.backend, f"{self.label}: embedding"))
            model.standardise(torch.from_numpy(np.stack(known)))

        def validate() -> float:
            scores = predict(model, clips, rows.val, self.backend, f"{self.label}: validating")
            return self.figures(rows.val, scores)[self.card.metric]

        selects = validate if len(rows.val) else None
        return Learnt(model, clips, *train(model, batches, self.backend, self.label, selects, checkpoints))

    def tried(self, recipe: config.Finetune, parts: list[Split], folder: Path, run_digest: str) -> float:
        """Figure of a recipe on training recordings that are left out, the mean over some parts.

        Args:
            recipe: the candidate.
            parts: what learns and, as ``test``, what is left out.
            folder: for the states while they learn.
            run_digest: of the fold's run.
        """
        found = []
        for number, rows in enumerate(parts):
            place = folder / f"lr{recipe.optimizer.lr:g}-epochs{recipe.n_epochs}-part{number}"
            checkpoints = Checkpoints(place, f"{run_digest} {place.name}", 60 * recipe.save_every_min)
            learnt = self.learn(recipe, rows, checkpoints)
            scores = predict(learnt.model, learnt.clips, rows.test, self.backend, f"{self.label}: comparing")
            found.append(self.figures(rows.test, scores)[self.card.metric])
            if self.backend.is_main_process:
                checkpoints.clear()
        return float(np.mean(found))

    def figures(self, rows: Int64, scores: Float64) -> dict[str, float]:
        """Return the figures of what is predicted for some recordings."""
        return metrics.evaluate(self.manifest.targets[rows], scores, multi_label=self.card.multi_label)


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

    Both initialisations see the same batches and augmentation, and the same candidates of the search, which sees
    training recordings only. An epoch is selected on the validation split; a task with folds has none, and the last is
    taken. An interrupted run with the same inputs is continued exactly where it was saved last.

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
        out: folder for metrics, predictions, figures of each class, losses and run card; the weights are not kept.

    Raises:
        AudiopgError: a recording or checkpoint is missing or damaged, or the loss is not finite.
    """
    recipe, section = cfg.recipe(task), cfg.task(task)
    manifest, card = Manifest.read(manifest_path), Card.read(card_path)
    manifest.check(card)
    backend = compute.backend(cfg.compute, recipe.n_threads, trains=True)
    check_division("finetune", recipe, backend)
    clips = recordings.load(decoded, cfg.features, section.clip_s, len(manifest))
    rows = split(manifest, fold, section.train_share, cfg.seed)
    label, stream = f"{task} fold {fold} {init}", f"finetune/{task}/fold{fold}"
    reads, inputs = stages.reads(cfg, "finetune", task), [manifest_path, card_path, *recordings.files(decoded)]
    inputs += [] if encoder_path is None else [encoder_path]
    run_digest = run_cards.run_digest("finetune", reads, inputs, backend.name, stream, init)
    learner = Fold(cfg, manifest, card, clips, backend, encoder_path, label, stream)
    search = Search(recipe, resume / "search.json", run_digest)
    parts = inner(manifest, rows, fold, recipe.search.n_folds)
    recipe = search.best(lambda candidate: learner.tried(candidate, parts, resume, run_digest), backend)
    checkpoints = Checkpoints(resume, run_digest, 60 * recipe.save_every_min)
    model, clips, training, best = learner.learn(recipe, rows, checkpoints)
    if not backend.is_main_process:
        return
    scores = predict(model, clips, rows.test, backend, f"{label}: testing")
    losses = training.loss_table()
    losses.insert(0, "epoch", 1 + losses["step"] // (training.step // recipe.n_epochs))
    storage.write_table(out / "loss.csv", losses)
    storage.write_table(out / "search.csv", search.table())
    storage.write_table(out / "predictions.csv", predictions(manifest, rows.test, scores, card))
    by_class = metrics.per_class(manifest.targets[rows.test], scores, multi_label=card.multi_label)
    named = [(manifest.class_names[number], *figures) for number, *figures in by_class]
    storage.write_table(out / "classes.csv", pd.DataFrame(named, columns=["class", "n_clips", "score"]))
    found = {metric: round(value, 6) for metric, value in learner.figures(rows.test, scores).items()}
    chosen = {"lr": recipe.optimizer.lr, "n_epochs": recipe.n_epochs, "epoch": best.epoch or recipe.n_epochs}
    storage.write_json(out / "metrics.json", {"task": task, "init": init, "fold": fold, **chosen, "metrics": found})
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
    search.forget()
    checkpoints.clear()


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
