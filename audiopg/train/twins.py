"""An objective of pre-training: tell which clips are of one identity."""

import math

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.1


def twins_loss(directions: Tensor, n_clips: int) -> Tensor:
    """Cross-entropy of finding the clips of the same identity among all others of the part, a scalar.

    It is divided by the loss of a guess, the logarithm of the number of other clips: who knows nothing has 1. Only
    clips that are in the part together are compared. So the task is harder in a larger batch, and depends on
    ``accumulate`` and on the number of processes, as contrastive objectives do.

    Args:
        directions: of length 1, shape (B, P); the clips of an identity are next to each other.
        n_clips: clips of each identity, at least 2; B is a multiple of it, and more than it.
    Source: InfoNCE, van den Oord et al. (2018), as NT-Xent in Chen et al. (2020).
    """
    with torch.autocast(directions.device.type, enabled=False):  # bfloat16 cannot tell twins that are nearly found
        return _loss(directions, n_clips)


def _loss(directions: Tensor, n_clips: int) -> Tensor:
    place = torch.arange(len(directions), device=directions.device)
    itself = torch.eye(len(directions), dtype=torch.bool, device=directions.device)
    # places, not a mask: a CPU would wait for a GPU to know how many there are
    number, other = place[:, None] % n_clips, place[: n_clips - 1]
    twins = place[:, None] - number + other + (other >= number)
    similarity = (directions @ directions.T / TEMPERATURE).masked_fill(itself, -torch.inf)
    found = -functional.log_softmax(similarity, dim=1).gather(1, twins).mean()
    return found / math.log(len(directions) - 1)
