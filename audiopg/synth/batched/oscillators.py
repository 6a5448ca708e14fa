"""Sums of sinusoids with phases in cycles, kept in float64 and wrapped before any sine is taken of them."""

import math

import torch
from torch import Tensor


def sinusoids(frequency: Tensor, amplitude: Tensor, phase: Tensor, decay: Tensor, n_samples: int) -> Tensor:
    """Sum of decaying sinusoids, ``Σ_p a_p exp(-d_p n) sin(2π (f_p n + φ_p))``.

    ``exp(a + b) = exp(a) exp(b)`` over blocks needs about 2 √T complex exponentials for each line instead of T, and
    makes the sum over lines a matrix product. It is in float64: float32 phases would be off by 0.1 cycles after 10 s,
    and float32 products are rounded to ten bits on a GPU that is set to TF32.

    Args:
        frequency: cycles per sample, shape (B, P), float64; so the others.
        amplitude: amplitudes.
        phase: phases at n = 0 in cycles.
        decay: d in 1 / sample, >= 0.
        n_samples: T.

    Returns:
        Waveform, shape (B, T), float64.
    """
    length = 1 << (n_samples.bit_length() // 2)
    first = torch.arange(0, n_samples, length, dtype=torch.float64, device=frequency.device)
    inside = torch.arange(length, dtype=torch.float64, device=frequency.device)

    def turned(samples: Tensor, phase: Tensor) -> Tensor:
        cycles = frequency[..., None] * samples + phase[..., None]
        return torch.polar((-decay[..., None] * samples).exp(), math.tau * (cycles - cycles.floor()))

    start = amplitude[..., None] * turned(first, phase)
    within = turned(inside, torch.zeros_like(phase))
    blocks = torch.cat([start.imag, start.real], dim=1)
    return (blocks.mT @ torch.cat([within.real, within.imag], dim=1)).flatten(1)[:, :n_samples]
