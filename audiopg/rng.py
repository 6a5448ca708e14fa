"""Randomness with an address: every draw is a pure function of (seed, stream name, index)."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Int64

if TYPE_CHECKING:
    from torch import Tensor

    Integers = TypeVar("Integers", NDArray[np.int32], Tensor)
else:
    Integers = TypeVar("Integers")


def stream_key(seed: int, stream: str) -> NDArray[np.uint64]:
    """Hash a seed and a stream name to the 128-bit key of a Philox generator, shape (2,)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """Return the NumPy generator at one address.

    The index is the second word of Philox's counter, so that each address has its own 2^64 blocks.

    >>> draws = [generator(42, "mask", step).random() for step in (7, 8, 7)]
    >>> draws[0] == draws[2] != draws[1]
    True
    """
    counter = np.array([0, index, 0, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=stream_key(seed, stream), counter=counter))


def noise_keys(seed: int, stream: str, indices: Sequence[int]) -> NDArray[np.int32]:
    """Return one 32-bit key per index for `hashed_uniform`, shape (B,), int32."""
    salt = _as_int32(stream_key(seed, stream)[:1])
    words = np.asarray(indices, dtype=np.int64)
    return mix32(mix32(_as_int32(words)) ^ mix32(_as_int32(words >> 32) ^ salt))


def _as_int32(words: Int64 | NDArray[np.uint64]) -> NDArray[np.int32]:
    """Keep the low 32 bits of each word."""
    return words.astype(np.uint32).view(np.int32)


def mix32(x: Integers) -> Integers:
    """Scramble 32-bit integers held in int32 (NumPy array or torch tensor alike).

    Two multiply-xorshift rounds; a bijection. An int32 product that wraps keeps its low 32 bits, so that NumPy, torch
    on CPU and torch on GPU agree bit for bit; a right shift of a negative number fills in ones, which are masked away.

    Source: the "lowbias32" constants of Wellons' hash prospector (2018).
    """
    x = x ^ (x >> 16 & 0xFFFF)
    x *= 0x7FEB352D
    x ^= x >> 15 & 0x1FFFF
    x *= 0x846CA68B - (1 << 32)
    x ^= x >> 16 & 0xFFFF
    return x


def hashed_uniform(keys: Integers, samples: Integers) -> Integers:
    """Hash (key, sample number) pairs to 24-bit integers, the mantissa of a float32.

    Args:
        keys: from `noise_keys`, broadcastable against ``samples``, int32.
        samples: sample numbers, int32.

    Returns:
        Integers in [0, 2^24), int32; divide by 2^23 and subtract 1 for a uniform number in [-1, 1).
    """
    return mix32(mix32(samples ^ keys) + keys) >> 8 & 0xFFFFFF
