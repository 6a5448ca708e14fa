"""The optimiser and its schedule."""

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from audiopg import config


def adamw(model: nn.Module, optimizer: "config.Optimizer") -> torch.optim.AdamW:
    """Return AdamW; weight decay acts on matrices only, not on biases, norms and the mask token."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim == 2], "weight_decay": optimizer.weight_decay},  # noqa: PLR2004
        {"params": [p for p in parameters if p.ndim != 2], "weight_decay": 0.0},  # noqa: PLR2004
    ]
    return torch.optim.AdamW(groups, lr=optimizer.lr, betas=optimizer.betas, fused=True)


def learning_rate(optimizer: "config.Optimizer", step: int, n_steps: int) -> float:
    """Learning rate of one step: a line up from 0 during warm-up, then half a cosine down to 0.

    Args:
        optimizer: the ``optimizer`` section.
        step: number of the step, from 0.
        n_steps: steps of the whole run.

    Differs from the paper: the release keeps the rate constant in pre-training.
    """
    warmup = round(optimizer.warmup_fraction * n_steps)
    if step < warmup:
        return optimizer.lr * (step + 1) / warmup
    progress = (step - warmup) / max(n_steps - warmup, 1)
    return optimizer.lr * 0.5 * (1 + math.cos(math.pi * progress))
