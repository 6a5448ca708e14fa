"""Recursive filters as sums over blocks."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from audiopg.arrays import Float64, Int64
from audiopg.compute import sent

FILTER_BLOCK = 32
NOTHING = 1e-200  # in place of a pole at 0, which has no logarithm


def run_filter(
    waveform: Tensor, direct: Float64, pole: NDArray[np.complex128], residue: NDArray[np.complex128]
) -> Tensor:
    """Run a `filters.Filter` from rest.

    Its impulse response is ``h[0] = direct + Re Σ R, h[m] = Re Σ R p^m``. So the output in a block of samples is a
    matrix product with that block and with the complex numbers that remember all blocks before,
    ``s[n] = p s[n-1] + x[n]``. The number of operations depends neither on the rows nor on their length. An FFT would
    do as well, but takes ten times as long on a CPU, and rounding errors sound before the first sample does.

    Args:
        waveform: shape (B, T), float32, on any device.
        direct: shape (B,).
        pole: shape (B, J).
        residue: shape (B, J).

    Returns:
        Filtered waveform, shape (B, T), float32.
    """
    n_samples, device = waveform.shape[1], waveform.device
    n_blocks = -(-n_samples // FILTER_BLOCK)
    stretch = math.isqrt(n_blocks - 1) + 1  # blocks; as many stretches as blocks in each, so that no matrix is large
    n_stretches = -(-n_blocks // stretch)
    within, over_blocks, over_stretches = np.arange(FILTER_BLOCK + 1), np.arange(stretch + 1), np.arange(n_stretches)
    steps = (within, over_blocks * FILTER_BLOCK, over_stretches * (stretch * FILTER_BLOCK))
    columns = sent(torch.from_numpy(np.stack([np.log(np.where(pole == 0, NOTHING, pole)), residue])), device)
    rate, weight = columns[..., None].unbind()
    powers = (rate * sent(torch.from_numpy(np.concatenate(steps)), device)).exp()
    inside, of_blocks, of_stretches = powers.tensor_split((len(within), len(within) + len(over_blocks)), dim=2)

    answer = (weight * inside).real  # (B, J, L + 1), of each section
    response = answer[..., :-1].sum(dim=1)
    response[:, 0] += sent(torch.from_numpy(direct), device)
    whole = pad(waveform, (0, n_stretches * stretch * FILTER_BLOCK - n_samples))
    blocks = whole.view(len(waveform), n_stretches * stretch, FILTER_BLOCK).double()  # (B, N, L)
    ends = inside[..., :-1].flip(2) @ blocks.to(torch.complex128).mT  # (B, J, N)
    memory = pad(_decaying_sum(ends, of_blocks, of_stretches)[..., :-1], (1, 0))
    out: Tensor = blocks @ _delays(response) + (memory.mT @ (weight * inside)[..., 1:]).real
    return out.flatten(1)[:, :n_samples].to(torch.float32)


def _decaying_sum(values: Tensor, of_blocks: Tensor, of_stretches: Tensor) -> Tensor:
    """Solve ``s[n] = p · s[n-1] + values[n]`` for all n: inside stretches, then over their ends, in two products.

    Args:
        values: shape (B, J, M · S), complex128.
        of_blocks: powers 0 to S of p, shape (B, J, S + 1), complex128.
        of_stretches: powers 0, S, 2 S and so on of p, shape (B, J, M), complex128.

    Returns:
        s, shape (B, J, M · S), complex128.
    """
    stretches = values.reshape(*of_stretches.shape, -1)
    inside: Tensor = stretches @ _delays(of_blocks[..., :-1])  # (B, J, M, S)
    ends = inside[..., -1:].mT @ _delays(of_stretches)  # (B, J, 1, M)
    before = pad(ends[..., :-1], (1, 0)).mT * of_blocks[:, :, None, 1:]
    return (inside + before).flatten(2)


def _delays(response: Tensor) -> Tensor:
    """Return the matrices that convolve rows of n samples with responses, shape (..., n) to (..., n, n)."""
    return response[..., sent(torch.from_numpy(_lags(response.shape[-1])), response.device)].triu()


def _lags(n: int) -> Int64:
    """Return how far apart two of n samples are, shape (n, n)."""
    position = np.arange(n)
    lag: Int64 = np.abs(position - position[:, None])
    return lag
