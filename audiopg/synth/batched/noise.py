"""White noise as a function of (key, sample number), without a generator that remembers."""

import torch
from torch import Tensor

from audiopg import rng


def white_noise(keys: Tensor, samples: Tensor) -> Tensor:
    """Uniform white noise in [-1, 1): mean 0, variance 1/3.

    Args:
        keys: from `rng.noise_keys`, int32, broadcastable against ``samples``.
        samples: sample numbers, int32.

    Returns:
        Noise of the broadcast shape, float32, the same to the last bit on every device.
    """
    return rng.hashed_uniform(keys, samples).to(torch.float32) * 2.0**-23 - 1
