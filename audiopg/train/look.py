"""Looks at the numbers of steps, several at a time: each look waits until the device has done all that it was given."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Numbers(NamedTuple):
    """What a step came to."""

    step: int
    rate: float
    """Its learning rate."""
    loss: float
    norm: float
    """Of its gradient."""
    scale: float
    """Of the loss in float16; 1 in other precisions."""

    def problem(self) -> str:
        """Return what is not finite; float16 gradients may overflow while the scale can still be lowered."""
        if not math.isfinite(self.loss):
            return f"the loss is {self.loss}"
        return "" if math.isfinite(self.norm) or self.scale > 1 else "the gradient is not finite"


class Unread:
    """Steps that nobody has looked at: a GPU may still be at some of them."""

    def __init__(self) -> None:
        """Start without any."""
        self._steps: list[tuple[int, float, Tensor]] = []

    def __len__(self) -> int:
        """Count them."""
        return len(self._steps)

    def add(self, step: int, rate: float, numbers: Tensor) -> None:
        """Add a step, its learning rate, and its loss, norm and scale on the device, shape (3,)."""
        self._steps.append((step, rate, numbers))

    def read(self) -> list[Numbers]:
        """Wait for all of them, and forget them."""
        rows = torch.stack([numbers for *_, numbers in self._steps]).tolist()
        steps, self._steps = self._steps, []
        return [Numbers(step, rate, *row) for (step, rate, _), row in zip(steps, rows, strict=True)]
