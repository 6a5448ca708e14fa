"""Phase in cycles, kept in float64 and wrapped before any sine is taken of it."""

import math

import torch
from torch import Tensor


def block_cycles(frequency_hz: Tensor, n_samples: int, sample_rate_hz: int) -> tuple[Tensor, Tensor]:
    """Phase of sinusoids, as the phase at the start of each block of samples plus the phase inside a block.

    Sample ``n L + m`` has the phase ``start[..., n] + inside[..., m]``: T phases from about 2 √T numbers. Both are
    wrapped in float64, as a float32 phase would be off by 0.1 cycles after 10 s.

    Args:
        frequency_hz: frequencies in Hz, any shape, float64.
        n_samples: T.
        sample_rate_hz: samples per second.

    Returns:
        Phases in cycles, in [0, 1), shapes (..., N) and (..., L) with N L >= T, float64.
    """
    length = 1 << (n_samples.bit_length() // 2)
    step = (frequency_hz / sample_rate_hz)[..., None]
    inside = step * torch.arange(length, dtype=torch.float64, device=step.device)
    start = step * torch.arange(0, n_samples, length, dtype=torch.float64, device=step.device)
    return start - start.floor(), inside - inside.floor()


def sinusoids(frequency_hz: Tensor, amplitude: Tensor, phase: Tensor, n_samples: int, sample_rate_hz: int) -> Tensor:
    """Sum of sinusoids, ``Σ_k a_k sin(2π (f_k t + φ_k))``.

    ``sin(a + b) = sin a cos b + cos a sin b`` over the blocks of `block_cycles` needs about 2 √T sines for each partial
    instead of T, and makes the sum over partials a matrix product. It is in float64, as float32 products are rounded to
    ten bits on a GPU that is set to TF32.

    Args:
        frequency_hz: frequencies in Hz, shape (B, P), float64.
        amplitude: amplitudes, shape (B, P), float64.
        phase: phases at t = 0 in cycles, shape (B, P), float64.
        n_samples: T.
        sample_rate_hz: samples per second.

    Returns:
        Waveform, shape (B, T), float64.
    """
    start, inside = block_cycles(frequency_hz, n_samples, sample_rate_hz)
    start = math.tau * (start + phase[..., None])
    inside = math.tau * inside
    blocks = torch.cat([amplitude[..., None] * start.sin(), amplitude[..., None] * start.cos()], dim=1)
    within = torch.cat([inside.cos(), inside.sin()], dim=1)
    return (blocks.mT @ within).flatten(1)[:, :n_samples]


def phase_cycles(frequency_hz: Tensor, n_samples: int, sample_rate_hz: int) -> Tensor:
    """Phase in cycles at every sample, in [0, 2), shape (B, T), float64."""
    start, inside = block_cycles(frequency_hz, n_samples, sample_rate_hz)
    return (start[..., :, None] + inside[..., None, :]).flatten(-2)[..., :n_samples]
