"""Spectra of the sources against their closed forms; one second at 16 kHz, so that bin k of the FFT is k Hz."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import jv

from audiopg.synth.oscillators import PRIMITIVES, band_limited, fm, harmonic, pulse, wavetable

RATE = 16000


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def amplitudes(waveform: torch.Tensor) -> NDArray[np.float64]:
    spectrum = np.abs(np.fft.rfft(waveform.double().numpy(), axis=-1)) / waveform.shape[-1]
    spectrum[..., 1:] *= 2
    return spectrum


def partials(gamma: list[float], n_partials: list[float], p: int = 15) -> dict[str, Any]:
    return {
        "decay_exponent": column(*gamma),
        "n_partials": column(*n_partials),
        "partial_gain": torch.ones(len(gamma), p, dtype=torch.float64),
        "partial_detune": torch.ones(len(gamma), p, dtype=torch.float64),
        "partial_phase": torch.zeros(len(gamma), p, dtype=torch.float64),
    }


def test_partials_decay_as_a_power_of_their_number() -> None:
    parameters = partials([1.3, 0.5], [15, 4])
    parameters["partial_gain"][1, 4:] = math.nan
    lines = amplitudes(harmonic(column(440, 301), **parameters, n_samples=RATE, sample_rate_hz=RATE))
    expected = np.zeros_like(lines)
    expected[0, 440 * np.arange(1, 16)] = np.arange(1, 16) ** -1.3
    expected[1, 301 * np.arange(1, 5)] = np.arange(1, 5) ** -0.5
    np.testing.assert_allclose(lines, expected, atol=1e-6)


def test_partials_at_or_above_nyquist_are_silent() -> None:
    parameters = partials([0, 0], [15, 15])
    parameters["partial_phase"] += 0.25  # a sine at the Nyquist frequency is silent anyway, a cosine is not
    lines = amplitudes(harmonic(column(1000, 1100), **parameters, n_samples=RATE, sample_rate_hz=RATE))
    expected = np.zeros_like(lines)
    expected[0, 1000 * np.arange(1, 8)] = 1
    expected[1, 1100 * np.arange(1, 8)] = 1
    np.testing.assert_allclose(lines, expected, atol=1e-6)


def test_gain_detune_and_phase_belong_to_their_partial() -> None:
    parameters = partials([1], [2], p=2)
    parameters["partial_gain"] = column(0.5, 1.2)[None]
    parameters["partial_detune"] = column(1, 1.005)[None]
    parameters["partial_phase"] = column(0.25, 0.6)[None]
    waveform = harmonic(column(200), **parameters, n_samples=3000, sample_rate_hz=RATE)
    t = np.arange(3000) / RATE
    expected = 0.5 * np.cos(math.tau * 200 * t) + 0.6 * np.sin(math.tau * (402 * t + 0.6))
    np.testing.assert_allclose(waveform[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["harmonic", "fm", "pulse"])
def test_the_phase_is_still_right_after_ten_seconds(name: str) -> None:
    f0_hz, n = 517.3, 163840
    t = np.arange(n, dtype=np.longdouble) / RATE
    cycles = f0_hz * t
    if name == "harmonic":
        parameters = partials([0], [15])
        parameters["partial_gain"][:, :14] = 0
        expected = np.sin(math.tau * (15 * cycles % 1))
    elif name == "fm":
        parameters = {"modulation_index": column(5), "modulator_ratio": column(3.14)}
        expected = np.sin(math.tau * (cycles % 1) + 5 * np.sin(math.tau * (3.14 * cycles % 1)))
    else:
        parameters = {"shape": column(2)}
        expected = sum(
            8 / (np.pi * k) ** 2 * (-1) ** (k // 2) * np.sin(math.tau * (k * cycles % 1)) for k in range(1, 16, 2)
        )
    waveform = PRIMITIVES[name].waveform(column(f0_hz), **parameters, n_samples=n, sample_rate_hz=RATE)
    np.testing.assert_allclose(waveform[0].numpy(), expected.astype(np.float64), atol=1e-4)


def test_fm_sidebands_are_bessel_functions_of_the_index() -> None:
    index = 2.7
    lines = amplitudes(
        fm(
            column(1000),
            modulation_index=column(index),
            modulator_ratio=column(0.37),
            n_samples=RATE,
            sample_rate_hz=RATE,
        )
    )
    expected = np.zeros_like(lines)
    for k in range(-15, 16):
        expected[0, abs(1000 + 370 * k)] = abs(jv(k, index))
    np.testing.assert_allclose(lines, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("f0_hz", "ratio"), [(50, 0.5), (400, 3.14), (700, 2.5), (1000, 2.03), (1700, 1.5), (1999, 3.14)]
)
def test_fm_does_not_fold_back(f0_hz: float, ratio: float) -> None:
    drawn = {"modulation_index": np.array([8.0]), "modulator_ratio": np.array([ratio])}
    index = band_limited(np.array([f0_hz]), drawn, RATE)["modulation_index"][0]
    spectra = []
    for oversampling in (1, 16):
        rate = RATE * oversampling
        waveform = fm(
            column(f0_hz),
            modulation_index=column(index),
            modulator_ratio=column(ratio),
            n_samples=rate,
            sample_rate_hz=rate,
        )
        spectra.append(2 * np.fft.rfft(waveform[0].double().numpy())[: RATE // 2] / rate)
    # The carrier has amplitude 1: no line may be off by more than -60 dB of it.
    assert np.abs(spectra[0] - spectra[1]).max() < 1.001e-3


def test_the_index_is_lowered_no_further_than_needed() -> None:
    drawn = {"modulation_index": np.array([8.0, 8.0, 0.1]), "modulator_ratio": np.array([0.5, 2.0, 2.0])}
    index = band_limited(np.array([100.0, 1000.0, 1000.0]), drawn, RATE)["modulation_index"]
    assert index[0] == 8  # 158 sidebands fit
    assert (index[1] / 2) ** 4 / math.factorial(4) == pytest.approx(1e-3)  # 1000 + 4 · 2000 is the first beyond
    assert index[2] == 0.1


@pytest.mark.parametrize("f0_hz", [50, 317, 1234, 2000])
@pytest.mark.parametrize("shape", [0, 1, 2])
def test_pulses_have_the_lines_of_their_fourier_series_and_no_others(shape: int, f0_hz: int) -> None:
    lines = amplitudes(pulse(column(f0_hz), shape=column(shape), n_samples=RATE, sample_rate_hz=RATE))[0]
    k = np.arange(1, math.ceil(RATE / 2 / f0_hz))
    series = [2 / (np.pi * k), 4 / (np.pi * k) * (k % 2), 8 / (np.pi * k) ** 2 * (k % 2)][shape]
    np.testing.assert_allclose(lines[k * f0_hz], series, atol=1e-4)
    lines[k * f0_hz] = 0
    assert lines.max() < 1e-3 * series[0]
    assert lines[0] < 1e-7


def test_pulses_have_their_shape() -> None:
    t = np.arange(4097) / 4096
    inner = np.abs((t + 0.25) % 0.5 - 0.25) > 0.05  # away from the jumps of the square
    np.testing.assert_allclose(wavetable(1, 300)[inner], np.sign(0.5 - t)[inner], atol=0.05)
    away = np.abs(t - 0.5) > 0.05
    np.testing.assert_allclose(wavetable(0, 300)[away], (2 * ((t + 0.5) % 1) - 1)[away], atol=0.05)
    np.testing.assert_allclose(wavetable(2, 300), 4 * np.abs((t - 0.25) % 1 - 0.5) - 1, atol=0.005)
