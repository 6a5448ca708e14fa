"""The same scores in plain NumPy and SciPy, float64, straight from the formulas: arbiter of the tests, peer in speed.

It shares with the package the score, the integer hash and nothing else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, zpk2tf
from scipy.special import jv

from audiopg import rng
from audiopg.synth.score import Score, Voice

Floats = NDArray[np.float64]
TAU = 2 * np.pi
KNOT = 256


@dataclass(frozen=True)
class Sound:
    """What a source has to play: parameters that are single numbers, and those of its partials, modes or motions."""

    f0: float
    key: int
    n: int
    rate: int
    single: dict[str, float]
    several: dict[str, Floats]


def render(score: Score, n_samples: int, rate: int) -> Floats:
    """Play a score, shape (B, T)."""
    return np.stack([_clip(score.rows(np.array([row])), n_samples, rate) for row in range(len(score))])


def _noise(key: int, n: int) -> Floats:
    hashed = rng.hashed_uniform(np.array([key], dtype=np.int32), np.arange(n, dtype=np.int32))
    return hashed / 2**23 - 1.0


def _clip(score: Score, n: int, rate: int) -> Floats:
    mix = np.zeros(n)
    for voice in score.voices[: score.n_voices[0]]:
        position = int(voice.source[0])
        if position < 0:
            continue
        name, primitive = score.sources[position], score.primitives[position]
        row = {key: column[0] for key, column in voice.parameters[name].items()}
        single = {key: float(value) for key, value in row.items() if np.ndim(value) == 0}
        several = {key: value for key, value in row.items() if np.ndim(value) > 0}
        sound = Sound(float(voice.f0_hz[0]), int(voice.key[0]), n, rate, single, several)
        _add_events(mix, SOURCES[primitive](sound), voice, rate)
    if not np.isnan(score.transient_onset_s[0]):
        onset, length = (round(x[0] * rate) for x in (score.transient_onset_s, score.transient_duration_s))
        burst = _colour(_noise(score.transient_key[0], length), int(score.transient_colour[0]), rate)
        mix[onset : onset + length] += score.transient_gain[0] * burst
    if not np.isnan(score.room_size_m[0]):
        mix = _room(mix, score, rate)
    mix = _butterworth(mix, score.cutoff_hz[0], rate, low=True)
    mix = _butterworth(mix, score.microphone_low_hz[0], rate, low=False)
    mix = _butterworth(mix, score.microphone_high_hz[0], rate, low=True)
    floor = _colour(_noise(score.noise_floor_key[0], n), int(score.noise_floor_colour[0]), rate)
    mix += score.noise_floor_amplitude[0] * floor
    return mix / np.abs(mix).max()


def _add_events(mix: Floats, source: Floats, voice: Voice, rate: int) -> None:
    for event in range(voice.n_events[0]):
        columns = (voice.event_onset_s, voice.event_duration_s, voice.event_source_start_s)
        onset, length, start = (round(x[0, event] * rate) for x in columns)
        attack_s, decay_s, release_s, duration_s, sustain = (
            x[0, event]
            for x in (
                voice.event_attack_s,
                voice.event_decay_s,
                voice.event_release_s,
                voice.event_duration_s,
                voice.event_sustain_level,
            )
        )
        t = np.arange(length) / rate
        envelope = np.interp(t, [0, attack_s, attack_s + decay_s], [0, 1, sustain])
        envelope *= np.minimum((duration_s - t) / release_s, 1)
        level = 10 ** ((voice.event_level_db[0, event] + voice.level_db[0]) / 20)
        mix[onset : onset + length] += level * envelope * source[start : start + length]


def _sines(n: int, rate: int, lines: list[tuple[float, float, float, float]]) -> Floats:
    """Add up (frequency in Hz, amplitude, phase in cycles, T60 in s)."""
    t = np.arange(n) / rate
    out = np.zeros(n)
    for frequency, amplitude, phase, t60 in lines:
        if 0 < frequency < rate / 2:
            out += amplitude * 10 ** (-3 * t / t60) * np.sin(TAU * (frequency * t + phase))
    return out


def _harmonic(s: Sound) -> Floats:
    p, many = s.single, s.several
    k = range(1, int(p["n_partials"]) + 1)
    lines = [
        (
            i * s.f0 * many["partial_detune"][i - 1],
            i ** -p["decay_exponent"] * many["partial_gain"][i - 1],
            many["partial_phase"][i - 1],
            np.inf,
        )
        for i in k
    ]
    return _sines(s.n, s.rate, lines)


def _fm(s: Sound) -> Floats:
    p = s.single
    lines = []
    for k in range(-40, 41):
        frequency, amplitude = s.f0 * (1 + k * p["modulator_ratio"]), jv(k, p["modulation_index"])
        lines.append((abs(frequency), amplitude if frequency > 0 else -amplitude, 0.0, np.inf))
    return _sines(s.n, s.rate, lines)


def _pulse(s: Sound) -> Floats:
    p = s.single
    lines = []
    for k in range(1, math.ceil(s.rate / 2 / s.f0) + 1):
        saw, odd = -2 * (-1) ** k / (np.pi * k), k % 2
        triangle = 8 * odd * (-1) ** ((k - 1) // 2) / (np.pi * k) ** 2
        lines.append((k * s.f0, (saw, 4 * odd / (np.pi * k), triangle)[int(p["shape"])], 0.0, np.inf))
    return _sines(s.n, s.rate, lines)


def _modal(s: Sound) -> Floats:
    p, many = s.single, s.several
    m = np.arange(1, 40)
    beta = np.append([4.730041, 7.853205, 10.995608, 14.137165], (2 * np.arange(5, 25) + 1) * np.pi / 2)
    plate = sorted((i**2 + (1.3 * j) ** 2) for i in m for j in m)
    ring = [i * (i**2 - 1) / math.sqrt(i**2 + 1) for i in m[1:]]
    body = (beta**2, plate, ring)[int(p["body"])]
    lines = []
    for k in range(1, int(p["n_modes"]) + 1):
        ratio = body[k - 1] / body[0] * many["mode_detune"][k - 1]
        amplitude = k ** -p["decay_exponent"] * abs(math.sin(math.pi * k * p["strike_position"]))
        lines.append((s.f0 * ratio, amplitude, 0.0, p["decay_s"] * ratio ** -p["damping_exponent"]))
    return _sines(s.n, s.rate, lines)


def _plucked(s: Sound) -> Floats:
    p = s.single
    lines = []
    for k in range(1, int(p["n_partials"]) + 1):
        frequency = k * s.f0 * math.sqrt(1 + p["inharmonicity"] * k**2)
        amplitude = math.sin(math.pi * k * p["pluck_position"]) / k
        lines.append((frequency, amplitude, 0.25, p["decay_s"] * k ** -p["damping_exponent"]))
    return _sines(s.n, s.rate, lines)


def _knots(n: int, rate: int) -> Floats:
    return np.arange(0, n + KNOT, KNOT) / rate


def _lines_through(values: Floats, n: int) -> Floats:
    return np.interp(np.arange(n), np.arange(len(values)) * KNOT, values)


def _path(t: Floats, rate_hz: float, phase: Floats) -> Floats:
    rates = rate_hz * np.array([0.382, 0.618, 1, 1.618])
    return np.mean([np.sin(TAU * (rate * t + shift)) for rate, shift in zip(rates, phase, strict=True)], axis=0)


def _moving(f0_hz: Floats, amplitudes: list[Floats], n: int, rate: int) -> Floats:
    """Add harmonics of a moving fundamental; partials fall silent from the knot before they reach Nyquist."""
    frequency = np.append(f0_hz, f0_hz[-1])
    # integral of straight lines between the knots
    at = np.arange(n)
    knot, inside = at // KNOT, at % KNOT
    start = np.append(0, np.cumsum((f0_hz[1:] + f0_hz[:-1]) / 2 * KNOT)) / rate
    slope = (frequency[knot + 1] - frequency[knot]) / KNOT
    cycles = start[knot] + (frequency[knot] * inside + slope * inside**2 / 2) / rate
    highest = np.max([f0_hz, np.append(f0_hz[1:], f0_hz[-1]), np.append(f0_hz[0], f0_hz[:-1])], axis=0)
    out = np.zeros(n)
    for k, amplitude in enumerate(amplitudes, start=1):
        out += _lines_through(np.where(k * highest < rate / 2, amplitude, 0), n) * np.sin(TAU * k * cycles)
    return out


def _tone(s: Sound) -> Floats:
    p, many = s.single, s.several
    t, phase = _knots(s.n, s.rate), many["motion_phase"]
    octaves = p["glide_octaves"] * (t * s.rate / s.n - 0.5)
    octaves += p["vibrato_cents"] / 1200 * np.sin(TAU * (p["vibrato_rate_hz"] * t + phase[0]))
    octaves += p["wander_octaves"] * _path(t, p["wander_rate_hz"], phase[2:])
    level = 1 - p["tremolo_depth"] * (0.5 + 0.5 * np.sin(TAU * (p["tremolo_rate_hz"] * t + phase[1])))
    amplitudes = [level * k ** -p["decay_exponent"] for k in range(1, int(p["n_partials"]) + 1)]
    return _moving(s.f0 * 2**octaves, amplitudes, s.n, s.rate)


def _voice(s: Sound) -> Floats:
    p, many = s.single, s.several
    t, phase = _knots(s.n, s.rate), many["motion_phase"].reshape(4, 4)
    f0_hz = s.f0 * 2 ** (p["intonation_octaves"] * _path(t, p["intonation_rate_hz"], phase[0]))
    amplitudes = []
    for k in range(1, int(p["n_partials"]) + 1):
        amplitude = np.full(len(t), k ** -p["decay_exponent"])
        for number, (breadth, reach) in enumerate(((1, 1), (1.5, 1), (2, 0.5)), start=1):
            octaves = reach * p["articulation_octaves"] * _path(t, p["articulation_rate_hz"], phase[number])
            centre, width = p[f"formant_{number}_hz"] * 2**octaves, breadth * p["formant_bandwidth_hz"]
            f = k * f0_hz
            amplitude *= centre**2 / np.sqrt((centre**2 - f**2) ** 2 + (width * f) ** 2)
        amplitudes.append(amplitude)
    return _moving(f0_hz, amplitudes, s.n, s.rate)


def _noise_band(s: Sound) -> Floats:
    p, many = s.single, s.several
    half = 2 ** (p["bandwidth_octaves"] / 2)
    width_hz = min(s.f0 * (half - 1 / half), s.rate / 2)
    radius, angle = math.exp(-math.pi * width_hz / s.rate), TAU * s.f0 / s.rate
    b, a = [1, 0, -1], [1, -2 * radius * math.cos(angle), radius**2]
    t, phase = _knots(s.n, s.rate), many["motion_phase"]
    level = 1 - p["gust_depth"] * (1 - _path(t, p["gust_rate_hz"], phase[1:])) / 2
    level *= (p["gate_rate_hz"] * t + phase[0]) % 1 < p["gate_share"]
    return lfilter(b, a, _noise(s.key, s.n)) / _rms(b, a) * _lines_through(level, s.n)


def _grains(s: Sound) -> Floats:
    p, many = s.single, s.several

    def hashed(lane: int, count: int) -> Floats:
        numbers = np.arange(lane << 16, (lane << 16) + count, dtype=np.int32)
        return rng.hashed_uniform(np.array([s.key], dtype=np.int32), numbers) / 2**24

    count = 2 * int(p["rate_hz"] * s.n / s.rate) + 64
    regular = np.full(count, p["regularity"])
    regular[0] *= hashed(1, 1)[0] + 2**-25
    times = (regular - (1 - p["regularity"]) * np.log(hashed(0, count) + 2**-25)) / p["rate_hz"]
    impulses = np.zeros(s.n)
    for time, weaker in zip(np.cumsum(times), hashed(2, count), strict=True):
        if round(time * s.rate) < s.n:
            impulses[round(time * s.rate)] += 10 ** (-weaker * p["level_range_db"] / 20)
    out = np.zeros(s.n)
    for j in range(int(p["n_resonances"])):
        frequency = s.f0 * (1 if j == 0 else many["resonance_ratio"][j])
        if frequency < s.rate / 2:
            radius, angle = 10 ** (-3 / (p["decay_s"] * s.rate)), TAU * frequency / s.rate
            b = [0, many["resonance_gain"][j] * radius * math.sin(angle)]
            out += lfilter(b, [1, -2 * radius * math.cos(angle), radius**2], impulses)
    return out


SOURCES: dict[str, Callable[[Sound], Floats]] = {
    "harmonic": _harmonic,
    "fm": _fm,
    "pulse": _pulse,
    "modal": _modal,
    "plucked": _plucked,
    "tone": _tone,
    "voice": _voice,
    "noise_band": _noise_band,
    "grains": _grains,
}


def _rms(b: Sequence[float], a: Sequence[float]) -> float:
    """Root of the power of the filter's answer to an impulse."""
    return math.sqrt(float((lfilter(b, a, np.eye(1, 1 << 18)[0]) ** 2).sum()))


def _butterworth(x: Floats, cutoff_hz: float, rate: int, *, low: bool) -> Floats:
    """Run the biquad of the audio-EQ cookbook; no cut-off, no filter."""
    if not 0 < cutoff_hz < np.inf:
        return x
    omega = TAU * cutoff_hz / rate
    alpha, cos = math.sin(omega) / math.sqrt(2), math.cos(omega)
    b = [(1 - cos) / 2, 1 - cos, (1 - cos) / 2] if low else [(1 + cos) / 2, -1 - cos, (1 + cos) / 2]
    return lfilter(b, [1 + alpha, -2 * cos, 1 - alpha], x)


def _colour(noise: Floats, colour: int, rate: int) -> Floats:
    if colour == 0:
        return noise
    poles_hz = 15 * 3.4 ** np.arange(6) if colour == 1 else np.array([20.0])
    zeros_hz = poles_hz * math.sqrt(3.4) if colour == 1 else np.array([])
    zeros, poles = (np.exp(-TAU * x[x < rate / 2] / rate) for x in (zeros_hz, poles_hz))
    b, a = zpk2tf(zeros, poles, 1)
    return lfilter(b, a, noise) / _rms(b, a)


def _room(dry: Floats, score: Score, rate: int) -> Floats:
    size = score.room_size_m[0] * np.array([1, 0.7, 0.45])
    rt60, rho = score.room_rt60_s[0], score.room_treble_damping[0]
    volume, surface = size.prod(), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    absorbed = 1 - math.exp(-0.161 * volume / (surface * rt60))
    source, microphone = score.room_places[0, :3] * size, score.room_places[0, 3:] * size
    direct = np.linalg.norm(source - microphone)
    out = dry.copy()
    for axis in range(3):
        for wall in (0, size[axis]):
            image = source.copy()
            image[axis] = 2 * wall - source[axis]
            distance = np.linalg.norm(image - microphone)
            delay = round((distance - direct) / 343 * rate)
            out[delay:] += math.sqrt(1 - absorbed) * direct / distance * dry[: max(len(dry) - delay, 0)]
    loops = np.array([2.0, 2.193, 2.427, 2.719, 3.037, 3.413, 3.853, 4.337])
    delays = np.rint(4 * volume / surface / 343 * loops * rate).astype(int)
    gains = 10 ** (-3 * delays / (rt60 * rate))
    turned = (gains**2).mean()
    late = math.sqrt(16 * math.pi * direct**2 * (1 - absorbed) / (surface * absorbed) * (1 - turned) / turned)
    past = delays.max() + 1
    lines = np.zeros((8, past + len(dry)))
    mirror = np.eye(8) - 2 / 8
    for begin in range(0, len(dry), delays.min()):
        n = min(delays.min(), len(dry) - begin)
        at = past + begin + np.arange(n) - delays[:, None]
        rows = np.arange(8)[:, None]
        arriving = gains[:, None] * ((1 - rho) * lines[rows, at] + rho * lines[rows, at - 1])
        lines[:, past + begin : past + begin + n] = mirror @ arriving + dry[begin : begin + n] / math.sqrt(8)
        out[begin : begin + n] += late * (arriving[::2].sum(axis=0) - arriving[1::2].sum(axis=0))
    return out
