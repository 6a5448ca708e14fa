"""Modes of bars, plates, glasses and strings: their frequencies, amplitudes and decays, measured from waveforms."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from support.sounds import RATE, Floats, amplitudes, source, strongest_elsewhere_db

from audiopg.synth.sources.primitive import Grid
from audiopg.synth.sources.struck import BAR, GLASS, N_MODES, PLATE, mode_ratios

SECONDS_4 = Grid(4 * RATE, RATE)
LONG_S = 1e6  # of a decay that does not matter


def bell(**changes: Any) -> dict[str, Any]:
    """One body whose modes are all equally loud and do not die."""
    parameters = {
        "body": BAR,
        "n_modes": N_MODES,
        "decay_exponent": 0.0,
        "strike_position": 0.5 / N_MODES,
        "decay_s": LONG_S,
        "damping_exponent": 0.0,
        "mode_detune": np.ones((1, N_MODES)),
    }
    return parameters | changes


def string(**changes: Any) -> dict[str, Any]:
    parameters = {
        "n_partials": 20,
        "pluck_position": 0.31,
        "inharmonicity": 0.0,
        "decay_s": LONG_S,
        "damping_exponent": 0.0,
    }
    return parameters | changes


def t60_s(waveform: Floats, frequency_hz: float, first_s: float, last_s: float) -> float:
    """Measure how long one of several sinusoids takes to fall by 60 dB: by its amplitude in two windows of 0.1 s."""
    n = RATE // 10
    window = np.hanning(n) * np.exp(-2j * np.pi * frequency_hz * np.arange(n) / RATE)
    levels_db = [
        20 * np.log10(abs(waveform[round(at * RATE) :][:n].astype(np.float64) @ window)) for at in (first_s, last_s)
    ]
    return 60 * (last_s - first_s) / (levels_db[0] - levels_db[1])


def test_bars_follow_the_roots_of_their_equation() -> None:
    """Free at both ends: cos β cosh β = 1, here solved."""
    beta = [
        brentq(lambda b: math.cos(b) - 1 / math.cosh(b), (k + 0.5) * math.pi - 0.1, (k + 0.5) * math.pi + 0.1)
        for k in range(1, N_MODES + 1)
    ]
    np.testing.assert_allclose(mode_ratios()[BAR], (np.array(beta) / beta[0]) ** 2, rtol=1e-6)


def test_plates_and_glasses_follow_their_formulas() -> None:
    plate = sorted(m**2 + (1.3 * n) ** 2 for m in range(1, 60) for n in range(1, 60))[:N_MODES]
    np.testing.assert_allclose(mode_ratios()[PLATE], np.array(plate) / plate[0], rtol=1e-12)
    ring = [k * (k * k - 1) / math.sqrt(k * k + 1) for k in range(2, N_MODES + 2)]
    np.testing.assert_allclose(mode_ratios()[GLASS], np.array(ring) / ring[0], rtol=1e-12)
    # Rayleigh's ring in the literature: 1 : 2.83 : 5.42 : 8.77
    np.testing.assert_allclose(mode_ratios()[GLASS][:4], [1, 2.83, 5.42, 8.77], atol=0.01)
    # a bar, in the literature: 1 : 2.756 : 5.404 : 8.933
    np.testing.assert_allclose(mode_ratios()[BAR][:4], [1, 2.756, 5.404, 8.933], atol=0.001)


@pytest.mark.parametrize("body", [BAR, PLATE, GLASS])
def test_modes_are_heard_at_their_frequencies(body: int) -> None:
    detune = 1 + 0.01 * np.sin(np.arange(N_MODES))
    f0_hz = 103.7
    frequency_hz = f0_hz * mode_ratios()[body] * detune
    waveform = source("modal", [f0_hz], bell(body=body, mode_detune=detune[None]), SECONDS_4)[0]
    assert strongest_elsewhere_db(waveform, frequency_hz[frequency_hz < RATE / 2], 6) < -130
    lines = amplitudes(waveform * np.hanning(len(waveform)) * 2)
    for frequency in frequency_hz[frequency_hz < RATE / 2 - 10]:
        nearby = lines[round(4 * frequency) - 3 : round(4 * frequency) + 4]
        assert nearby.max() > 0.05


def test_modes_have_the_amplitudes_of_mallet_and_place() -> None:
    """Lines of whole Hz: detuning makes a harmonic series of the bar."""
    k = np.arange(1, N_MODES + 1)
    detune = k / mode_ratios()[BAR]
    place, gamma = 0.23, 0.8
    parameters = bell(mode_detune=detune[None], strike_position=place, decay_exponent=gamma, n_modes=[24, 7])
    waveforms = source("modal", [300, 300], parameters, Grid(RATE, RATE)).astype(np.float64)
    sines = -2 * np.fft.rfft(waveforms, axis=1).imag / RATE
    expected = np.zeros_like(sines)
    expected[:, 300 * k] = k**-gamma * np.abs(np.sin(np.pi * k * place))
    expected[1, 300 * k[7:]] = 0
    np.testing.assert_allclose(sines, expected, atol=1e-5)


@pytest.mark.parametrize("body", [BAR, GLASS])
def test_each_mode_dies_in_its_own_time(body: int) -> None:
    parameters = bell(body=body, n_modes=4, decay_s=1.7, damping_exponent=0.6, mode_detune=np.full((1, 4), 1.01))
    f0_hz = 400.0
    waveform = source("modal", [f0_hz], parameters, SECONDS_4)[0]
    for ratio in mode_ratios()[body][:4] * 1.01:
        measured = t60_s(waveform, f0_hz * ratio, 0.02, 0.22)
        assert measured == pytest.approx(1.7 * ratio**-0.6, rel=0.005)


def test_a_string_is_stretched_by_its_stiffness() -> None:
    f0_hz, stiffness = 151.3, 1e-3
    k = np.arange(1, 21)
    frequency_hz = k * f0_hz * np.sqrt(1 + stiffness * k**2)
    waveform = source("plucked", [f0_hz], string(inharmonicity=stiffness), SECONDS_4)[0]
    assert strongest_elsewhere_db(waveform, frequency_hz, 6) < -130
    # the 20th partial lies 18 % above a harmonic one
    assert strongest_elsewhere_db(waveform, frequency_hz[:-1], 6) > -60


def test_a_string_is_silent_in_the_partials_that_rest_where_it_is_plucked() -> None:
    k = np.arange(1, 21)
    lines = amplitudes(source("plucked", [300], string(pluck_position=0.25), Grid(RATE, RATE)))[0]
    np.testing.assert_allclose(lines[300 * k], np.abs(np.sin(np.pi * k / 4)) / k, atol=1e-5)
    assert lines[300 * k[k % 4 == 0]].max() < 1e-6
    assert np.delete(lines, 300 * k).max() < 1e-6


def test_the_force_on_the_bridge_jumps_when_the_string_is_let_go() -> None:
    """All partials begin as cosines, the signs those of sin(π k x)."""
    x = 0.31
    waveform = source("plucked", [300], string(pluck_position=x), Grid(RATE, RATE))[0]
    k = np.arange(1, 21)
    assert waveform[0] == pytest.approx((np.sin(np.pi * k * x) / k).sum(), abs=1e-5)


def test_each_partial_of_a_string_dies_in_its_own_time() -> None:
    waveform = source("plucked", [220], string(decay_s=1.3, damping_exponent=0.7, n_partials=8), SECONDS_4)[0]
    for k in range(1, 9):
        assert t60_s(waveform, 220 * k, 0.02, 0.22) == pytest.approx(1.3 * k**-0.7, rel=0.01)


def test_what_has_died_stays_silent() -> None:
    waveform = source("modal", [500], bell(decay_s=0.05, n_modes=3), SECONDS_4)[0]
    assert np.abs(waveform[RATE:]).max() == 0


@pytest.mark.parametrize("name", ["modal", "plucked"])
def test_modes_at_or_above_nyquist_are_silent(name: str) -> None:
    parameters = {"modal": bell(), "plucked": string(n_partials=60)}[name]
    f0_hz = 1801.3
    k = np.arange(1, 61)
    frequency_hz = f0_hz * (mode_ratios()[BAR] if name == "modal" else k)
    waveform = source(name, [f0_hz], parameters, SECONDS_4)[0]
    assert strongest_elsewhere_db(waveform, frequency_hz[frequency_hz < RATE / 2], 6) < -130
