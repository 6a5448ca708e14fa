"""What is done to the whole clip: low-pass, noise floor, peak level."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiopg.synth.noise import white_noise

BLOCK = 32


def low_pass(waveform: Tensor, cutoff_hz: Tensor, sample_rate_hz: int) -> Tensor:
    """Second-order Butterworth low-pass (Q = 1/√2), -3.01 dB at the cut-off, -12 dB per octave above.

    The audio-EQ cookbook's biquad, ``b0 (1 + z⁻¹)² / (1 - p z⁻¹)(1 - p* z⁻¹)``, run from rest. Its impulse response
    is ``h[0] = b0, h[m] = 2 Re(R p^(m-1))``. So the output in a block of samples is one matrix product with that block
    and with the one complex number that remembers all blocks before, ``s[n] = p s[n-1] + x[n]``. An FFT would do as
    well, but its last bit depends on how many clips and threads there are.

    Args:
        waveform: shape (B, T), float32.
        cutoff_hz: shape (B,), float64, in (0, sample_rate_hz / 2).
        sample_rate_hz: samples per second.

    Returns:
        Filtered waveform, shape (B, T), float32.

    Source: Bristow-Johnson, audio-EQ cookbook.
    """
    n_clips, n_samples = waveform.shape
    # Differs from the paper: nothing is clamped to ±1; there the filter clips most of the clips that it damps.
    omega = math.tau * cutoff_hz[:, None] / sample_rate_hz
    alpha = omega.sin() / math.sqrt(2)
    b0 = (1 - omega.cos()) / 2 / (1 + alpha)
    pole = torch.complex(omega.cos(), alpha) / (1 + alpha)
    residue = b0 * (pole + 1) ** 2 / (pole - pole.conj())

    position = torch.arange(BLOCK, device=waveform.device)
    powers = pole**position
    response = torch.cat([b0, 2 * (residue * powers[:, :-1]).real], dim=1)
    lag = position - position[:, None]
    within = torch.where(lag >= 0, response[:, lag.clamp(min=0)], 0)
    before = 2 * residue * powers

    blocks = pad(waveform, (0, -n_samples % BLOCK)).view(n_clips, -1, BLOCK).to(torch.float64)
    ends = torch.view_as_complex(blocks @ torch.view_as_real(powers.flip(1)))
    memory = pad(_decaying_sum(ends, pole**BLOCK)[:, :-1], (1, 0))
    out = torch.cat([blocks, torch.view_as_real(memory)], dim=2)
    out = out @ torch.cat([within, before.real[:, None], -before.imag[:, None]], dim=1)
    return out.flatten(1)[:, :n_samples].to(torch.float32)


def _decaying_sum(values: Tensor, factor: Tensor) -> Tensor:
    """Solve ``s[n] = factor · s[n-1] + values[n]`` for all n, by doubling the distance that each s reaches back.

    Args:
        values: shape (B, N), complex.
        factor: shape (B, 1), complex, of magnitude below 1.

    Returns:
        s, shape (B, N), complex.
    """
    reach = 1
    while reach < values.shape[1]:
        values = torch.cat([values[:, :reach], values[:, reach:] + factor * values[:, :-reach]], dim=1)
        factor = factor * factor
        reach *= 2
    return values


def add_noise_floor(waveform: Tensor, keys: Tensor, amplitude: Tensor) -> None:
    """Add uniform white noise in ± amplitude, in place.

    Args:
        waveform: shape (B, T), float32.
        keys: from `rng.noise_keys`, shape (B,), int32.
        amplitude: shape (B,), float32.
    """
    samples = torch.arange(waveform.shape[1], dtype=torch.int32, device=waveform.device)
    waveform += white_noise(keys[:, None], samples) * amplitude[:, None]


def normalise_peak(waveform: Tensor) -> None:
    """Scale each clip to a peak of exactly 1, in place; a silent clip stays silent.

    Args:
        waveform: shape (B, T), float32.
    """
    peak = waveform.abs().amax(dim=1, keepdim=True)
    waveform /= torch.where(peak > 0, peak, 1)
