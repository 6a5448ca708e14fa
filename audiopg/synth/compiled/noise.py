"""Noise from the hash, as `rng.hashed_uniform` defines it."""

import numpy as np

from audiopg.arrays import Float32
from audiopg.jit import compiled


@compiled
def _hash24(key: np.uint32, sample: np.uint32) -> np.uint32:
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
def _sample(key: np.uint32, sample: np.uint32) -> np.float32:
    """Compute `noise.white_noise`: uniform in [-1, 1)."""
    return np.float32(np.int32(_hash24(key, sample))) * np.float32(2.0**-23) - np.float32(1)


@compiled
def white_noise(out: Float32, key: np.int32) -> None:
    """Fill with white noise."""
    unsigned = np.uint32(key)
    for n in range(out.shape[0]):
        out[n] = _sample(unsigned, np.uint32(n))


@compiled
def add_white_noise(mix: Float32, amplitude: np.float32, key: np.int32) -> None:
    """Add the noise of `white_noise` without writing it down first."""
    unsigned = np.uint32(key)
    for n in range(mix.shape[0]):
        mix[n] += amplitude * _sample(unsigned, np.uint32(n))
