"""NumPy's Philox generator, compiled, to draw a few numbers at each of many addresses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float64
from audiopg.jit import compiled
from audiopg.rng import stream_key

ROUNDS = 10
MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def uniforms(seed: int, stream: str, indices: Sequence[int], n: int) -> Float64:
    """Draw ``n`` uniform numbers for each index.

    Returns:
        Numbers in [0, 1), shape (B, n), float64; row *b* depends on ``indices[b]`` alone and holds the first ``n``
        numbers of `rng.generator` at that index, to the last bit.
    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (2011); Philox 4 × 64 with ten rounds.
    """
    out = np.empty((len(indices), n))
    _fill(out, np.asarray(indices, dtype=np.uint64), stream_key(seed, stream))
    return out


@compiled
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Upper half of the product of two 64-bit numbers."""
    a0, a1, b0, b1 = a & LOW, a >> HALF, b & LOW, b >> HALF
    middle = a1 * b0 + (a0 * b0 >> HALF)
    other = a0 * b1 + (middle & LOW)
    return a1 * b1 + (middle >> HALF) + (other >> HALF)


@compiled
def _fill(out: Float64, indices: NDArray[np.uint64], key: NDArray[np.uint64]) -> None:
    """Fill the rows; block c of an index has the counter (c + 1, index, 0, 0), as NumPy counts up before it draws."""
    for row in range(out.shape[0]):
        for block in range((out.shape[1] + 3) // 4):
            c0, c1, c2, c3 = np.uint64(block + 1), indices[row], np.uint64(0), np.uint64(0)
            k0, k1 = key[0], key[1]
            for _ in range(ROUNDS):
                h0, l0 = _high(MULTIPLIERS[0], c0), MULTIPLIERS[0] * c0
                h1, l1 = _high(MULTIPLIERS[1], c2), MULTIPLIERS[1] * c2
                c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
                k0, k1 = k0 + WEYL[0], k1 + WEYL[1]
            words = (c0, c1, c2, c3)
            for number in range(min(4, out.shape[1] - 4 * block)):
                out[row, 4 * block + number] = np.float64(words[number] >> np.uint64(11)) * 2.0**-53
