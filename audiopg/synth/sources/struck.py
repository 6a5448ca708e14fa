"""Struck and plucked bodies: modes that are excited at once and die away, the high ones sooner."""

import numpy as np

from audiopg.arrays import Float64
from audiopg.synth.sources.primitive import Grid, Keys, Lines, Parameter, Primitive, below_nyquist, decay_rate

N_MODES = 24
PLATE_ASPECT = 1.3
BAR, PLATE, GLASS = 0, 1, 2


def mode_ratios() -> Float64:
    """Frequencies of the modes of a bar, a plate and a glass over the first one's, shape (3, N_MODES).

    The bar is free at both ends, ``f_k ∝ β_k²`` with ``cos β cosh β = 1``; the plate is rectangular (1 : 1.3) with
    hinged edges, ``f ∝ m² + (1.3 n)²``; the glass bends as a ring, ``f_k ∝ k (k² - 1) / √(k² + 1)``, k = 2, 3, ….

    Source: Fletcher and Rossing, The Physics of Musical Instruments (1998), chapters 2, 3 and 20.
    """
    k = np.arange(1, N_MODES + 1)
    beta = np.concatenate([[4.730041, 7.853205, 10.995608, 14.137165], (2 * k[4:] + 1) * np.pi / 2])
    plate = np.sort((k[:, None] ** 2 + (PLATE_ASPECT * k) ** 2).ravel())[:N_MODES]
    ring = (k + 1) * ((k + 1) ** 2 - 1) / np.sqrt((k + 1) ** 2 + 1)
    bodies: Float64 = np.stack([beta**2, plate, ring])
    return bodies / bodies[:, :1]


def modal(  # noqa: PLR0913  (a parameter of the source each)
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    body: Float64,
    n_modes: Float64,
    decay_exponent: Float64,
    strike_position: Float64,
    decay_s: Float64,
    damping_exponent: Float64,
    mode_detune: Float64,
) -> Lines:
    """Struck bar, plate or glass: damped modes at inharmonic frequencies ``f_k = f0 · ratio_k · detune``.

    Mode k has the amplitude ``k^-γ |sin(π k x)|``, struck at the place x, and falls by 60 dB in
    ``decay_s · (f_k / f0)^-damping_exponent``.

    Args:
        f0_hz: frequency of the first mode in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        body: 0 bar, 1 plate, 2 glass, shape (B,).
        n_modes: modes that sound, up to 24, shape (B,).
        decay_exponent: γ; a soft mallet has a large one, shape (B,).
        strike_position: x, part of the body's length, shape (B,).
        decay_s: time in which the first mode falls by 60 dB, in s, shape (B,).
        damping_exponent: how much sooner high modes die away, shape (B,).
        mode_detune: factor on each frequency, shape (B, N).

    Source: van den Doel and Pai, The sounds of physical shapes (1998).
    """
    k = np.arange(1, mode_detune.shape[1] + 1)
    ratio = mode_ratios()[body.astype(np.int64)][:, : len(k)] * mode_detune
    shape = k ** -decay_exponent[:, None] * np.abs(np.sin(np.pi * k * strike_position[:, None]))
    amplitude = np.where(k <= n_modes[:, None], shape, 0.0)
    t60_s = decay_s[:, None] * ratio ** -damping_exponent[:, None]
    return below_nyquist(f0_hz[:, None] * ratio, amplitude, np.zeros(1), decay_rate(t60_s), grid)


MODAL = Primitive(
    modal,
    {
        "body": Parameter("0 bar, 1 plate, 2 glass", low=0, high=2, whole=True),
        "n_modes": Parameter("modes", low=1, high=N_MODES, whole=True),
        "decay_exponent": Parameter("1", low=-10, high=10),
        "strike_position": Parameter("part of the length", low=0, high=1),
        "decay_s": Parameter("s", low=1e-3),
        "damping_exponent": Parameter("1", low=-2, high=10),
        "mode_detune": Parameter("frequency ratio", low=0.5, high=2, one_per="n_modes"),
    },
    struck=True,
)


def plucked(  # noqa: PLR0913
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    n_partials: Float64,
    pluck_position: Float64,
    inharmonicity: Float64,
    decay_s: Float64,
    damping_exponent: Float64,
) -> Lines:
    """Plucked stiff string: damped partials at ``f_k = k f0 √(1 + B k²)``.

    The force on the bridge has amplitudes ``sin(π k x) / k``, plucked at the place x; partial k falls by 60 dB in
    ``decay_s · k^-damping_exponent``.

    Args:
        f0_hz: fundamental of the string without stiffness in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        n_partials: partials that sound, shape (B,).
        pluck_position: x, part of the string's length, shape (B,).
        inharmonicity: B, shape (B,).
        decay_s: time in which a partial k = 1 falls by 60 dB, in s, shape (B,).
        damping_exponent: how much sooner high partials die away, shape (B,).

    Source: Fletcher and Rossing (1998), chapter 2; Fletcher (1964) for the stiff string.
    """
    k = np.arange(1, int(n_partials.max(initial=1)) + 1)
    frequency_hz = k * f0_hz[:, None] * np.sqrt(1 + inharmonicity[:, None] * k**2)
    force = np.sin(np.pi * k * pluck_position[:, None]) / k
    amplitude = np.where(k <= n_partials[:, None], force, 0.0)
    t60_s = decay_s[:, None] * k ** -damping_exponent[:, None]
    return below_nyquist(frequency_hz, amplitude, np.full(1, 0.25), decay_rate(t60_s), grid)


PLUCKED = Primitive(
    plucked,
    {
        "n_partials": Parameter("partials", low=1, whole=True),
        "pluck_position": Parameter("part of the length", low=0, high=1),
        "inharmonicity": Parameter("1", low=0),
        "decay_s": Parameter("s", low=1e-3),
        "damping_exponent": Parameter("1", low=-2, high=10),
    },
    struck=True,
)
