"""A linear regression whose steps take a millisecond, for tests of the loop."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiopg import config
from audiopg.compute import Backend
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.feed import Batch
from audiopg.train.loop import Training

CPU = Backend(torch.device("cpu"), None)
OPTIMIZER = config.Optimizer(
    lr=0.05,
    weight_decay=0.01,
    betas=(0.9, 0.95),
    warmup_fraction=0.1,
    clip_norm=1.0,
    ema_decay=0.0,
    on_non_finite="stop",
)


class Killed(Exception):
    """Stands for a kill between two steps."""


class Line:
    """Points of a plane, by step; a kill before one of the steps, and steps with a clip that is no number."""

    def __init__(self, sizes: Sequence[int] = (16,), kill_at: int | None = None, broken: Sequence[int] = ()) -> None:
        """Take the sizes of the batches, in turn, and the steps at which something happens."""
        self.sizes = sizes
        self.kill_at = kill_at
        self.broken = broken
        self.seen: list[tuple[int, range]] = []

    def n_clips(self, step: int) -> int:
        return self.sizes[step % len(self.sizes)]

    def part(self, step: int, places: range) -> Batch:
        if step == self.kill_at:
            raise Killed
        self.seen.append((step, places))
        x = torch.randn(self.n_clips(step), 5, generator=torch.Generator().manual_seed(step))
        y = x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
        if step in self.broken:
            y[-1] = torch.nan
        return x[places.start : places.stop], y[places.start : places.stop], None

    def names(self, step: int) -> str:
        return f"clips of {step}"


def training(n_steps: int | None = 40, **changes: Any) -> Training:
    """A run of the regression; ``changes`` are those of the optimiser's section, or of the run."""
    sections = {name: changes.pop(name) for name in list(changes) if name in config.Optimizer.model_fields}
    model = nn.Linear(5, 1)
    with torch.no_grad():
        model.weight.fill_(0.1)
        model.bias.zero_()
    return Training(model, OPTIMIZER.model_copy(update=sections), n_steps, **changes)


def loss_of(run: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error."""
    x, y, _ = batch
    return (run(x)[:, 0].float() - y).square().mean()


def flat(run: nn.Module, batch: Batch) -> Tensor:
    """A loss whose gradient is no infinity in float16, times the first scale."""
    return 0.01 * loss_of(run, batch)


def weights(run: Training) -> Tensor:
    """All weights of a run in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


class EveryFive(Checkpoints):
    """A state is due after five looks at the losses; on a CPU, after five steps."""

    looks = 0

    def due(self) -> bool:
        super().due()
        self.looks += 1
        return self.looks % 5 == 0


def checkpoints(folder: Path, run: str = "run") -> Checkpoints:
    return EveryFive(folder / "resume", run, every_s=0)


FLOAT16 = replace(CPU, autocast_dtype=torch.float16)


def cusp(run: nn.Module, batch: Batch) -> Tensor:
    """A loss without a gradient, whatever it is multiplied by."""
    return (loss_of(run, batch) * 0).sqrt()
