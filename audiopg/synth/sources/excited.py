"""Excited resonators: noise and impulses through a filter, for all sounds without their own pitch."""

import numpy as np

from audiopg import rng
from audiopg.arrays import Float64
from audiopg.synth.filters import band_pass, resonances
from audiopg.synth.sources.moving import path
from audiopg.synth.sources.primitive import Excitation, Grid, Keys, Parameter, Primitive, decay_rate

# Numbers of the hash that each lane has; more impulses than a train can have.
LANE = 1 << 16


def noise_band(  # noqa: PLR0913  (a parameter of the source each)
    f0_hz: Float64,
    key: Keys,  # noqa: ARG001
    grid: Grid,
    *,
    bandwidth_octaves: Float64,
    gust_rate_hz: Float64,
    gust_depth: Float64,
    gate_rate_hz: Float64,
    gate_share: Float64,
    motion_phase: Float64,
) -> Excitation:
    """Band of noise that swells at random and is gated: wind, breath, rain from afar, steam, a shaker.

    The filter is a resonance that keeps the power of the noise. Its band is W wide, as wide in Hz as that from
    ``f0 · 2^(-bandwidth / 2)`` to ``f0 · 2^(bandwidth / 2)``, but lies ``√(f0² + W² / 2) ∓ W / 2``: a broad one lies
    higher, by a quarter of an octave where two are asked for. Near the Nyquist frequency it is narrower.

    Args:
        f0_hz: centre of a narrow band in Hz, shape (B,).
        key: of the noise; the renderers use it.
        grid: time axis of the clip.
        bandwidth_octaves: -3 dB bandwidth, shape (B,).
        gust_rate_hz: how fast the level moves, as in `path`, shape (B,).
        gust_depth: part of the level that moves, in [0, 1], shape (B,).
        gate_rate_hz: openings per second, shape (B,).
        gate_share: part of the time that the gate is open, 1 always, shape (B,).
        motion_phase: phases of gate and the path's sines in cycles, shape (B, 5).

    Source: ours.
    """
    bandwidth_hz = f0_hz * (2 ** (bandwidth_octaves / 2) - 2 ** (-bandwidth_octaves / 2))
    gusts = 1 - gust_depth[:, None] * (1 - path(gust_rate_hz, motion_phase[:, 1:], grid)) / 2
    turn = gate_rate_hz[:, None] * grid.knot_s + motion_phase[:, :1]
    gate = (turn % 1 < gate_share[:, None]).astype(np.float64)
    none = np.zeros((len(f0_hz), 0))
    return Excitation(
        np.ones(len(f0_hz)),
        none.astype(np.int64),
        none,
        band_pass(f0_hz, bandwidth_hz, grid.sample_rate_hz),
        gusts * gate,
    )


NOISE_BAND = Primitive(
    noise_band,
    {
        "bandwidth_octaves": Parameter("octaves", low=0.01, high=6),
        "gust_rate_hz": Parameter("Hz", low=0, high=15),
        "gust_depth": Parameter("1", low=0, high=1),
        "gate_rate_hz": Parameter("Hz", low=0, high=15),
        "gate_share": Parameter("part of the time", low=0, high=1),
        "motion_phase": Parameter("cycles", one_per=5),
    },
)


def grain_times(rate_hz: Float64, regularity: Float64, key: Keys, grid: Grid) -> Float64:
    """Times of a train of impulses in s, shape (B, G).

    The intervals are ``(regularity + (1 - regularity) e) / rate`` with e exponential of mean 1: a Poisson process at
    regularity 0, a clock at 1. They come from the hash of the clip's key.

    Args:
        rate_hz: mean number of impulses per second, shape (B,).
        regularity: in [0, 1], shape (B,).
        key: shape (B,), int32.
        grid: time axis of the clip; only the impulses inside it are heard.
    """
    # twice the average number and some more: a Poisson process practically never has so many
    n_grains = 2 * int(rate_hz.max(initial=0) * grid.duration_s) + 64
    uniform = (_hashed(key, n_grains, 0) + 0.5) * 2.0**-24
    regular = np.repeat(regularity[:, None], n_grains, axis=1)
    # a clock has any phase when the clip begins; a Poisson process has no memory and needs no phase
    regular[:, 0] *= (_hashed(key, 1, 1)[:, 0] + 0.5) * 2.0**-24
    chance = (1 - regularity[:, None]) * -np.log(uniform)
    times: Float64 = np.cumsum((regular + chance) / rate_hz[:, None], axis=1)
    return times


def _hashed(key: Keys, n: int, lane: int) -> Float64:
    """Whole numbers in [0, 2^24), shape (B, n), independent for each lane."""
    numbers = np.arange(lane * LANE, lane * LANE + n, dtype=np.int32)
    hashed: Float64 = rng.hashed_uniform(key[:, None], numbers).astype(np.float64)
    return hashed


def grains(  # noqa: PLR0913
    f0_hz: Float64,
    key: Keys,
    grid: Grid,
    *,
    rate_hz: Float64,
    regularity: Float64,
    level_range_db: Float64,
    decay_s: Float64,
    n_resonances: Float64,
    resonance_ratio: Float64,
    resonance_gain: Float64,
) -> Excitation:
    """Train of impulses, each ringing in a resonator: rain drops, clicks, footsteps, an engine, crackling fire.

    Args:
        f0_hz: lowest resonance in Hz, shape (B,).
        key: of the times and levels of the impulses.
        grid: time axis of the clip.
        rate_hz: mean number of impulses per second, shape (B,).
        regularity: as in `grain_times`, shape (B,).
        level_range_db: each impulse is weaker by up to this, drawn evenly, shape (B,).
        decay_s: time in which a resonance falls by 60 dB, in s, shape (B,).
        n_resonances: shape (B,).
        resonance_ratio: frequency over f0 of the second resonance and on; a first value is not read, shape (B, J).
        resonance_gain: amplitude, shape (B, J).

    Source: ours, after Farnell, Designing Sound (2010).
    """
    times = grain_times(rate_hz, regularity, key, grid)
    impulse = np.rint(np.minimum(times, grid.duration_s) * grid.sample_rate_hz).astype(np.int64)
    weaker_db = level_range_db[:, None] * _hashed(key, times.shape[1], 2) * 2.0**-24
    amplitude = np.where(impulse < grid.n_samples, 10 ** (-weaker_db / 20), 0.0)
    number = np.arange(resonance_ratio.shape[1])
    frequency_hz = f0_hz[:, None] * np.where(number == 0, 1.0, resonance_ratio)
    sounds = (number < n_resonances[:, None]) & (frequency_hz < grid.sample_rate_hz / 2)
    answer = resonances(
        np.where(sounds, frequency_hz, 0.0),
        np.broadcast_to(decay_rate(decay_s)[:, None], sounds.shape),
        np.where(sounds, resonance_gain, 0.0),
        grid.sample_rate_hz,
    )
    return Excitation(
        np.zeros(len(f0_hz)),
        np.minimum(impulse, grid.n_samples - 1),
        amplitude,
        answer,
        np.ones((len(f0_hz), len(grid.knot_s))),
    )


GRAINS = Primitive(
    grains,
    {
        "rate_hz": Parameter("impulses per s", low=0.1, high=200),
        "regularity": Parameter("1", low=0, high=1),
        "level_range_db": Parameter("dB", low=0, high=60),
        "decay_s": Parameter("s", low=1e-4, high=1e4),
        "n_resonances": Parameter("resonances", low=1, high=8, whole=True),
        "resonance_ratio": Parameter("frequency ratio", low=0.1, one_per="n_resonances"),
        "resonance_gain": Parameter("amplitude", low=0, one_per="n_resonances"),
    },
)
