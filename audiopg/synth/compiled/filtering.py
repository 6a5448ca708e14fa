"""Filters whose sections run over many stretches of a clip at once."""

import math

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float32
from audiopg.jit import compiled

LANES = 64  # stretches of a clip that are filtered side by side
TILE = 32  # samples of each lane that are taken at once
FORGOTTEN = 1e-8  # part of a filter's memory that no sample shows


@compiled
def run_filter(
    x: Float32, y: Float32, direct: float, poles: NDArray[np.complex128], residues: NDArray[np.complex128]
) -> None:
    """Write x, filtered by a `filters.Filter`, to y, which may be x.

    The clip is cut into as many stretches as there are lanes. They start from rest and are filtered side by side, a
    tile of samples at a time, so that one vector instruction does several; then each gets what the memory of the
    stretches before it adds.
    """
    n_poles = 0
    for j in range(poles.shape[0]):
        if residues[j] != 0:
            n_poles = j + 1
    n = -(-x.shape[0] // (LANES * TILE)) * TILE
    taken = np.empty(TILE * LANES, dtype=np.float32)
    given = np.empty(TILE * LANES, dtype=np.float32)
    state = np.zeros((n_poles, 2 * LANES), dtype=np.float32)
    through = np.float32(direct)
    for begin in range(0, n, TILE):
        _take(x, n, begin, taken)
        for k in range(TILE * LANES):
            given[k] = through * taken[k]
        for j in range(n_poles):
            _resonate(taken, given, state[j], poles[j], residues[j])
        _give(y, n, begin, given)
    for j in range(n_poles):
        _carry_over(y, n, state[j], poles[j], residues[j])


@compiled
def _take(x: Float32, n: int, begin: int, tile: Float32) -> None:
    """Lay the samples of a tile out lane by lane; the clip goes on with zeros. Each lane has a stretch of n samples."""
    for lane in range(LANES):
        stretch = x[lane * n + begin : lane * n + begin + TILE]
        for k in range(stretch.shape[0]):
            tile[np.uintp(k * LANES + lane)] = stretch[k]
        for k in range(stretch.shape[0], TILE):
            tile[k * LANES + lane] = np.float32(0)


@compiled
def _give(y: Float32, n: int, begin: int, tile: Float32) -> None:
    """Put the samples of a tile back in their places."""
    for lane in range(LANES):
        stretch = y[lane * n + begin : lane * n + begin + TILE]
        for k in range(stretch.shape[0]):
            stretch[k] = tile[np.uintp(k * LANES + lane)]


@compiled
def _resonate(taken: Float32, given: Float32, state: Float32, pole: np.complex128, residue: np.complex128) -> None:
    """Add the answer of one section to a tile; the state holds real parts of all lanes, then imaginary parts."""
    p, q = np.float32(pole.real), np.float32(pole.imag)
    r, s = np.float32(residue.real), np.float32(residue.imag)
    for k in range(TILE):
        for lane in range(LANES):
            here, imag = np.uintp(k * LANES + lane), np.uintp(lane + LANES)
            turned_real = p * state[lane] - q * state[imag] + taken[here]
            turned_imag = p * state[imag] + q * state[lane]
            state[lane], state[imag] = turned_real, turned_imag
            given[here] += r * turned_real - s * turned_imag


@compiled
def _carry_over(y: Float32, n: int, ends: Float32, pole: np.complex128, residue: np.complex128) -> None:
    """Add to each stretch of n samples what a section remembers of those before, until it has faded."""
    faded = min(n, math.ceil(math.log(FORGOTTEN) / math.log(abs(pole))))
    real = np.empty(faded, dtype=np.float32)
    imag = np.empty(faded, dtype=np.float32)
    turned = residue
    for k in range(faded):
        turned *= pole
        real[k], imag[k] = turned.real, turned.imag
    over_stretch = pole**n
    memory = complex(0.0, 0.0)
    for lane in range(LANES):
        stretch = y[lane * n : lane * n + faded]
        memory_real, memory_imag = np.float32(memory.real), np.float32(memory.imag)
        for k in range(stretch.shape[0]):
            stretch[k] += real[k] * memory_real - imag[k] * memory_imag
        memory = complex(ends[lane], ends[lane + LANES]) + over_stretch * memory
