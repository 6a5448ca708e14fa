"""Randomness with an address: every draw is a pure function of (seed, stream name, index)."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    Integers = TypeVar("Integers", NDArray[np.int64], Tensor)
else:
    Integers = TypeVar("Integers")

LOW_32_BITS = 0xFFFFFFFF


def stream_key(seed: int, stream: str) -> NDArray[np.uint64]:
    """Hash a seed and a stream name to the 128-bit key of a Philox generator, shape (2,)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """Return the NumPy generator at one address.

    The index is the second word of Philox's counter, so that each address has 2^64 blocks of its own.
    """
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=stream_key(seed, stream), counter=counter))


def uniforms(seed: int, stream: str, indices: Sequence[int], n: int) -> NDArray[np.float64]:
    """Draw ``n`` uniform numbers for each index.

    Returns:
        Numbers in [0, 1), shape (B, n), float64; row *b* depends on ``indices[b]`` alone.
    """
    key = stream_key(seed, stream)
    rows = np.empty((len(indices), n))
    for row, index in enumerate(indices):
        counter = np.array([0, index, 0, 0], dtype=np.uint64)
        np.random.Generator(np.random.Philox(key=key, counter=counter)).random(out=rows[row])
    return rows


def noise_keys(seed: int, stream: str, indices: Sequence[int]) -> NDArray[np.int64]:
    """Return one 32-bit key per index for `hashed_uniform`, shape (B,), int64 in [0, 2^32)."""
    salt = int(stream_key(seed, stream)[0]) & LOW_32_BITS
    return mix32(mix32(np.asarray(indices, dtype=np.int64) & LOW_32_BITS) ^ salt)


def mix32(x: Integers) -> Integers:
    """Scramble 32-bit integers held in int64 (NumPy array or torch tensor alike).

    Two multiply-xorshift rounds; a bijection on [0, 2^32). The products fit in 64 bits after masking, and an int64
    that wraps keeps its low 32 bits, so that NumPy, torch on CPU and torch on GPU agree bit for bit.

    Source: the "lowbias32" constants of Wellons' hash prospector (2018).
    """
    x = (x ^ (x >> 16)) * 0x7FEB352D & LOW_32_BITS
    x = (x ^ (x >> 15)) * 0x846CA68B & LOW_32_BITS
    return x ^ (x >> 16)


def hashed_uniform(keys: Integers, samples: Integers) -> Integers:
    """Hash (key, sample number) pairs to 24-bit integers, the mantissa of a float32.

    Args:
        keys: from `noise_keys`, broadcastable against ``samples``.
        samples: sample numbers, int64 in [0, 2^32).

    Returns:
        Integers in [0, 2^24), int64; divide by 2^23 and subtract 1 for a uniform number in [-1, 1).
    """
    return mix32(mix32(samples ^ keys) + keys & LOW_32_BITS) >> 8
