"""Recursive filters as sums over blocks."""

import torch
from torch import Tensor
from torch.nn.functional import pad

FILTER_BLOCK = 32


def run_filter(waveform: Tensor, direct: Tensor, pole: Tensor, residue: Tensor) -> Tensor:
    """Run a `filters.Filter` from rest.

    Its impulse response is ``h[0] = direct + Re Σ R, h[m] = Re Σ R p^m``. So the output in a block of samples is a
    matrix product with that block and with the complex numbers that remember all blocks before,
    ``s[n] = p s[n-1] + x[n]``. An FFT would do as well, but its last bit depends on how many clips and threads there
    are.

    Args:
        waveform: shape (B, T), float32.
        direct: shape (B,), float64.
        pole: shape (B, J), complex128.
        residue: shape (B, J), complex128.

    Returns:
        Filtered waveform, shape (B, T), float32.
    """
    n_clips, n_samples = waveform.shape
    position = torch.arange(FILTER_BLOCK, device=waveform.device)
    powers = _power(pole[..., None], position)  # (B, J, L)
    response = (residue[..., None] * powers).real.sum(dim=1)
    response[:, 0] += direct
    lag = position - position[:, None]
    within = torch.where(lag >= 0, response[:, lag.clamp(min=0)], 0)
    before = residue[..., None] * powers * pole[..., None]

    blocks = pad(waveform, (0, -n_samples % FILTER_BLOCK)).view(n_clips, -1, FILTER_BLOCK).to(torch.float64)
    ends = blocks.to(torch.complex128) @ powers.flip(2).mT  # (B, N, J)
    memory = pad(_decaying_sum(ends, _power(pole, FILTER_BLOCK)[:, None])[:, :-1], (0, 0, 1, 0))
    out = blocks @ within + (memory @ before).real
    return out.flatten(1)[:, :n_samples].to(torch.float32)


def _power(pole: Tensor, exponent: Tensor | int) -> Tensor:
    """Raise complex numbers to whole powers; torch's own operator says NaN for 0 to the power of 0."""
    return torch.polar(pole.abs() ** exponent, pole.angle() * exponent)


def _decaying_sum(values: Tensor, factor: Tensor) -> Tensor:
    """Solve ``s[n] = factor · s[n-1] + values[n]`` for all n, by doubling the distance that each s reaches back.

    Args:
        values: shape (B, N, J), complex.
        factor: shape (B, 1, J), complex, of magnitude below 1.

    Returns:
        s, shape (B, N, J), complex.
    """
    reach = 1
    while reach < values.shape[1]:
        values = torch.cat([values[:, :reach], values[:, reach:] + factor * values[:, :-reach]], dim=1)
        factor = factor * factor
        reach *= 2
    return values
