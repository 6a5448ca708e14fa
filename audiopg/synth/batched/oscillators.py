"""Sums of sinusoids with phases in cycles, kept in float64 and wrapped before any sine is taken of them."""

import math

import torch
from torch import Tensor

STEPS = 8  # harmonics of each lane, one after the other
LEAST_LANES = {"cpu": 1, "cuda": 8}  # a GPU does as much for a lane as for several


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


def n_lanes(n_partials: int, device: torch.device) -> int:
    """Return how many lanes `harmonics` needs, a power of two."""
    return max(1 << max(-(-n_partials // STEPS) - 1, 0).bit_length(), LEAST_LANES[device.type])


def harmonics(cycles: Tensor, amplitude: Tensor) -> Tensor:
    """Sum of the harmonics of one fundamental, ``Σ_k a_k sin(2πk c)``.

    It is the imaginary part of a polynomial in ``z = exp(2πi c)``. Horner's scheme computes it in `STEPS` steps, for
    `STEPS` neighbouring harmonics in each lane; then lanes are joined in pairs. On a GPU the number of operations is
    the same for any number of harmonics up to 64. A lane of zeros changes no bit of the sum.

    Args:
        cycles: of the fundamental between knots, shape (B, K - 1, N), float64.
        amplitude: at the knots, straight lines between them, shape (B, K, lanes · STEPS), float32, of harmonic 1 and
            on; `n_lanes` gives the lanes.

    Returns:
        Waveform, shape (B, K - 1, N), float32.
    """
    n = cycles.shape[2]
    between = torch.arange(n, device=cycles.device) / n
    lanes = amplitude.view(*amplitude.shape[:2], -1, STEPS, 1)  # (B, K, lanes, STEPS, 1)
    angle = (math.tau * (cycles - cycles.floor())).float()
    turn = (angle.cos()[:, :, None], angle.sin()[:, :, None])
    none = torch.zeros_like(turn[0])
    real = imag = none
    for step in reversed(range(STEPS)):
        level = torch.lerp(lanes[:, :-1, :, step], lanes[:, 1:, :, step], between)
        real, imag = _turned(real, imag, turn, (level, none))
    powers = [turn]
    for _ in range((amplitude.shape[2] - 1).bit_length() - 1):
        powers.append(_turned(*powers[-1], powers[-1], (none, none)))
    for power in reversed(powers[STEPS.bit_length() - 1 :]):
        half = real.shape[2] // 2
        real, imag = _turned(real[:, :, half:], imag[:, :, half:], power, (real[:, :, :half], imag[:, :, :half]))
    return _turned(real, imag, turn, (none, none))[1][:, :, 0]


def _turned(
    real: Tensor, imag: Tensor, turn: tuple[Tensor, Tensor], added: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Multiply complex numbers, and add others; torch takes longer for its complex type."""
    cos, sin = turn
    return (
        torch.addcmul(torch.addcmul(added[0], real, cos), imag, sin, value=-1),
        torch.addcmul(torch.addcmul(added[1], real, sin), imag, cos),
    )
