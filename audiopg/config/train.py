"""The sections ``pretrain`` and ``finetune``: optimiser, steps, recipes."""

from itertools import product
from typing import Annotated, Literal

from pydantic import Field, model_validator

from audiopg.config.base import BelowOne, Count, Float, Fraction, Index, NonNegative, Positive, Section
from audiopg.config.model import Decoder


class Optimizer(Section):
    """AdamW with linear warm-up and a cosine to 0, per step."""

    lr: Positive
    weight_decay: NonNegative
    betas: tuple[BelowOne, BelowOne]
    warmup_fraction: Fraction
    clip_norm: Positive
    ema_decay: BelowOne
    on_non_finite: Literal["stop", "skip"]

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, data: object) -> object:
        """YAML has lists only; a strict tuple wants a tuple."""
        if isinstance(data, dict) and isinstance(data.get("betas"), list):
            return {**data, "betas": tuple(data["betas"])}
        return data


class Steps(Section):
    """Clips per step of the optimiser, and the number of parts in which it takes them, one after another."""

    batch_size: Count
    accumulate: Count

    @model_validator(mode="after")
    def _divides(self) -> "Steps":
        if self.batch_size % self.accumulate:
            msg = f"batch_size = {self.batch_size} must be a multiple of accumulate = {self.accumulate}"
            raise ValueError(msg)
        return self


class Objectives(Section):
    """Weights of what pre-training learns, in its loss; 0 leaves one out."""

    reconstruction: NonNegative
    physics: NonNegative
    twins: NonNegative

    @model_validator(mode="after")
    def _learns(self) -> "Objectives":
        if not (self.reconstruction or self.physics or self.twins):
            msg = "at least one weight must be above 0"
            raise ValueError(msg)
        return self


class Pretrain(Steps):
    """Pre-training on the synthetic corpus, for a number of steps or for a time."""

    n_steps: Count | None
    budget_min: Positive | None
    objectives: Objectives
    mask_ratio: Annotated[Float, Field(gt=0, lt=1)]
    decoder: Decoder
    drop_path: BelowOne
    optimizer: Optimizer
    save_every_min: Positive
    n_threads: Count

    @model_validator(mode="after")
    def _ends(self) -> "Pretrain":
        if (self.n_steps is None) == (self.budget_min is None):
            msg = "one of n_steps and budget_min must be a number, and the other null"
            raise ValueError(msg)
        return self


class Search(Section):
    """Candidates for fine-tuning, tried inside the training recordings of each fold and initialisation."""

    lr: list[Positive]
    n_epochs: list[Count]
    n_folds: Count


class Finetune(Steps):
    """Fine-tuning recipe, the same for pre-trained and scratch encoders."""

    n_epochs: Count
    optimizer: Optimizer
    search: Search
    layer_decay: Annotated[Float, Field(gt=0, le=1)]
    drop_path: BelowOne
    sampling: Literal["shuffled", "balanced"]
    mixup_alpha: NonNegative
    mixup_domain: Literal["log_mel", "power"]
    cutmix_alpha: NonNegative
    label_smoothing: BelowOne
    shift_frames: Index
    n_time_masks: Index
    time_mask_frames: Count
    n_mel_masks: Index
    mel_mask_bins: Count
    patch_drop: BelowOne
    pooling: Literal["mean", "attention", "bands"]
    normalise: Literal["corpus", "task"]
    standardise: bool
    save_every_min: Positive
    n_threads: Count

    @property
    def candidates(self) -> list[tuple[float, int]]:
        """Learning rates, each with each number of epochs; where there is one pair only, nothing is compared."""
        return list(product(self.search.lr or [self.optimizer.lr], self.search.n_epochs or [self.n_epochs]))
