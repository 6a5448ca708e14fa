"""Linear filters as sums of one-pole sections, the one form in which all renderers run them."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Bool, Float64

Complex = NDArray[np.complex128]

# Corners of the pink filter's sections: a pole, and half a section above it a zero, from 15 Hz up.
PINK_POLES_HZ = 15.0 * 3.4 ** np.arange(6)
PINK_ZEROS_HZ = PINK_POLES_HZ * math.sqrt(3.4)
BROWN_HZ = 20.0
WHITE, PINK, BROWN = 0, 1, 2


class Filter(NamedTuple):
    """``y[n] = direct · x[n] + Re Σ_j residue_j s_j[n]`` with ``s_j[n] = pole_j s_j[n-1] + x[n]``, from rest.

    A pair of conjugate poles is one section, with twice its residue.
    """

    direct: Float64  # (B,)
    pole: Complex  # (B, J), inside the unit circle
    residue: Complex  # (B, J)


def _biquad(numerator: Float64, pole: Complex) -> Filter:
    """Write ``(b0 + b1 z⁻¹ + b2 z⁻²) / (1 - p z⁻¹)(1 - p* z⁻¹)`` as a `Filter`.

    Args:
        numerator: b0, b1, b2, shape (B, 3).
        pole: p, not real, shape (B,).
    """
    b0, b1, b2 = numerator.T
    direct = b2 / np.abs(pole) ** 2
    residue = (b0 + b1 / pole + b2 / pole**2) / (1 - pole.conj() / pole)
    return Filter(direct, pole[:, None], 2 * residue[:, None])


def _butterworth(cutoff_hz: Float64, sample_rate_hz: int) -> Complex:
    """Upper pole of the cookbook's second-order sections with Q = 1/√2, shape (B,)."""
    omega = math.tau * cutoff_hz / sample_rate_hz
    alpha = np.sin(omega) / math.sqrt(2)  # and so √(sin² ω - α²) is α again
    pole: Complex = (np.cos(omega) + 1j * alpha) / (1 + alpha)
    return pole


def low_pass(cutoff_hz: Float64, sample_rate_hz: int) -> Filter:
    """Second-order Butterworth low-pass (Q = 1/√2), -3.01 dB at the cut-off, -12 dB per octave above.

    Args:
        cutoff_hz: shape (B,), in (0, sample_rate_hz / 2).
        sample_rate_hz: samples per second.

    Source: Bristow-Johnson, audio-EQ cookbook.
    """
    # Differs from the paper: nothing is clamped to ±1; there the filter clips most of the clips that it damps.
    pole = _butterworth(cutoff_hz, sample_rate_hz)
    b0 = np.abs(1 - pole) ** 2 / 4  # a gain of 1 at 0 Hz
    return _biquad(b0[:, None] * np.array([1.0, 2.0, 1.0]), pole)


def high_pass(cutoff_hz: Float64, sample_rate_hz: int) -> Filter:
    """Second-order Butterworth high-pass, the mirror of `low_pass`."""
    pole = _butterworth(cutoff_hz, sample_rate_hz)
    b0 = np.abs(1 + pole) ** 2 / 4  # a gain of 1 at the Nyquist frequency
    return _biquad(b0[:, None] * np.array([1.0, -2.0, 1.0]), pole)


def where(stands: Bool, filter_: Filter) -> Filter:
    """Keep a filter in some rows, and change nothing in the others."""
    return Filter(np.where(stands, filter_.direct, 1.0), filter_.pole, np.where(stands[:, None], filter_.residue, 0.0))


def cascade(first: Filter, second: Filter) -> Filter:
    """Two filters one after the other, as one sum of sections; they must have no pole in common.

    In partial fractions, each section keeps its pole and is weighted by what the other filter makes of it.
    """
    pole = np.concatenate([first.pole, second.pole], axis=1)
    residue = np.concatenate(
        [first.residue * _response(second, first.pole), second.residue * _response(first, second.pole)], axis=1
    )
    return Filter(first.direct * second.direct, pole, residue)


def _response(filter_: Filter, z: Complex) -> Complex:
    """Transfer function at complex numbers, shape (B, N)."""
    pole, residue, at = filter_.pole[:, :, None], filter_.residue[:, :, None], z[:, None]
    sections = residue / (1 - pole / at) + residue.conj() / (1 - pole.conj() / at)
    response: Complex = filter_.direct[:, None] + sections.sum(axis=1) / 2
    return response


def band_pass(centre_hz: Float64, bandwidth_hz: Float64, sample_rate_hz: int) -> Filter:
    """Second-order resonance without gain at 0 Hz and at the Nyquist frequency; white noise keeps its power.

    Args:
        centre_hz: angle of the poles, shape (B,), in (0, sample_rate_hz / 2).
        bandwidth_hz: -3 dB bandwidth of a narrow resonance, shape (B,); above the Nyquist frequency it is that.
        sample_rate_hz: samples per second.
    """
    # poles near 0 would make sections that all but cancel, which float32 cannot carry
    bandwidth_hz = np.minimum(bandwidth_hz, sample_rate_hz / 2)
    pole = np.exp((-np.pi * bandwidth_hz + 2j * np.pi * centre_hz) / sample_rate_hz)
    return unit_power(_biquad(np.array([1.0, 0.0, -1.0]) * np.ones((len(pole), 1)), pole))


def resonances(frequency_hz: Float64, decay_per_s: Float64, amplitude: Float64, sample_rate_hz: int) -> Filter:
    """Answer an impulse with ``Σ_j a_j exp(-d_j t) sin(2π f_j t)``.

    Args:
        frequency_hz: shape (B, J), below the Nyquist frequency.
        decay_per_s: shape (B, J).
        amplitude: shape (B, J).
        sample_rate_hz: samples per second.
    """
    pole = np.exp((-decay_per_s + 2j * np.pi * frequency_hz) / sample_rate_hz)
    return Filter(np.zeros(len(pole)), pole, (-1j * amplitude).astype(np.complex128))


def coloured(colour: int, sample_rate_hz: int) -> Filter:
    """Filter that gives white noise a colour and keeps its power; shape (1,).

    Pink falls by 3.01 dB per octave (within 0.5 dB between 40 Hz and 5.5 kHz, from 16 kHz on), brown by 6.02 dB above
    20 Hz; towards the Nyquist frequency brown falls less, by 3 dB in the last octave.

    Args:
        colour: 1 pink, 2 brown.
        sample_rate_hz: samples per second.
    """
    pole_hz = PINK_POLES_HZ if colour == PINK else np.array([BROWN_HZ])
    zero_hz = PINK_ZEROS_HZ if colour == PINK else np.array([])
    # the matched z-transform of real corners; zeros beyond the Nyquist frequency are left out
    poles = np.exp(-math.tau * pole_hz / sample_rate_hz)
    zeros = np.exp(-math.tau * zero_hz[zero_hz < sample_rate_hz / 2] / sample_rate_hz)
    poles = poles[pole_hz < sample_rate_hz / 2]
    residues = [
        np.prod(1 - zeros / pole) / np.prod(1 - np.delete(poles, number) / pole) for number, pole in enumerate(poles)
    ]
    direct = np.prod(zeros) / np.prod(poles) if len(zeros) == len(poles) else 0.0
    return unit_power(Filter(np.array([direct]), poles[None].astype(complex), np.array([residues], dtype=complex)))


def unit_power(filter_: Filter) -> Filter:
    """Scale a filter so that the squares of its impulse response add up to 1."""
    direct, pole, residue = filter_
    # Σ_n (Re Σ_j R_j p_j^n)² in closed form, and what `direct` changes at n = 0
    pairs = pole[:, :, None], pole[:, None, :]
    weights = residue[:, :, None], residue[:, None, :]
    same = weights[0] * weights[1] / (1 - pairs[0] * pairs[1])
    conjugate = weights[0] * weights[1].conj() / (1 - pairs[0] * pairs[1].conj())
    first = residue.real.sum(axis=1)
    power = (same + conjugate).real.sum(axis=(1, 2)) / 2 + (direct + first) ** 2 - first**2
    gain = 1 / np.sqrt(power)
    return Filter(direct * gain, pole, residue * gain[:, None])
