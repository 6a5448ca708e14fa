"""Noise bands and grains: bands, gates and gusts, the times of impulses and the ringing of resonators."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest
from support.sounds import RATE, Floats, source

from audiopg import rng
from audiopg.synth.sources.excited import grain_times
from audiopg.synth.sources.moving import path
from audiopg.synth.sources.primitive import KNOT, Grid

SECONDS_10 = Grid(163_840, RATE)


def band(**changes: Any) -> dict[str, Any]:
    """Noise that neither swells nor stops."""
    parameters = {
        "bandwidth_octaves": 0.5,
        "gust_rate_hz": 1.0,
        "gust_depth": 0.0,
        "gate_rate_hz": 1.0,
        "gate_share": 1.0,
        "motion_phase": np.array([[0.21, 0.1, 0.3, 0.5, 0.7]]),
    }
    return parameters | changes


def train(**changes: Any) -> dict[str, Any]:
    """Equal impulses, each with one resonance."""
    parameters = {
        "rate_hz": 5.0,
        "regularity": 1.0,
        "level_range_db": 0.0,
        "decay_s": 0.05,
        "n_resonances": 1,
        "resonance_ratio": np.array([[9.0, 2.0, 3.0]]),
        "resonance_gain": np.array([[1.0, 0.5, 0.25]]),
    }
    return parameters | changes


def power_spectrum(waveforms: Floats) -> Floats:
    """Mean power over clips and frames of 128 ms, lines 7.8125 Hz apart."""
    frames = waveforms.reshape(-1, 2048).astype(np.float64) * np.hanning(2048)
    out: Floats = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=0)
    return out


@pytest.mark.parametrize(("f0_hz", "octaves"), [(1000, 0.3), (1000, 1.0), (500, 2.0), (800, 3.0), (3000, 0.5)])
def test_a_band_is_3_db_down_at_its_edges(f0_hz: float, octaves: float) -> None:
    """A narrow band lies around its centre, a broad one higher; as wide as asked for, in Hz, if Nyquist is far."""
    waveforms = source("noise_band", [f0_hz] * 40, band(bandwidth_octaves=octaves), SECONDS_10)
    power = power_spectrum(waveforms)
    frequency_hz = np.arange(len(power)) * RATE / 2048
    smooth = np.convolve(power, np.ones(5) / 5, mode="same")
    loud = frequency_hz[smooth > smooth[5:-5].max() / 2]
    width_hz = f0_hz * (2 ** (octaves / 2) - 2 ** (-octaves / 2))
    assert loud[-1] - loud[0] == pytest.approx(width_hz, rel=0.12)
    middle_hz = np.sqrt(f0_hz**2 + width_hz**2 / 2)
    assert (loud[-1] + loud[0]) / 2 == pytest.approx(middle_hz, rel=0.08)


@pytest.mark.parametrize("octaves", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("f0_hz", [100.0, 1000.0, 6000.0])
def test_a_band_keeps_the_power_of_white_noise(f0_hz: float, octaves: float) -> None:
    waveforms = source("noise_band", [f0_hz] * 40, band(bandwidth_octaves=octaves), SECONDS_10)
    assert np.square(waveforms, dtype=np.float64).mean() == pytest.approx(1 / 3, rel=0.03)


def test_the_noise_of_a_band_is_that_of_its_key() -> None:
    """A band so broad at the middle of all frequencies hardly filters."""
    waveform = source("noise_band", [4000.0], band(bandwidth_octaves=6.0), SECONDS_10, keys=[77])[0]
    noise = rng.hashed_uniform(np.array([77], dtype=np.int32), np.arange(163_840, dtype=np.int32)) / 2**23 - 1
    assert np.corrcoef(waveform, noise)[0, 1] > 0.6
    other = source("noise_band", [4000.0], band(bandwidth_octaves=6.0), SECONDS_10, keys=[78])[0]
    assert abs(np.corrcoef(waveform, other)[0, 1]) < 0.02


@pytest.mark.parametrize(("rate_hz", "share"), [(0.7, 0.3), (3.0, 0.5), (10.0, 0.8)])
def test_a_gate_is_open_for_its_share_of_the_time(rate_hz: float, share: float) -> None:
    waveform = source("noise_band", [2000.0], band(gate_rate_hz=rate_hz, gate_share=share), SECONDS_10)[0]
    knots = np.arange(163_840 // KNOT) * KNOT / RATE
    open_ = (rate_hz * knots + 0.21) % 1 < share
    power = np.square(waveform.reshape(-1, KNOT), dtype=np.float64).mean(axis=1)
    steady = open_[:-1] == open_[1:]
    assert (power[:-1][steady & open_[:-1]] > 1e-3).all()
    assert (power[:-1][steady & ~open_[:-1]] == 0).all()
    # between two knots the gate turns in a straight line
    assert (power > 0).mean() == pytest.approx(share + rate_hz * KNOT / RATE, abs=0.06)
    assert open_.mean() == pytest.approx(share, abs=0.05)


def test_a_gust_takes_its_depth_off_the_level() -> None:
    still, moving = (
        source("noise_band", [2000.0], band(gust_depth=depth, gust_rate_hz=0.8), SECONDS_10)[0].astype(np.float64)
        for depth in (0.0, 0.7)
    )
    sounds = np.abs(still) > 0.01
    level = np.where(sounds, moving / np.where(sounds, still, 1), np.nan)
    gusts = path(np.array([0.8]), np.array([[0.1, 0.3, 0.5, 0.7]]), SECONDS_10)[0]
    expected = np.interp(np.arange(163_840), np.arange(len(gusts)) * KNOT, 1 - 0.7 * (1 - gusts) / 2)
    np.testing.assert_allclose(level[sounds], expected[sounds], rtol=1e-4)
    assert np.nanmin(level) >= 0.3 - 1e-4
    assert np.nanmax(level) <= 1 + 1e-4


def times_s(rate_hz: float, regularity: float, n_clips: int = 200, grid: Grid = SECONDS_10) -> Floats:
    keys = rng.noise_keys(42, "test", range(n_clips))
    return grain_times(np.full(n_clips, float(rate_hz)), np.full(n_clips, float(regularity)), keys, grid)


def test_intervals_are_exponential_at_regularity_0() -> None:
    intervals = np.diff(times_s(8, 0), axis=1)
    assert kstest(intervals.ravel()[:20_000], "expon", args=(0, 1 / 8)).pvalue > 0.01
    assert np.corrcoef(intervals[:, :-1].ravel(), intervals[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.01)


def test_the_numbers_of_a_poisson_process_have_its_mean_and_variance() -> None:
    """Also in the first second: the process does not notice where the clip begins."""
    times = times_s(8, 0, n_clips=4000, grid=Grid(2 * RATE, RATE))
    for begin in (0, 0.25, 1):
        counts = ((times >= begin) & (times < begin + 0.25)).sum(axis=1)
        assert counts.mean() == pytest.approx(2, abs=0.1)
        assert counts.var() == pytest.approx(2, abs=0.2)
    assert kstest(times[:, 0], "expon", args=(0, 1 / 8)).pvalue > 0.01


def test_a_train_is_a_clock_at_regularity_1() -> None:
    times = times_s(12.5, 1)
    np.testing.assert_allclose(np.diff(times, axis=1), 1 / 12.5)
    assert kstest(times[:, 0], "uniform", args=(0, 1 / 12.5)).pvalue > 0.01


def test_regularity_mixes_clock_and_chance() -> None:
    intervals = np.diff(times_s(10, 0.6), axis=1)
    assert intervals.min() >= 0.06
    assert kstest(intervals.ravel()[:20_000], "expon", args=(0.06, 0.04)).pvalue > 0.01


@pytest.mark.parametrize("regularity", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rate_hz", [0.1, 60, 200])
def test_a_train_lasts_as_long_as_the_clip(rate_hz: float, regularity: float) -> None:
    assert times_s(rate_hz, regularity)[:, -1].min() > SECONDS_10.duration_s


def test_a_clip_has_its_own_train_whatever_the_batch() -> None:
    keys = rng.noise_keys(42, "test", range(3))
    together = grain_times(np.array([2.0, 200.0, 8.0]), np.array([0.0, 0.5, 1.0]), keys, SECONDS_10)
    alone = grain_times(np.array([2.0]), np.array([0.0]), keys[:1], SECONDS_10)
    np.testing.assert_array_equal(together[0, : alone.shape[1]], alone[0])


def test_a_grain_rings_in_its_resonances_until_it_has_died() -> None:
    """One impulse, measured against its formula."""
    parameters = train(rate_hz=0.1, n_resonances=[1, 3], decay_s=0.08)
    for row, waveform in enumerate(source("grains", [500, 500], parameters, SECONDS_10)):
        begin = np.flatnonzero(waveform)[0] - 1  # a sine begins at 0
        t = np.arange(RATE // 4) / RATE
        expected = np.sin(2 * np.pi * 500 * t)
        if row == 1:
            expected += 0.5 * np.sin(2 * np.pi * 1000 * t) + 0.25 * np.sin(2 * np.pi * 1500 * t)
        expected *= 10 ** (-3 * t / 0.08)
        found = waveform[begin : begin + RATE // 4]
        np.testing.assert_allclose(found, expected[: len(found)], atol=1e-5)


def test_resonances_at_or_above_nyquist_are_silent() -> None:
    parameters = train(n_resonances=[1, 3], resonance_ratio=np.array([[9.0, 4.0, 9.0]]))
    alone, with_two_above = source("grains", [2500, 2500], parameters, SECONDS_10, keys=[5, 5])
    np.testing.assert_allclose(with_two_above, alone, atol=1e-6)


def test_impulses_stand_where_their_times_say() -> None:
    parameters = train(rate_hz=6.0, regularity=0.5, decay_s=0.004)
    waveform = source("grains", [3000.0], parameters, SECONDS_10, keys=[9])[0]
    times = grain_times(np.array([6.0]), np.array([0.5]), np.array([9], dtype=np.int32), SECONDS_10)[0]
    impulse = np.rint(times[times < SECONDS_10.duration_s] * RATE).astype(int)
    loud = np.flatnonzero(np.abs(waveform) > 0.1)
    begins = loud[np.concatenate([[True], np.diff(loud) > 64])]
    np.testing.assert_array_equal(begins, impulse[impulse < 163_839] + 1)


def test_levels_are_spread_evenly_over_their_range() -> None:
    """A resonance that dies at once: each grain's peak is its level."""
    parameters = train(rate_hz=40.0, level_range_db=30.0, decay_s=0.002)
    peaks = []
    for waveform in source("grains", [4000.0] * 20, parameters, SECONDS_10):
        loud = np.flatnonzero(np.abs(waveform) > 10 ** (-31 / 20) * 0.6)
        begins = loud[np.concatenate([[True], np.diff(loud) > 200])]
        peaks += [np.abs(waveform[begin : begin + 4]).max() for begin in begins if begin + 4 < 163_840]
    level_db = 20 * np.log10(np.array(peaks))
    level_db -= 20 * np.log10(10 ** (-3 / RATE / 0.002))  # the first sample after the impulse
    assert len(level_db) == pytest.approx(20 * 40 * 10.24, rel=0.01)
    assert kstest(level_db, "uniform", args=(-30, 30)).pvalue > 0.01
