"""Moving tones: a fundamental that glides, shakes and wanders, and a voice whose formants do."""

import math

import numpy as np

from audiopg.arrays import Float32, Float64
from audiopg.jit import compiled
from audiopg.synth.sources.primitive import KNOT, Grid, Keys, Parameter, Primitive, Tone

# A smooth random path is the sum of four slow sines; their rates have no common period (powers of the golden ratio).
PATH_RATES = np.array([0.382, 0.618, 1.0, 1.618])
CENTS = 1200.0
FORMANT_WIDTHS = np.array([1.0, 1.5, 2.0])  # of the three formants, over that of the first


@compiled
def _mean_of_sines(cycles: Float64, phase: Float64, n_knots: int) -> Float64:
    """Mean of sines that advance by so many cycles per knot, (B, N), from their phases in cycles, (B, N): (B, K)."""
    out = np.zeros((cycles.shape[0], n_knots))
    for row in range(cycles.shape[0]):
        for n in range(cycles.shape[1]):
            turned, begin = math.tau * cycles[row, n], math.tau * phase[row, n]
            turn, point = complex(math.cos(turned), math.sin(turned)), complex(math.cos(begin), math.sin(begin))
            for knot in range(n_knots):
                out[row, knot] += point.imag / cycles.shape[1]
                point *= turn
    return out


def path(rate_hz: Float64, phase: Float64, grid: Grid) -> Float64:
    """Smooth random path between -1 and 1 at the knots of the clip.

    Args:
        rate_hz: how fast it changes, shape (B,).
        phase: phases of its four sines in cycles, shape (B, 4).
        grid: time axis of the clip.

    Returns:
        Mean of the sines at 0.382, 0.618, 1 and 1.618 times the rate, shape (B, K).
    """
    knot_s = KNOT / grid.sample_rate_hz
    return _mean_of_sines(rate_hz[:, None] * PATH_RATES * knot_s, phase, len(grid.knot_s))


@compiled
def _harmonics(  # noqa: PLR0913
    f0_hz: Float64,
    n_partials: Float64,
    decay_exponent: Float64,
    level: Float64,
    formant_hz: Float64,
    width_hz: Float64,
    nyquist_hz: float,
) -> Float32:
    """Amplitudes of harmonics, shape (B, K, P): ``level · k^-γ`` times the gain of each formant.

    A partial sounds at a knot only if it is below the Nyquist frequency there and at the knots next to it; as frequency
    and amplitude are straight lines in between, it is never above. Sidebands of quick motions may exceed it and fold
    back next to the Nyquist frequency: below 7/8 of it, less than -70 dB.

    Args:
        f0_hz: shape (B, K).
        n_partials: shape (B,).
        decay_exponent: γ, shape (B,).
        level: shape (B, K).
        formant_hz: shape (B, N, K).
        width_hz: bandwidths of the formants, shape (B, N).
        nyquist_hz: half the sample rate.
    """
    n_rows, n_knots = f0_hz.shape
    out = np.zeros((n_rows, n_knots, int(n_partials.max())), dtype=np.float32)
    for row in range(n_rows):
        decay = np.arange(1, int(n_partials[row]) + 1).astype(np.float64) ** -decay_exponent[row]
        for knot in range(n_knots):
            highest = max(f0_hz[row, max(knot - 1, 0)], f0_hz[row, knot], f0_hz[row, min(knot + 1, n_knots - 1)])
            partials = out[row, knot, : min(decay.shape[0], math.ceil(nyquist_hz / highest) - 1)]
            for p in range(partials.shape[0]):
                partials[p] = level[row, knot] * decay[p]
            f0 = np.float32(f0_hz[row, knot])
            for n in range(formant_hz.shape[1]):
                place = np.float32(formant_hz[row, n, knot] ** 2)
                width = np.float32(width_hz[row, n] ** 2)
                for p in range(partials.shape[0]):
                    k = np.float32(np.int32(p + 1))
                    squared = f0 * f0 * k * k
                    partials[p] *= place / np.sqrt((place - squared) ** 2 + width * squared)
    return out


def tone(  # noqa: PLR0913  (a parameter of the source each)
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    n_partials: Float64,
    decay_exponent: Float64,
    glide_octaves: Float64,
    vibrato_rate_hz: Float64,
    vibrato_cents: Float64,
    tremolo_rate_hz: Float64,
    tremolo_depth: Float64,
    wander_rate_hz: Float64,
    wander_octaves: Float64,
    motion_phase: Float64,
) -> Tone:
    """Harmonic tone with amplitudes ``k^-γ`` that glides (a chirp), shakes (vibrato, tremolo) and wanders.

    ``log2 f0(t)`` is the sum of ``log2 f0``, a straight line over the clip, a sine and a smooth random path; the
    amplitude falls to ``1 - tremolo_depth`` and rises to 1 as a sine.

    Args:
        f0_hz: fundamental in the middle of the clip in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        n_partials: partials that sound as long as they are below the Nyquist frequency, shape (B,).
        decay_exponent: γ, shape (B,).
        glide_octaves: from the beginning of the clip to its end, shape (B,).
        vibrato_rate_hz: shape (B,).
        vibrato_cents: deviation to each side, shape (B,); pitch and level move in straight lines between the grid's
            knots, which at 16 kHz takes 7 % off a vibrato of 9 Hz and 18 % off one of 15 Hz.
        tremolo_rate_hz: shape (B,).
        tremolo_depth: in [0, 1], shape (B,).
        wander_rate_hz: as in `path`, shape (B,).
        wander_octaves: largest deviation to each side, shape (B,).
        motion_phase: phases of vibrato, tremolo and the path's sines in cycles, shape (B, 6).

    Source: ours; the path is deterministic in its phases, so that it is part of the score.
    """
    time_s = grid.knot_s
    vibrato = np.sin(2 * np.pi * (vibrato_rate_hz[:, None] * time_s + motion_phase[:, :1]))
    octaves = (
        glide_octaves[:, None] * (time_s / grid.duration_s - 0.5)
        + vibrato_cents[:, None] / CENTS * vibrato
        + wander_octaves[:, None] * path(wander_rate_hz, motion_phase[:, 2:], grid)
    )
    moving_hz = f0_hz[:, None] * 2**octaves
    swell = np.sin(2 * np.pi * (tremolo_rate_hz[:, None] * time_s + motion_phase[:, 1:2]))
    level = 1 - tremolo_depth[:, None] * (1 + swell) / 2
    no_formant = np.zeros((len(f0_hz), 0, len(time_s)))
    amplitude = _harmonics(
        moving_hz, n_partials, decay_exponent, level, no_formant, no_formant[:, :, 0], grid.sample_rate_hz / 2
    )
    return Tone(moving_hz, amplitude)


TONE = Primitive(
    tone,
    {
        "n_partials": Parameter("partials", low=1, whole=True),
        "decay_exponent": Parameter("1", low=-10, high=10),
        "glide_octaves": Parameter("octaves per clip", low=-10, high=10),
        "vibrato_rate_hz": Parameter("Hz", low=0, high=15),
        "vibrato_cents": Parameter("cents", low=0, high=1200),
        "tremolo_rate_hz": Parameter("Hz", low=0, high=15),
        "tremolo_depth": Parameter("1", low=0, high=1),
        "wander_rate_hz": Parameter("Hz", low=0, high=8),
        "wander_octaves": Parameter("octaves", low=0, high=4),
        "motion_phase": Parameter("cycles", one_per=6),
    },
)


def voice(  # noqa: PLR0913
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    n_partials: Float64,
    decay_exponent: Float64,
    formant_1_hz: Float64,
    formant_2_hz: Float64,
    formant_3_hz: Float64,
    formant_bandwidth_hz: Float64,
    articulation_rate_hz: Float64,
    articulation_octaves: Float64,
    intonation_rate_hz: Float64,
    intonation_octaves: Float64,
    motion_phase: Float64,
) -> Tone:
    """Voice: the partials ``k^-γ`` of a wandering glottal tone, through three formants that move.

    A formant at F with bandwidth W multiplies the amplitude at f by ``F² / √((F² - f²)² + (W f)²)``.

    Args:
        f0_hz: pitch in Hz, shape (B,).
        key: not used.
        grid: time axis of the clip.
        n_partials: partials that sound as long as they are below the Nyquist frequency, shape (B,).
        decay_exponent: γ of the glottal spectrum, shape (B,).
        formant_1_hz: middle of the first formant's path, shape (B,); so the second and third.
        formant_2_hz: shape (B,).
        formant_3_hz: shape (B,).
        formant_bandwidth_hz: of the first formant; the others are 1.5 and 2 times as broad, shape (B,).
        articulation_rate_hz: how fast the formants move, as in `path`, shape (B,).
        articulation_octaves: how far they move to each side, the third half as far, shape (B,).
        intonation_rate_hz: how fast the pitch moves, shape (B,).
        intonation_octaves: how far it moves to each side, shape (B,).
        motion_phase: phases of the paths of pitch and three formants in cycles, shape (B, 16).

    Source: Fant (1960), Klatt (1980): source and cascade of resonances.
    """
    paths = [motion_phase[:, first : first + 4] for first in range(0, 16, 4)]
    moving_hz = f0_hz[:, None] * 2 ** (intonation_octaves[:, None] * path(intonation_rate_hz, paths[0], grid))
    formants = ((formant_1_hz, 1.0), (formant_2_hz, 1.0), (formant_3_hz, 0.5))
    formant_hz = [
        middle_hz[:, None] * 2 ** (reach * articulation_octaves[:, None] * path(articulation_rate_hz, phase, grid))
        for (middle_hz, reach), phase in zip(formants, paths[1:], strict=True)
    ]
    amplitude = _harmonics(
        moving_hz,
        n_partials,
        decay_exponent,
        np.ones_like(moving_hz),
        np.stack(formant_hz, axis=1),
        formant_bandwidth_hz[:, None] * FORMANT_WIDTHS,
        grid.sample_rate_hz / 2,
    )
    return Tone(moving_hz, amplitude)


VOICE = Primitive(
    voice,
    {
        "n_partials": Parameter("partials", low=1, whole=True),
        "decay_exponent": Parameter("1", low=-10, high=10),
        "formant_1_hz": Parameter("Hz", low=50),
        "formant_2_hz": Parameter("Hz", low=50),
        "formant_3_hz": Parameter("Hz", low=50),
        "formant_bandwidth_hz": Parameter("Hz", low=10),
        "articulation_rate_hz": Parameter("Hz", low=0, high=15),
        "articulation_octaves": Parameter("octaves", low=0, high=2),
        "intonation_rate_hz": Parameter("Hz", low=0, high=15),
        "intonation_octaves": Parameter("octaves", low=0, high=2),
        "motion_phase": Parameter("cycles", one_per=16),
    },
)
