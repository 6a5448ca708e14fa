"""What all parts of a rehearsal share: parameters, device, a folder, and how long a rate is measured."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from audiopg import config
from audiopg.arrays import Float32
from audiopg.compute import Backend
from audiopg.data.clips import STORED, Clips
from audiopg.features.logmel import LogMel
from audiopg.tasks.card import Card
from audiopg.tasks.registry import find

NO_CUDA = "there is no CUDA device"
SHARE = 0.25  # of `Setting.seconds`, for rates that are only compared with each other: no forecast uses them
Figures = dict[str, float | int | str]
"""Figures by name; the unit is in the name."""


@dataclass(frozen=True)
class Setting:
    """Where a rehearsal takes place."""

    cfg: config.Config
    backend: Backend
    """Device and precision of the training."""
    folder: Path
    """For what is written meanwhile."""
    out: Path
    """For what stays."""
    seconds: float
    """How long a rate is measured, at the least, after the first call."""
    gpus: tuple[str, ...] = ()
    """What ``CUDA_VISIBLE_DEVICES`` gave to this process, by number or UUID; of others, another job may use each."""

    def card(self, task: str) -> Card:
        """Return the card of a task, which needs no recordings."""
        return find(task, self.cfg.task(task)).card

    def synchronise(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.backend.device.type == "cuda":
            torch.cuda.synchronize(self.backend.device)

    def free(self) -> None:
        """Give memory that is no longer used back to the GPU, for what comes next and for other processes."""
        if self.backend.device.type == "cuda":
            gc.collect()  # a model may be part of a circle
            torch.cuda.empty_cache()

    def rate(self, work: Callable[[], object], n_items: int) -> float:
        """Return how many items per second some work does, after a first call that is not counted.

        Args:
            work: what is repeated.
            n_items: what one call does.
        """
        work()
        self.synchronise()
        began, n_calls = time.perf_counter(), 0
        while time.perf_counter() - began < self.seconds or not n_calls:
            work()
            self.synchronise()
            n_calls += 1
        return n_calls * n_items / (time.perf_counter() - began)

    def recordings(self, clip_s: float, n_recordings: int) -> Clips:
        """Make up recordings of one window each: noise in place of sound, which takes a model as long."""
        n_frames, n_mels = self.cfg.features.n_frames(clip_s), self.cfg.features.n_mels
        frames: Float32 = np.random.Generator(np.random.Philox(self.cfg.seed)).standard_normal(
            (n_recordings * n_frames, n_mels), dtype=np.float32
        )
        return Clips(frames.astype(STORED), np.arange(n_recordings + 1) * n_frames, n_frames, LogMel(self.cfg.features))
