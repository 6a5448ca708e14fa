"""What training leaves out at random: patches of a clip, residual branches of the encoder."""

import numpy as np
import torch
from torch import Tensor

from audiopg import config


def patch_drop(rate: float, n_patches: int, batch_size: int, draw: np.random.Generator) -> Tensor | None:
    """Draw which patches each example keeps, numbers in rising order, shape (B, V), or None when all are kept.

    Source: Liu et al., PatchDropout (2023).
    """
    if rate == 0:
        return None
    n_kept = config.n_visible(n_patches, rate)
    return torch.from_numpy(np.sort(np.argsort(draw.random((batch_size, n_patches)))[:, :n_kept]))


def drop_path(rate: float, depth: int, batch_size: int, draw: np.random.Generator) -> Tensor | None:
    """Draw the factors of the residual branches, shape (depth, 2, B), or None when nothing is dropped.

    The rate rises linearly over the blocks from 0 to ``rate``; kept branches are scaled so that the mean stays.
    Source: Huang et al. (2016).
    """
    if rate == 0:
        return None
    rates = np.linspace(0, rate, depth)[:, None, None]
    kept = draw.random((depth, 2, batch_size)) >= rates
    return torch.from_numpy((kept / (1 - rates)).astype(np.float32))
