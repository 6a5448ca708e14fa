"""Fixed two-dimensional sine-cosine positions, computed for any grid of patches."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

CPU = torch.device("cpu")


@lru_cache(maxsize=16)
def sincos_2d(n_time: int, n_frequency: int, width: int, device: torch.device = CPU) -> Tensor:
    """Positions of a grid: the first half of the width codes time, the second half frequency.

    Each half holds sines, then cosines, of the coordinate at wavelengths from 2π to 10000 · 2π.

    Args:
        n_time: patches along time.
        n_frequency: patches along frequency, the faster axis.
        width: width D of the embedding.
        device: where they are needed, and are kept.

    Returns:
        Shape (n_time · n_frequency, D), float32, in [-1, 1].

    Raises:
        ValueError: the width is not a multiple of 4.
    Source: MAE's fixed embeddings, He et al. (2022), after Vaswani et al. (2017).
    """
    if width % 4:
        msg = f"width {width} is not a multiple of 4"
        raise ValueError(msg)
    rates = 10000.0 ** -(np.arange(width // 4) / (width // 4))
    time, frequency = np.meshgrid(np.arange(n_time), np.arange(n_frequency), indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in (time, frequency)]
    return torch.from_numpy(np.hstack([f(angle) for angle in angles for f in (np.sin, np.cos)])).float().to(device)
