"""Steady sources: sums of sinusoids that neither move nor decay, band-limited by what is left out of the sum."""

import math

import numpy as np
from scipy.special import jv

from audiopg.arrays import Float64
from audiopg.synth.sources.primitive import Grid, Keys, Lines, Parameter, Primitive, below_nyquist

# Sidebands of frequency modulation that are weaker than this do not sound: -100 dB.
SIDEBAND_MIN = 1e-5


def harmonic(  # noqa: PLR0913  (a parameter of the source each)
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    n_partials: Float64,
    decay_exponent: Float64,
    partial_gain: Float64,
    partial_detune: Float64,
    partial_phase: Float64,
) -> Lines:
    """Partials at ``k · f0 · detune`` with amplitudes ``k^-γ · gain``.

    Args:
        f0_hz: fundamental in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        n_partials: partials that sound, shape (B,).
        decay_exponent: γ, shape (B,).
        partial_gain: factor on each amplitude, shape (B, P); what lies beyond ``n_partials`` is not read.
        partial_detune: factor on each frequency, shape (B, P).
        partial_phase: phase at t = 0 in cycles, shape (B, P).

    Source: AudioPG's harmonic primitive.
    """
    k = np.arange(1, partial_gain.shape[1] + 1)
    frequency_hz = k * f0_hz[:, None] * partial_detune
    # Differs from the paper: one γ for all partials of a clip, as in the paper's text; the released code draws the
    # exponent for each partial.
    amplitude = np.where(k <= n_partials[:, None], k ** -decay_exponent[:, None] * partial_gain, 0.0)
    # Differs from the paper: a partial at or above the Nyquist frequency is silent; there it folds back.
    return below_nyquist(frequency_hz, amplitude, partial_phase, np.zeros(1), grid)


HARMONIC = Primitive(
    harmonic,
    {
        "n_partials": Parameter("partials", low=1, whole=True),
        "decay_exponent": Parameter("1", low=-10, high=10),
        "partial_gain": Parameter("amplitude", low=0, one_per="n_partials"),
        "partial_detune": Parameter("frequency ratio", low=0, one_per="n_partials"),
        "partial_phase": Parameter("cycles", one_per="n_partials"),
    },
)


def fm(
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    modulation_index: Float64,
    modulator_ratio: Float64,
) -> Lines:
    """Frequency-modulated sinusoid, ``sin(2π f_c t + I sin(2π f_m t))`` with ``f_m = ratio · f_c``.

    Its lines lie at ``f_c ± k f_m`` and have the amplitudes ``J_k(I)``; negative frequencies fold back with their sign
    turned, as they must.

    Args:
        f0_hz: carrier frequency in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        modulation_index: I in radians, shape (B,).
        modulator_ratio: modulator frequency / carrier frequency, shape (B,).

    Source: Chowning (1973); AudioPG's frequency-modulation primitive.
    """
    # Differs from the paper: sidebands at or above the Nyquist frequency are silent; there they fold back.
    largest = math.ceil(float(modulation_index.max(initial=0.0)))
    order = np.arange(largest + 16 + largest // 2)
    bessel = jv(order, modulation_index[:, None])
    bessel = np.where(np.abs(bessel) >= SIDEBAND_MIN, bessel, 0.0)
    k = np.concatenate([-order[:0:-1], order])
    amplitude = np.concatenate([(bessel * (-1.0) ** order)[:, :0:-1], bessel], axis=1)
    frequency_hz = f0_hz[:, None] * (1 + k * modulator_ratio[:, None])
    amplitude = np.sign(frequency_hz) * amplitude
    return below_nyquist(np.abs(frequency_hz), amplitude, np.zeros(1), np.zeros(1), grid)


FM = Primitive(
    fm,
    {
        "modulation_index": Parameter("rad", low=0),
        "modulator_ratio": Parameter("frequency ratio", low=0.01),
    },
)


def pulse(f0_hz: Float64, key: Keys, grid: Grid, *, shape: Float64) -> Lines:  # noqa: ARG001
    """Sawtooth, square or triangle wave, made of the harmonics below the Nyquist frequency and no others.

    Its Fourier series overshoots ±1 by up to 18 %.

    Args:
        f0_hz: fundamental in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        shape: 0 saw, 1 square, 2 triangle, shape (B,).

    Source: AudioPG's pulse primitive.
    """
    # Differs from the paper: band-limited; there the naive saw and square alias.
    k = np.arange(1, math.ceil(grid.sample_rate_hz / 2 / float(f0_hz.min(initial=math.inf))) + 1)
    odd = k % 2
    series = np.stack(
        [
            2 / (np.pi * k) * np.where(odd, 1, -1),
            4 / (np.pi * k) * odd,
            8 / (np.pi * k) ** 2 * odd * np.where(k % 4 == 1, 1, -1),
        ]
    )
    return below_nyquist(k * f0_hz[:, None], series[shape.astype(np.int64)], np.zeros(1), np.zeros(1), grid)


PULSE = Primitive(pulse, {"shape": Parameter("0 saw, 1 square, 2 triangle", low=0, high=2, whole=True)})
