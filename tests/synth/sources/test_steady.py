"""Spectra of the steady sources against their closed forms; one second at 16 kHz, so that bin k of the FFT is k Hz."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import jv
from support.sounds import RATE, amplitudes, source, strongest_elsewhere_db

from audiopg.synth.sources.primitive import Grid

SECOND = Grid(RATE, RATE)
LONG = Grid(163_840, RATE)
N_PARTIALS = 30
SAW, SQUARE, TRIANGLE = 0, 1, 2


def partials(n_partials: Any = N_PARTIALS, decay_exponent: Any = 1.0, n_columns: int = N_PARTIALS) -> dict[str, Any]:
    return {
        "n_partials": n_partials,
        "decay_exponent": decay_exponent,
        "partial_gain": np.ones((1, n_columns)),
        "partial_detune": np.ones((1, n_columns)),
        "partial_phase": np.zeros((1, n_columns)),
    }


def test_partials_decay_as_a_power_of_their_number() -> None:
    parameters = partials([15, 4], [1.3, 0.5])
    parameters["partial_gain"] = np.ones((2, N_PARTIALS))
    parameters["partial_gain"][1, 4:] = math.nan
    lines = amplitudes(source("harmonic", [440, 301], parameters, SECOND))
    expected = np.zeros_like(lines)
    expected[0, 440 * np.arange(1, 16)] = np.arange(1, 16) ** -1.3
    expected[1, 301 * np.arange(1, 5)] = np.arange(1, 5) ** -0.5
    np.testing.assert_allclose(lines, expected, atol=1e-6)


def test_partials_at_or_above_nyquist_are_silent() -> None:
    parameters = partials(15, 0.0)
    parameters["partial_phase"] += 0.25  # a sine at the Nyquist frequency is silent anyway, a cosine is not
    lines = amplitudes(source("harmonic", [1000, 1100, 7999], parameters, SECOND))
    expected = np.zeros_like(lines)
    expected[0, 1000 * np.arange(1, 8)] = 1
    expected[1, 1100 * np.arange(1, 8)] = 1
    expected[2, 7999] = 1
    np.testing.assert_allclose(lines, expected, atol=1e-6)


def test_gain_detune_and_phase_belong_to_their_partial() -> None:
    parameters = partials(2)
    parameters["partial_gain"] = np.array([[0.5, 1.2]])
    parameters["partial_detune"] = np.array([[1, 1.005]])
    parameters["partial_phase"] = np.array([[0.25, 0.6]])
    waveform = source("harmonic", [200], parameters, Grid(3000, RATE))
    t = np.arange(3000) / RATE
    expected = 0.5 * np.cos(math.tau * 200 * t) + 0.6 * np.sin(math.tau * (402 * t + 0.6))
    np.testing.assert_allclose(waveform[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["harmonic", "fm", "pulse"])
def test_the_phase_is_still_right_after_ten_seconds(name: str) -> None:
    f0_hz = 517.3
    t = np.arange(LONG.n_samples, dtype=np.longdouble) / RATE
    cycles = f0_hz * t
    if name == "harmonic":
        parameters = partials(15, 0.0)
        parameters["partial_gain"][:, :14] = 0
        expected = np.sin(math.tau * (15 * cycles % 1))
    elif name == "fm":
        parameters = {"modulation_index": 2.0, "modulator_ratio": 0.5}
        expected = np.sin(math.tau * (cycles % 1) + 2 * np.sin(math.tau * (0.5 * cycles % 1)))
    else:
        parameters = {"shape": TRIANGLE}
        expected = sum(
            8 / (np.pi * k) ** 2 * (-1) ** (k // 2) * np.sin(math.tau * (k * cycles % 1)) for k in range(1, 16, 2)
        )
    waveform = source(name, [f0_hz], parameters, LONG)
    np.testing.assert_allclose(waveform[0], expected.astype(np.float64), atol=3e-5)


@pytest.mark.parametrize(("f0_hz", "ratio"), [(1000, 0.37), (900, 1.37), (440, 3.05), (3000, 0.5)])
def test_fm_sidebands_are_bessel_functions_of_the_index(f0_hz: int, ratio: float) -> None:
    """Also their signs: a folded negative frequency turns the sign of its sine."""
    index = 2.7
    waveform = source("fm", [f0_hz], {"modulation_index": index, "modulator_ratio": ratio}, SECOND)[0]
    sines = -2 * np.fft.rfft(waveform.astype(np.float64)).imag / RATE
    expected = np.zeros_like(sines)
    for k in range(-15, 16):
        frequency_hz = round(f0_hz * (1 + k * ratio))
        if abs(frequency_hz) < RATE / 2:
            expected[abs(frequency_hz)] += np.sign(frequency_hz) * jv(k, index)
    np.testing.assert_allclose(sines, expected, atol=2e-5)


def test_fm_below_nyquist_is_the_sine_of_a_sine() -> None:
    """The largest index of the presets, and lines on both sides of 0 Hz."""
    parameters = {"modulation_index": 8.0, "modulator_ratio": 1.5}
    waveform = source("fm", [200.7], parameters, SECOND)[0]
    t = np.arange(RATE) / RATE
    expected = np.sin(math.tau * 200.7 * t + 8 * np.sin(math.tau * 1.5 * 200.7 * t))
    # the weakest sidebands do not sound
    np.testing.assert_allclose(waveform, expected, atol=1e-4)


def test_an_index_of_0_is_a_sine() -> None:
    lines = amplitudes(source("fm", [1000], {"modulation_index": 0.0, "modulator_ratio": 2.0}, SECOND))[0]
    assert lines[1000] == pytest.approx(1, abs=1e-6)
    assert np.delete(lines, 1000).max() < 1e-6


@pytest.mark.parametrize("f0_hz", [50, 317, 1234, 2000, 7999])
@pytest.mark.parametrize("shape", [SAW, SQUARE, TRIANGLE])
def test_pulses_have_the_lines_of_their_fourier_series_and_no_others(shape: int, f0_hz: int) -> None:
    sines = -2 * np.fft.rfft(source("pulse", [f0_hz], {"shape": shape}, SECOND)[0].astype(np.float64)).imag / RATE
    k = np.arange(1, math.ceil(RATE / 2 / f0_hz))
    odd = k % 2
    series = [2 / (np.pi * k) * (-1.0) ** (k + 1), 4 / (np.pi * k) * odd, 8 / (np.pi * k) ** 2 * odd * 1j ** (k - 1)]
    expected = np.zeros_like(sines)
    expected[k * f0_hz] = series[shape].real
    np.testing.assert_allclose(sines, expected, atol=2e-6)


def test_pulses_have_their_shape() -> None:
    """Ramp, jump and roof, away from the corners that a band limit rounds."""
    waveforms = source("pulse", [10.0] * 3, {"shape": [SAW, SQUARE, TRIANGLE]}, Grid(1600, RATE))
    t = np.arange(1600) / 1600
    away = np.abs(t - 0.5) > 0.05
    np.testing.assert_allclose(waveforms[SAW][away], (2 * ((t + 0.5) % 1) - 1)[away], atol=0.01)
    inner = np.abs((t + 0.25) % 0.5 - 0.25) > 0.05
    np.testing.assert_allclose(waveforms[SQUARE][inner], np.sign(0.5 - t)[inner], atol=0.01)
    np.testing.assert_allclose(waveforms[TRIANGLE], 4 * np.abs((t - 0.25) % 1 - 0.5) - 1, atol=0.002)


# Corners of both presets' ranges and beyond, none of them a whole number of lines.
F0S_HZ = [50.31, 317.77, 1234.56, 1999.83, 4321.09, 7998.7]
NO_ALIAS_DB = -140  # measured: -160 to -169; the promise is -60


@pytest.mark.parametrize("f0_hz", F0S_HZ)
def test_harmonics_do_not_fold_back(f0_hz: float) -> None:
    rng = np.random.default_rng(1)
    parameters = partials(N_PARTIALS, 0.3)
    parameters["partial_phase"] = rng.random((1, N_PARTIALS))
    parameters["partial_detune"] = rng.uniform(0.995, 1.005, (1, N_PARTIALS))
    belongs_hz = f0_hz * np.arange(1, N_PARTIALS + 1) * parameters["partial_detune"][0]
    waveform = source("harmonic", [f0_hz], parameters, LONG)[0]
    assert strongest_elsewhere_db(waveform, belongs_hz[belongs_hz < RATE / 2], 3) < NO_ALIAS_DB


@pytest.mark.parametrize("f0_hz", F0S_HZ)
@pytest.mark.parametrize("shape", [SAW, SQUARE, TRIANGLE])
def test_pulses_do_not_fold_back(shape: int, f0_hz: float) -> None:
    waveform = source("pulse", [f0_hz], {"shape": shape}, LONG)[0]
    assert strongest_elsewhere_db(waveform, np.arange(1, RATE / 2 / f0_hz) * f0_hz, 3) < NO_ALIAS_DB


@pytest.mark.parametrize("f0_hz", F0S_HZ)
@pytest.mark.parametrize("ratio", [0.5, 1.414, 3.14, 7])
def test_fm_does_not_fold_back(ratio: float, f0_hz: float) -> None:
    belongs_hz = np.abs(f0_hz * (1 + np.arange(-40, 41) * ratio))
    waveform = source("fm", [f0_hz], {"modulation_index": 8.0, "modulator_ratio": ratio}, LONG)[0]
    assert strongest_elsewhere_db(waveform, belongs_hz[belongs_hz < RATE / 2], 3) < NO_ALIAS_DB
