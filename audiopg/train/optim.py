"""The optimiser and its schedule."""

import math
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from audiopg import config

BLOCK = re.compile(r"encoder\.blocks\.(\d+)\.")


def adamw(model: nn.Module, optimizer: "config.Optimizer", layer_decay: float = 1.0) -> torch.optim.AdamW:
    """Return AdamW; weight decay acts on matrices only, not on biases, norms, the mask token and pooling queries.

    Args:
        model: what is optimised.
        optimizer: the ``optimizer`` section.
        layer_decay: factor of the learning rate per block, from the head down to the patch embedding. Each group of
            parameters has its ``scale`` of the learning rate.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    top = 1 + max((depth(name, 0) for name, _ in named), default=0)
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for decays in (True, False):
        for name, parameter in named:
            is_matrix = parameter.ndim == 2 and not name.endswith("query")  # noqa: PLR2004
            if is_matrix == decays:
                scale = layer_decay ** (top - depth(name, top))
                weight_decay = optimizer.weight_decay if decays else 0.0
                group = groups.setdefault((decays, scale), {"params": [], "weight_decay": weight_decay, "scale": scale})
                group["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), lr=optimizer.lr, betas=optimizer.betas, fused=True)


def depth(name: str, top: int) -> int:
    """Return how deep a parameter lies: 0 for the patch embedding, then the number of its block, ``top`` above them.

    Source: BEiT, Bao et al. (2022), and MAE's fine-tuning.
    """
    block = BLOCK.match(name)
    if block:
        return 1 + int(block[1])
    return 0 if name.startswith("encoder.embed.") else top


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
