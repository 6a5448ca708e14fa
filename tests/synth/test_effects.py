"""Low-pass, noise floor and peak level."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import kstest

from audiopg import rng
from audiopg.synth.effects import add_noise_floor, low_pass, normalise_peak

RATE = 16000
CUTOFFS_HZ = torch.tensor([20, 200, 1000, 6000], dtype=torch.float64)


def response_db() -> NDArray[np.float64]:
    """Gain of the low-pass at every frequency in Hz, one row per cut-off."""
    impulse = torch.zeros(len(CUTOFFS_HZ), RATE)
    impulse[:, 0] = 1
    spectrum = np.fft.rfft(low_pass(impulse, CUTOFFS_HZ, RATE).double().numpy())
    return 20 * np.log10(np.abs(spectrum) + 1e-12)


def test_the_low_pass_is_3_db_down_at_the_cut_off() -> None:
    gain = response_db()
    for row, cutoff_hz in enumerate(CUTOFFS_HZ.int().tolist()):
        assert gain[row, cutoff_hz] == pytest.approx(-3.01, abs=0.01)
        assert gain[row, 1] == pytest.approx(0, abs=0.01)


def test_the_low_pass_falls_by_12_db_per_octave() -> None:
    assert response_db()[1, 800] - response_db()[1, 1600] == pytest.approx(12, abs=0.5)


def test_the_low_pass_is_the_cookbook_biquad() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).uniform(-3, 3, (4, 5003)).astype(np.float32))
    filtered = low_pass(noise, CUTOFFS_HZ, RATE)
    for row, cutoff_hz in enumerate(CUTOFFS_HZ.tolist()):
        omega = 2 * np.pi * cutoff_hz / RATE
        alpha, cos = np.sin(omega) / np.sqrt(2), np.cos(omega)
        expected = lfilter(
            [(1 - cos) / 2, 1 - cos, (1 - cos) / 2], [1 + alpha, -2 * cos, 1 - alpha], noise[row].double()
        )
        np.testing.assert_allclose(filtered[row].numpy(), expected, atol=1e-5)


def test_the_low_pass_does_not_clamp() -> None:
    assert low_pass(torch.full((1, 4000), 3.0), CUTOFFS_HZ[1:2], RATE)[0, -1] == pytest.approx(3, abs=1e-4)


def noise(n: int, n_clips: int) -> NDArray[np.float32]:
    waveform = torch.zeros(n_clips, n)
    keys = torch.from_numpy(rng.noise_keys(42, "test", range(n_clips)))
    add_noise_floor(waveform, keys, torch.linspace(0.5, 1, n_clips))
    return waveform.numpy()


def test_the_noise_floor_is_uniform_in_its_amplitude() -> None:
    unit = noise(2000, 50) / np.linspace(0.5, 1, 50)[:, None]
    assert kstest(unit.ravel(), "uniform", args=(-1, 2)).pvalue > 0.01
    assert kstest([kstest(row, "uniform", args=(-1, 2)).pvalue for row in unit], "uniform").pvalue > 0.01


def test_the_noise_floor_is_white() -> None:
    n = 100_000
    spectrum = np.fft.rfft(noise(n, 2)[1].astype(np.float64))[1 : n // 2]
    power = np.abs(spectrum) ** 2 / n
    # The periodogram of white noise is exponentially distributed around the variance, 1/3, in every band.
    assert kstest(power, "expon", args=(0, 1 / 3)).pvalue > 0.01
    bands = power[:49900].reshape(100, -1).mean(axis=1)
    np.testing.assert_allclose(bands, 1 / 3, rtol=0.2)


def test_the_noise_of_two_clips_is_unrelated() -> None:
    first, second = noise(100_000, 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01


def test_the_noise_is_the_same_in_numpy() -> None:
    key = rng.noise_keys(42, "test", [1])
    expected = (rng.hashed_uniform(key, np.arange(5000, dtype=np.int32)) / 2**23 - 1).astype(np.float32)
    np.testing.assert_array_equal(noise(5000, 2)[1], expected)


def test_the_peak_becomes_1_and_silence_stays() -> None:
    waveform = torch.tensor([[0.1, -0.7, 0.3], [0, 0, 0], [0.1, 5, 0]])
    normalise_peak(waveform)
    expected = torch.tensor([[1 / 7, -1, 3 / 7], [0, 0, 0], [0.02, 1, 0]])
    torch.testing.assert_close(waveform, expected)
    assert waveform.abs().amax(dim=1).tolist() == [1, 0, 1]
