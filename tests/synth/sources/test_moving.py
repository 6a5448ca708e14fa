"""Tones and voices: frequency and amplitude in time, measured from waveforms, against the formulas."""

from typing import Any

import numpy as np
import pytest
from scipy.signal import hilbert
from support.sounds import RATE, Floats, amplitudes, source

from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.moving import path
from audiopg.synth.sources.primitive import KNOT, Grid, Tone

SECONDS_4 = Grid(4 * RATE, RATE)
INSIDE = slice(8, -8)  # knots that are far from the clip's ends, where a Hilbert transform is right


def still(**changes: Any) -> dict[str, Any]:
    """A tone of one partial that does not move."""
    parameters = {
        "n_partials": 1,
        "decay_exponent": 1.0,
        "glide_octaves": 0.0,
        "vibrato_rate_hz": 0.0,
        "vibrato_cents": 0.0,
        "tremolo_rate_hz": 0.0,
        "tremolo_depth": 0.0,
        "wander_rate_hz": 0.0,
        "wander_octaves": 0.0,
        "motion_phase": np.array([[0.1, 0.75, 0.3, 0.4, 0.5, 0.6]]),
    }
    return parameters | changes


def vowel(**changes: Any) -> dict[str, Any]:
    """A voice that holds one vowel."""
    parameters = {
        "n_partials": 150,
        "decay_exponent": 0.0,
        "formant_1_hz": 500.0,
        "formant_2_hz": 1500.0,
        "formant_3_hz": 2800.0,
        "formant_bandwidth_hz": 80.0,
        "articulation_rate_hz": 1.0,
        "articulation_octaves": 0.0,
        "intonation_rate_hz": 1.0,
        "intonation_octaves": 0.0,
        "motion_phase": np.linspace(0, 3, 16)[None] % 1,
    }
    return parameters | changes


def frequencies_hz(waveform: Floats) -> Floats:
    """Mean frequency between each two neighbouring knots, by the analytic signal's phase."""
    phase = np.unwrap(np.angle(hilbert(waveform.astype(np.float64))))
    out: Floats = np.diff(phase[::KNOT]) / (2 * np.pi * KNOT) * RATE
    return out[INSIDE]


def between(values: Floats) -> Floats:
    """Mean of each two neighbours: what a straight line between knots has on average."""
    out: Floats = ((values[1:] + values[:-1]) / 2)[INSIDE]
    return out


def play(name: str, f0_hz: float, parameters: dict[str, Any]) -> Tone:
    """Ask a primitive what it plays."""
    columns = {name: np.broadcast_to(value, (1, *np.shape(value)[1:])) for name, value in parameters.items()}
    played: Tone = PRIMITIVES[name].play(np.array([f0_hz]), np.zeros(1, dtype=np.int32), SECONDS_4, **columns)
    return played


KNOT_S = np.arange(SECONDS_4.n_samples // KNOT) * KNOT / RATE


def test_a_glide_is_a_straight_line_in_octaves() -> None:
    waveform = source("tone", [1000], still(glide_octaves=2.0), SECONDS_4)[0]
    expected = 1000 * 2 ** (2 * (KNOT_S / 4 - 0.5))
    np.testing.assert_allclose(frequencies_hz(waveform), between(expected), rtol=2e-4)


def test_vibrato_has_its_rate_depth_and_phase() -> None:
    waveform = source("tone", [1000], still(vibrato_rate_hz=5.3, vibrato_cents=120), SECONDS_4)[0]
    cents = 120 * np.sin(2 * np.pi * (5.3 * KNOT_S + 0.1))
    found = frequencies_hz(waveform)
    np.testing.assert_allclose(found, between(1000 * 2 ** (cents / 1200)), rtol=2e-4)
    assert 1200 * np.log2(found.max() / 1000) == pytest.approx(120, rel=0.05)
    assert 1200 * np.log2(found.min() / 1000) == pytest.approx(-120, rel=0.05)


def test_wandering_is_the_mean_of_four_slow_sines() -> None:
    waveform = source("tone", [1000], still(wander_rate_hz=2.0, wander_octaves=0.7), SECONDS_4)[0]
    sines = [
        np.sin(2 * np.pi * (2 * rate * KNOT_S + phase))
        for rate, phase in ((0.382, 0.3), (0.618, 0.4), (1, 0.5), (1.618, 0.6))
    ]
    np.testing.assert_allclose(frequencies_hz(waveform), between(1000 * 2 ** (0.7 * np.mean(sines, axis=0))), rtol=3e-4)


def test_the_motions_add_up_in_octaves() -> None:
    parameters = still(
        glide_octaves=-1.0, vibrato_rate_hz=4, vibrato_cents=50, wander_rate_hz=1, wander_octaves=0.3, n_partials=1
    )
    waveform = source("tone", [700], parameters, SECONDS_4)[0]
    wander = path(np.array([1.0]), parameters["motion_phase"][:, 2:], SECONDS_4)[0, : len(KNOT_S)]
    octaves = -(KNOT_S / 4 - 0.5) + 50 / 1200 * np.sin(2 * np.pi * (4 * KNOT_S + 0.1)) + 0.3 * wander
    np.testing.assert_allclose(frequencies_hz(waveform), between(700 * 2**octaves), rtol=3e-4)


@pytest.mark.parametrize("depth", [0.3, 0.9, 1.0])
def test_tremolo_falls_to_what_its_depth_leaves(depth: float) -> None:
    waveform = source("tone", [1000], still(tremolo_rate_hz=3.0, tremolo_depth=depth), SECONDS_4)[0]
    level = np.abs(hilbert(waveform.astype(np.float64)))[::KNOT]
    expected = 1 - depth * (1 + np.sin(2 * np.pi * (3 * KNOT_S + 0.75))) / 2
    # the corners of the level at the knots are rounded by the measurement
    np.testing.assert_allclose(level[INSIDE], expected[INSIDE], atol=0.005)
    assert level[INSIDE].max() == pytest.approx(1, abs=0.01)
    assert level[INSIDE].min() == pytest.approx(1 - depth, abs=0.01)


def test_a_tone_that_stands_still_is_harmonic() -> None:
    lines = amplitudes(source("tone", [440, 3000], still(n_partials=[9, 9], decay_exponent=0.7), Grid(RATE, RATE)))
    expected = np.zeros_like(lines)
    expected[0, 440 * np.arange(1, 10)] = np.arange(1, 10) ** -0.7
    expected[1, 3000 * np.arange(1, 3)] = np.arange(1, 3) ** -0.7
    np.testing.assert_allclose(lines, expected, atol=3e-6)


def test_a_path_stays_between_its_bounds_and_uses_them() -> None:
    grid = Grid(163_840, RATE)
    phase = np.random.default_rng(0).random((500, 4))
    paths = path(np.full(500, 3.0), phase, grid)
    assert np.abs(paths).max() <= 1
    assert np.abs(paths).max() > 0.95
    assert paths.std() == pytest.approx(np.sqrt(1 / 8), rel=0.02)  # of a mean of four sines
    assert paths.mean() == pytest.approx(0, abs=0.02)
    # smooth: no step is larger than the steepest of such sines allows
    steepest = 2 * np.pi * 3 * (0.382 + 0.618 + 1 + 1.618) / 4 * KNOT / RATE
    assert np.abs(np.diff(paths)).max() < steepest
    np.testing.assert_array_equal(path(np.zeros(1), np.full((1, 4), 0.25), grid), 1)


def test_formants_are_where_the_formula_says() -> None:
    """Against the formula at every partial, and by looking for the peaks."""
    f0_hz, formants_hz = 50, np.array([500, 1500, 2800])
    lines = amplitudes(source("voice", [f0_hz], vowel(), Grid(RATE, RATE)))[0]
    f_hz = f0_hz * np.arange(1, 151)
    expected = np.ones(150)
    for centre_hz, width_hz in zip(formants_hz, (80, 120, 160), strict=True):
        expected *= centre_hz**2 / np.hypot(centre_hz**2 - f_hz**2, width_hz * f_hz)
    np.testing.assert_allclose(lines[f_hz], expected, rtol=1e-4, atol=1e-5)
    peaks = f_hz[1:-1][(lines[f_hz][1:-1] > lines[f_hz][:-2]) & (lines[f_hz][1:-1] > lines[f_hz][2:])]
    np.testing.assert_allclose(peaks, formants_hz, atol=f0_hz)


def test_the_glottal_slope_multiplies_all_formants() -> None:
    flat, steep = (
        amplitudes(source("voice", [100], vowel(decay_exponent=gamma, n_partials=70), Grid(RATE, RATE)))[0]
        for gamma in (0.0, 1.5)
    )
    k = np.arange(1, 71)
    np.testing.assert_allclose(steep[100 * k], flat[100 * k] * k**-1.5, rtol=1e-3, atol=1e-5)


def test_formants_move_along_their_paths() -> None:
    """The loudest partial around the first formant, at each knot."""
    parameters = vowel(articulation_octaves=0.6, articulation_rate_hz=1.5, formant_bandwidth_hz=30.0)
    played = play("voice", 50.0, parameters)
    phases = parameters["motion_phase"].reshape(1, 4, 4)
    for number, (centre_hz, reach) in enumerate(((500, 1), (1500, 1), (2800, 0.5)), start=1):
        moved_hz = centre_hz * 2 ** (reach * 0.6 * path(np.array([1.5]), phases[:, number], SECONDS_4)[0])
        k = np.rint(moved_hz / 50).astype(int)
        amplitude = played.amplitude[0]
        knots = np.arange(len(k))
        nearest = np.stack([amplitude[knots, k - 1 + shift] for shift in (-3, -1, 0, 1, 3)])
        # the peak is at the formant or one partial beside it
        assert (nearest[1:4].max(axis=0) > nearest[[0, 4]].max(axis=0)).mean() > 0.95


def test_intonation_moves_the_pitch() -> None:
    parameters = vowel(n_partials=1, intonation_octaves=0.4, intonation_rate_hz=1.0, formant_1_hz=3000.0)
    waveform = source("voice", [300], parameters, SECONDS_4)[0]
    pitch = path(np.array([1.0]), parameters["motion_phase"][:, :4], SECONDS_4)[0, : len(KNOT_S)]
    np.testing.assert_allclose(frequencies_hz(waveform), between(300 * 2 ** (0.4 * pitch)), rtol=5e-4)


def folded_db(played: Tone, waveform: Floats, below_hz: float) -> float:
    """Measure what folds back below some frequency: the strongest line of any frame of 64 ms over that of all, in dB.

    The same straight lines of frequency and amplitude are played at 8 times the rate, in float64, and cut at the
    Nyquist frequency; what the renderer's waveform has more than that is folded.
    """
    fold = 8
    n_knots = played.f0_hz.shape[1]
    at = np.arange((n_knots - 1) * KNOT * fold) / (KNOT * fold)
    knot, part = at.astype(int), at % 1
    f0 = played.f0_hz[0] / RATE
    begin = np.concatenate([[0], np.cumsum((f0[1:] + f0[:-1]) / 2 * KNOT)])
    cycles = begin[knot] + (f0[knot] + (f0[knot + 1] - f0[knot]) * part / 2) * part * KNOT
    exact = np.zeros(len(at))
    for k, amplitude in enumerate(played.amplitude[0].T.astype(np.float64), start=1):
        exact += (amplitude[knot] + (amplitude[knot + 1] - amplitude[knot]) * part) * np.sin(2 * np.pi * k * cycles)
    fade = np.interp(
        np.arange(len(at)), np.array([0, 2000, len(at) / fold - 2000, len(at) / fold]) * fold, [0, 1, 1, 0]
    )
    spectrum = np.fft.rfft(exact * fade)[: len(waveform) // 2 + 1] / fold
    difference = waveform * fade[::fold] - np.fft.irfft(spectrum, len(waveform))
    window = np.kaiser(1024, 14)
    frames = [np.lib.stride_tricks.sliding_window_view(x, 1024)[::256] * window for x in (difference, waveform)]
    folded, heard = (np.abs(np.fft.rfft(x, axis=1)).max(axis=0) for x in frames)
    return float(20 * np.log10(folded[: round(below_hz / RATE * 1024)].max() / heard.max()))


MOTIONS = {
    "up": {"glide_octaves": 4.0},
    "down": {"glide_octaves": -4.0},
    "vibrato": {"vibrato_rate_hz": 12.0, "vibrato_cents": 300.0, "tremolo_rate_hz": 12.0, "tremolo_depth": 0.9},
    "wander": {"wander_rate_hz": 6.0, "wander_octaves": 1.5, "vibrato_rate_hz": 12.0, "vibrato_cents": 300.0},
}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("f0_hz", [500.0, 1000.0, 2000.0, 3990.0, 7900.0])
def test_moving_tones_fold_back_only_next_to_nyquist(f0_hz: float, motion: str) -> None:
    """Partials fall silent before they reach it; what the ends of their slopes spread beyond it lies beside it.

    Measured, at worst: -57 dB below 7.5 kHz, -73 dB below 7 kHz; -14 dB at the Nyquist frequency, for a fundamental of
    7.9 kHz that wanders by three octaves.
    """
    parameters = still(n_partials=20, decay_exponent=0.5, **MOTIONS[motion])
    waveform = source("tone", [f0_hz], parameters, SECONDS_4)[0]
    played = play("tone", f0_hz, parameters)
    assert folded_db(played, waveform, 7500) < -55
    assert folded_db(played, waveform, 7000) < -70


@pytest.mark.parametrize("f0_hz", [80.0, 600.0, 3000.0])
def test_voices_do_not_fold_back(f0_hz: float) -> None:
    parameters = vowel(
        n_partials=60,
        decay_exponent=0.8,
        formant_3_hz=3600.0,
        articulation_rate_hz=5.0,
        articulation_octaves=0.6,
        intonation_rate_hz=3.0,
        intonation_octaves=0.5,
    )
    waveform = source("voice", [f0_hz], parameters, SECONDS_4)[0]
    assert folded_db(play("voice", f0_hz, parameters), waveform, 8000) < -95  # measured: -103 to -110
