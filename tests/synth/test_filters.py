"""Filters: their responses in closed form, and both ways to run them against SciPy's recursion."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from support.sounds import RATE, Floats

from audiopg.synth.batched.filtering import run_filter as run_by_torch
from audiopg.synth.compiled.filtering import LANES, TILE, run_filter
from audiopg.synth.filters import (
    BROWN,
    PINK,
    Filter,
    band_pass,
    cascade,
    coloured,
    high_pass,
    low_pass,
    resonances,
    unit_power,
    where,
)

CUTOFFS_HZ = np.array([20.0, 200.0, 1000.0, 6000.0, 7900.0])
SHAPES = {"low-pass": low_pass, "high-pass": high_pass}


def gain_db(filter_: Filter, frequency_hz: NDArray[np.generic], rate_hz: int = RATE) -> Floats:
    """Compute ``direct + Σ (R / (1 - p z⁻¹) + R* / (1 - p* z⁻¹)) / 2``, shape (B, frequencies)."""
    delay = np.exp(-2j * np.pi * np.asarray(frequency_hz, dtype=np.float64) / rate_hz)
    pole, residue = filter_.pole[..., None], filter_.residue[..., None]
    sections = residue / (1 - pole * delay) + residue.conj() / (1 - pole.conj() * delay)
    response = filter_.direct[:, None] + sections.sum(axis=1) / 2
    out: Floats = 20 * np.log10(np.abs(response) + 1e-300)
    return out


def answer(filter_: Filter, n_samples: int) -> Floats:
    """Response to an impulse, from the definition."""
    n = np.arange(n_samples)
    out: Floats = (filter_.residue[..., None] * filter_.pole[..., None] ** n).real.sum(axis=1)
    out[:, 0] += filter_.direct
    return out


def run(x: NDArray[np.float32], filter_: Filter) -> tuple[Floats, Floats]:
    """Filter rows with the compiled and with the batched code."""
    compiled = np.empty_like(x)
    for row in range(len(x)):
        run_filter(x[row], compiled[row], filter_.direct[row], filter_.pole[row], filter_.residue[row])
    by_torch = run_by_torch(torch.from_numpy(x), *filter_)
    return compiled.astype(np.float64), by_torch.double().numpy()


def noise(n_rows: int, n_samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-3, 3, (n_rows, n_samples)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_butterworths_are_3_db_down_at_the_cut_off(shape: str) -> None:
    at_cutoff = np.diag(gain_db(SHAPES[shape](CUTOFFS_HZ, RATE), CUTOFFS_HZ))
    np.testing.assert_allclose(at_cutoff, -3.0103, atol=1e-4)


def test_butterworths_pass_one_end_and_stop_the_other() -> None:
    ends = np.array([0, RATE / 2])
    low, high = (gain_db(shape(CUTOFFS_HZ, RATE), ends) for shape in (low_pass, high_pass))
    np.testing.assert_allclose(low[:, 0], 0, atol=1e-8)
    np.testing.assert_allclose(high[:, 1], 0, atol=1e-8)
    assert low[:, 1].max() < -150
    assert high[:, 0].max() < -150


def test_butterworths_fall_by_12_db_per_octave() -> None:
    low = gain_db(low_pass(np.array([100.0]), RATE), np.array([800, 1600]))[0]
    assert low[0] - low[1] == pytest.approx(12.04, abs=0.5)
    high = gain_db(high_pass(np.array([2000.0]), RATE), np.array([250, 125]))[0]
    assert high[0] - high[1] == pytest.approx(12.04, abs=0.1)


@pytest.mark.parametrize("shape", SHAPES)
def test_butterworths_are_the_cookbooks(shape: str) -> None:
    x = noise(len(CUTOFFS_HZ), 5003)
    runs = run(x, SHAPES[shape](CUTOFFS_HZ, RATE))
    for row, cutoff_hz in enumerate(CUTOFFS_HZ.tolist()):
        omega = 2 * np.pi * cutoff_hz / RATE
        alpha, cos = np.sin(omega) / np.sqrt(2), np.cos(omega)
        side = (1 - cos) / 2 if shape == "low-pass" else (1 + cos) / 2
        middle = 2 * side if shape == "low-pass" else -2 * side
        expected = lfilter([side, middle, side], [1 + alpha, -2 * cos, 1 - alpha], x[row].astype(np.float64))
        for found in runs:
            np.testing.assert_allclose(found[row], expected, atol=5e-5)


def test_nothing_is_clamped() -> None:
    for found in run(np.full((1, 4000), 3.0, dtype=np.float32), low_pass(np.array([200.0]), RATE)):
        assert found[0, -1] == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_pink_falls_by_3_db_per_octave(rate_hz: int) -> None:
    """Within 0.5 dB of the line from 40 Hz to 5.5 kHz."""
    frequency_hz = np.geomspace(40, 5500, 400)
    gain = gain_db(coloured(PINK, rate_hz), frequency_hz, rate_hz)[0]
    octaves = np.log2(frequency_hz)
    slope, offset = np.polyfit(octaves, gain, 1)
    assert slope == pytest.approx(-3.01, abs=0.1)
    line = -10 * np.log10(2) * octaves
    difference = gain - line
    assert np.abs(difference - (difference.max() + difference.min()) / 2).max() < 0.5


def test_brown_falls_by_6_db_per_octave() -> None:
    frequency_hz = np.array([100, 200, 400, 800, 1600])
    steps = np.diff(gain_db(coloured(BROWN, RATE), frequency_hz)[0])
    np.testing.assert_allclose(steps, [-6.02] * 4, atol=0.25)
    assert np.diff(gain_db(coloured(BROWN, RATE), np.array([1, 20]))[0]) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize(
    "filter_",
    [
        coloured(PINK, RATE),
        coloured(BROWN, RATE),
        coloured(PINK, 8000),
        coloured(PINK, 48000),
        band_pass(np.array([50.0, 1000.0, 7990.0, 3000.0]), np.array([5.0, 700.0, 100.0, 9000.0]), RATE),
        unit_power(resonances(np.array([[500.0, 700, 900]]), np.full((1, 3), 9.0), np.array([[1, 0.5, 2]]), RATE)),
        unit_power(low_pass(np.array([300.0]), RATE)),
    ],
    ids=["pink", "brown", "pink 8 k", "pink 48 k", "band", "resonances", "low-pass"],
)
def test_noise_keeps_its_power(filter_: Filter) -> None:
    np.testing.assert_allclose((answer(filter_, 100_000) ** 2).sum(axis=1), 1, rtol=1e-5)


def test_a_band_pass_peaks_at_its_poles_and_stops_the_ends() -> None:
    filter_ = band_pass(np.array([1000.0]), np.array([50.0]), RATE)
    frequency_hz = np.arange(0, 8001)
    gain = gain_db(filter_, frequency_hz)[0]
    loud = frequency_hz[gain > gain.max() - 3.0103]
    assert frequency_hz[gain.argmax()] == pytest.approx(1000, abs=1)
    assert loud[-1] - loud[0] == pytest.approx(50, abs=2)
    assert gain[[0, -1]].max() < -150


def test_a_cascade_is_the_product_of_its_filters() -> None:
    low, high = high_pass(np.array([20.0, 300.0, 3999.0]), RATE), low_pass(np.array([7900.0, 700.0, 7999.0]), RATE)
    frequency_hz = np.geomspace(5, 7990, 200)
    together = gain_db(cascade(low, high), frequency_hz)
    np.testing.assert_allclose(together, gain_db(low, frequency_hz) + gain_db(high, frequency_hz), atol=1e-6)
    # magnitudes alone would not see a sign or a delay
    x = noise(3, 3000)
    for row, y in enumerate(run(x, cascade(low, high))[0]):
        once = run(x[row : row + 1], Filter(*(part[row : row + 1] for part in low)))[0]
        twice = run(once.astype(np.float32), Filter(*(part[row : row + 1] for part in high)))[0]
        np.testing.assert_allclose(y, twice[0], atol=2e-6)


def test_a_filter_stands_in_some_rows_only() -> None:
    one = low_pass(np.array([100.0, 100.0]), RATE)
    gains = gain_db(where(np.array([True, False]), one), np.array([100.0, 5000.0]))
    np.testing.assert_allclose(gains[0], gain_db(one, np.array([100.0, 5000.0]))[0])
    np.testing.assert_allclose(gains[1], 0, atol=1e-12)


def test_resonances_answer_with_dying_sines() -> None:
    frequency_hz, decay, amplitude = np.array([[440.0, 1234.5]]), np.array([[30.0, 80.0]]), np.array([[1.0, -0.3]])
    filter_ = resonances(frequency_hz, decay, amplitude, RATE)
    impulse = np.zeros((1, 4000), dtype=np.float32)
    impulse[0, 0] = 1
    t = np.arange(4000)[:, None] / RATE
    expected = (amplitude * np.exp(-decay * t) * np.sin(2 * np.pi * frequency_hz * t)).sum(axis=1)
    for found in run(impulse, filter_):
        np.testing.assert_allclose(found[0], expected, atol=3e-6)


@pytest.mark.parametrize(
    "n_samples",
    [1, 2, TILE - 1, TILE, TILE + 1, 63, 64, 65, LANES * TILE - 1, LANES * TILE, LANES * TILE + 1, 20_480, 33_333],
)
def test_both_ways_to_run_a_filter_are_the_recursion(n_samples: int) -> None:
    """For every length, and for memories from one sample to the whole clip, against float64."""
    filters = [
        coloured(PINK, RATE),
        coloured(BROWN, RATE),
        low_pass(np.array([20.0]), RATE),
        high_pass(np.array([20.0]), RATE),
        low_pass(np.array([7990.0]), RATE),
        band_pass(np.array([100.0]), np.array([2.0]), RATE),
        band_pass(np.array([7990.0]), np.array([100.0]), RATE),
        band_pass(np.array([5000.0]), np.array([18_750.0]), RATE),
        resonances(np.array([[300.0, 0, 900]]), np.full((1, 3), 3.0), np.array([[1, 0, 0.5]]), RATE),
    ]
    x = noise(1, n_samples)
    for filter_ in filters:
        poles, residues = filter_.pole[0], filter_.residue[0]
        expected = filter_.direct[0] * x[0].astype(np.float64)
        for pole, residue in zip(poles, residues, strict=True):
            expected += (residue * lfilter([1], [1, -pole], x[0].astype(np.complex128))).real
        scale = max(np.abs(expected).max(), 1e-3)
        for found in run(x, filter_):
            np.testing.assert_allclose(found[0] / scale, expected / scale, atol=2e-5)


def test_a_filter_may_write_over_what_it_reads() -> None:
    x, filter_ = noise(1, 5003), low_pass(np.array([500.0]), RATE)
    apart = run(x, filter_)[0][0]
    run_filter(x[0], x[0], filter_.direct[0], filter_.pole[0], filter_.residue[0])
    np.testing.assert_array_equal(x[0], apart.astype(np.float32))


def test_a_filter_begins_from_rest() -> None:
    x = noise(1, 3000)
    x[0, :2500] = 0
    for found in run(x, coloured(PINK, RATE)):
        assert not found[0, :2500].any()
        assert found[0, 2500:].any()
