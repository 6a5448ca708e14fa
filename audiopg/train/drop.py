"""What training leaves out at random: patches of a clip, residual branches of the encoder."""

import numpy as np
import torch
from torch import Tensor

from audiopg import config


def patch_drop(rate: float, grid: tuple[int, int], batch_size: int, draw: np.random.Generator) -> Tensor | None:
    """Draw which patches each example keeps, as many of each band of frequency.

    Args:
        rate: share that is left out.
        grid: patches along time and along frequency.
        batch_size: number B of examples.
        draw: where the randomness comes from.

    Returns:
        Numbers of the patches, shape (B, V), int64: the first one of each band from low to high, then the second ones;
        in each band in rising order. None when all are kept.
    Source: Liu et al., PatchDropout (2023); as many of each band is ours.
    """
    if rate == 0:
        return None
    n_time, n_bands = grid
    n_kept = config.n_visible(n_time, rate)
    times = np.sort(np.argsort(draw.random((batch_size, n_bands, n_time)))[:, :, :n_kept])
    numbers = times.transpose(0, 2, 1) * n_bands + np.arange(n_bands)
    return torch.from_numpy(numbers.reshape(batch_size, n_kept * n_bands))


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
