"""Fine-tuning of a classifier on some recordings of a task, and what it predicts for others."""

import copy
import threading
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audiopg import compute, config, rng
from audiopg.arrays import Float64, Int64
from audiopg.data.clips import Clips
from audiopg.evaluate.embeddings import over_windows
from audiopg.models.classifier import Classifier
from audiopg.train.batches import Batches
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.drop import drop_path, patch_drop
from audiopg.train.feed import Batch
from audiopg.train.loop import Training, strip_prefix


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
        self._last = threading.local()  # the parts of a step come one after another, in one thread

    def n_clips(self, step: int) -> int:  # noqa: ARG002  (all steps have as many)
        """Count the clips of a step."""
        return self.batches.recipe.batch_size

    def part(self, step: int, places: range) -> Batch:
        """Return spectrograms (B, F, M), targets (B, C), visible patches (B, V) and drop-path factors (depth, 2, B)."""
        if getattr(self._last, "step", None) != step:
            self._last.step, self._last.whole = step, self._make(step)
        spectrograms, targets, visible, drop_path_scale = self._last.whole
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
        _, n_frames, n_mels = spectrograms.shape
        grid = (n_frames // self.encoder.patch_frames, n_mels // self.encoder.patch_mels)
        return spectrograms, targets, patch_drop(recipe.patch_drop, grid, len(targets), draw), drop_path_scale


def objective(*, multi_label: bool) -> Callable[[torch.nn.Module, Batch], Tensor]:
    """Return the loss of a part of a step: a choice of two for each label, or one of all classes."""
    loss_function = functional.binary_cross_entropy_with_logits if multi_label else functional.cross_entropy

    def loss_of(run: torch.nn.Module, batch: Batch) -> Tensor:
        spectrograms, targets, *drawn = batch
        return loss_function(run(spectrograms, *drawn), targets)

    return loss_of


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
    best = BestEpoch()
    training = Training(
        model,
        recipe.optimizer,
        batches.n_steps,
        accumulate=recipe.accumulate,
        layer_decay=recipe.layer_decay,
        companion=best,
    )

    def select(step: int) -> None:
        if validate is not None and step % batches.per_epoch == 0:
            with training.ema.applied():
                best.offer(validate(), model)

    loss_of = objective(multi_label=batches.multi_label)
    training.fit(FoldData(batches, model.encoder.config), loss_of, backend, label, checkpoints, select)
    if validate is None:
        training.ema.settle()
    else:
        model.load_state_dict(best.weights)
    return training, best


def predict(model: Classifier, clips: Clips, rows: Int64, backend: compute.Backend, label: str) -> Float64:
    """Average the logits of each recording's windows, shape (len(rows), C)."""
    model.eval()
    scores = np.stack(list(over_windows(model, clips, rows, backend, label)))
    model.train()
    return scores
