"""Noise from the hash, as `rng.hashed_uniform` says it."""

import numpy as np
from numpy.typing import NDArray

from audiopg.jit import compiled

Samples = NDArray[np.float32]


@compiled
def hash24(key: np.uint32, sample: np.uint32) -> np.uint32:
    """Compute `rng.hashed_uniform`."""
    x = np.uint32(sample ^ key)
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x + key)
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    return np.uint32(x >> np.uint32(8))


@compiled
def white_noise(out: Samples, key: np.int32) -> None:
    """Fill with uniform white noise in [-1, 1), as `noise.white_noise`."""
    unsigned = np.uint32(key)
    for n in range(out.shape[0]):
        out[n] = np.float32(np.int32(hash24(unsigned, np.uint32(n)))) * np.float32(2.0**-23) - np.float32(1)


@compiled
def add_white_noise(mix: Samples, amplitude: np.float32, key: np.int32) -> None:
    """Add the noise of `white_noise` without writing it down first."""
    unsigned = np.uint32(key)
    for n in range(mix.shape[0]):
        noise = np.float32(np.int32(hash24(unsigned, np.uint32(n)))) * np.float32(2.0**-23) - np.float32(1)
        mix[n] += amplitude * noise
