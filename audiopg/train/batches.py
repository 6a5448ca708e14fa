"""Augmented training batches of one fold, by step number."""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from audiopg import config, rng
from audiopg.arrays import Float32, Float64, Int64
from audiopg.data.clips import Clips
from audiopg.train.augment import cutmix, mixup, random_offsets, spec_augment


class Batches:
    """Batches of a fine-tuning; the number of a step alone determines its clips, cuts and blends."""

    def __init__(  # noqa: PLR0913
        self,
        clips: Clips,
        targets: Float32,
        rows: Int64,
        recipe: config.Finetune,
        seed: int,
        stream: str,
        *,
        multi_label: bool,
    ) -> None:
        """Take the recordings and their augmentation.

        Args:
            clips: all recordings.
            targets: 1 where a recording has a label, else 0, shape (N, C).
            rows: numbers of the recordings that train.
            recipe: the fine-tuning recipe.
            seed: names the order and the augmentation, together with ``stream``.
            stream: name of the run.
            multi_label: whether a recording may have several labels.
        """
        self.clips = clips
        self.targets = targets
        self.rows = rows
        self.recipe = recipe
        self.seed = seed
        self.stream = stream
        self.multi_label = multi_label

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch; the last batch is filled up."""
        return -(-len(self.rows) // self.recipe.batch_size)

    @property
    def n_steps(self) -> int:
        """Steps of all epochs."""
        return self.recipe.n_epochs * self.per_epoch

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return spectrograms (B, F, M) and targets (B, C) of one step: class probabilities, or one per label."""
        rows = self.rows_of(step)
        draw = rng.generator(self.seed, f"{self.stream}/augment", step)
        offsets = random_offsets(self.clips, rows.tolist(), self.recipe.shift_frames, draw.random(len(rows)))
        spectrograms, targets = self.clips.batch(rows.tolist(), offsets), torch.from_numpy(self.targets[rows])
        if self._cuts(step):
            spectrograms, targets = cutmix(spectrograms, targets, self.recipe.cutmix_alpha, draw)
        else:
            blend = self.clips.log_mel.add if self.recipe.mixup_domain == "power" else torch.lerp
            spectrograms, targets = mixup(spectrograms, targets, self.recipe.mixup_alpha, draw, blend)
        masks = rng.generator(self.seed, f"{self.stream}/masks", step)
        spectrograms = spec_augment(spectrograms, self.recipe, self.clips.log_mel.silence, masks)
        # with several labels, each is a choice of two; else the label is a choice of all classes
        n_choices = 2 if self.multi_label else targets.shape[1]
        smoothing = self.recipe.label_smoothing
        return spectrograms, targets * (1 - smoothing) + smoothing / n_choices

    def rows_of(self, step: int) -> Int64:
        """Return the recordings of one step, in their order."""
        epoch, number = divmod(step, self.per_epoch)
        size = self.recipe.batch_size
        return self.order(epoch)[number * size : (number + 1) * size]

    def _cuts(self, step: int) -> bool:
        """Return whether a step has CutMix; if mixup is on as well, every second step on average."""
        if 0 in (self.recipe.cutmix_alpha, self.recipe.mixup_alpha):
            return self.recipe.cutmix_alpha > 0
        return rng.generator(self.seed, f"{self.stream}/cutmix", step).random() < 0.5  # noqa: PLR2004  (one of two)

    def order(self, epoch: int) -> Int64:
        """Return the recordings of one epoch in their order, as many as its batches have places.

        ``shuffled`` has each of them once, and the first of them again where the last batch has places left: all
        batches have one shape, for which a compiled model has one graph. ``balanced`` draws with replacement, by the
        sum over a recording's labels of 1 / the label's number of recordings: where each has one label, all classes are
        seen equally often.
        """
        draw = rng.generator(self.seed, f"{self.stream}/order", epoch)
        n_places = self.per_epoch * self.recipe.batch_size
        if self.recipe.sampling == "shuffled":
            return np.resize(draw.permutation(self.rows), n_places)
        return draw.choice(self.rows, n_places, p=self._chances)

    @cached_property
    def _chances(self) -> Float64:
        """Probability with which ``balanced`` draws each recording."""
        targets = self.targets[self.rows].astype(np.float64)
        weights = (targets / np.maximum(targets.sum(axis=0), 1)).sum(axis=1)
        chances: Float64 = weights / weights.sum()
        return chances
