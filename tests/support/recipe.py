"""The paper's released recipe in plain NumPy and SciPy, drawn with NumPy's own generator, one clip at a time.

It follows the description in words and shares nothing with the package. Its faults are arguments, so that a test can
tell what each of them does to the spectrograms.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
RATE = 16000
N = 163_840


FOLDING = "partials above Nyquist and naive pulses fold back"
EXPONENTS = "the exponent is drawn anew for each partial"
SHAPES = "pulses are saws and squares, not triangles"
BURSTS = "bursts are white, and added before the events are cut"
CLAMP = "the low-pass clamps to ±1"
FAULTS = frozenset([FOLDING, EXPONENTS, SHAPES, BURSTS, CLAMP])


def clip(rng: np.random.Generator, faults: frozenset[str]) -> Floats:
    """Draw and render one clip of 10.24 s.

    Args:
        rng: draws everything.
        faults: of the released code, those that this clip has. Without one it is as in the paper's text, band-limited:
            a burst of any colour stands on the timeline and nothing is clamped.
    """
    source = _source(rng, faults)
    bursts = rng.random() < 0.6
    if bursts and BURSTS in faults:
        _add_burst(source, rng, 0)
    mix = np.zeros(N)
    n_events = rng.integers(1, 6)
    for _ in range(n_events):
        length = round(rng.uniform(0.5, 10.24 / n_events) * RATE)
        cut, onset = rng.integers(0, N - length + 1, 2)
        mix[onset : onset + length] += _envelope(length, rng) * source[cut : cut + length]
    if bursts and BURSTS not in faults:
        _add_burst(mix, rng, int(rng.integers(0, 3)))
    if rng.random() < 0.7:
        mix = _low_pass(mix, rng.uniform(200, 6000))
        mix = np.clip(mix, -1, 1) if CLAMP in faults else mix
    mix += rng.uniform(0.001, 0.02) * rng.uniform(-1, 1, N)
    out: Floats = mix / np.abs(mix).max()
    return out


def _source(rng: np.random.Generator, faults: frozenset[str]) -> Floats:
    """Harmonic series, frequency modulation or pulse."""
    f0_hz = rng.uniform(50, 2000)
    times = 1 if FOLDING in faults else 8
    match rng.integers(0, 3):
        case 0:
            return _harmonic(rng, f0_hz, faults)
        case 1:
            index, ratio = rng.uniform(0.5, 8), rng.choice([0.5, 1, 1.5, 2, 2.5, 3.14])
            t = np.arange(N * times) / (RATE * times)
            return _decimated(np.sin(2 * np.pi * f0_hz * t + index * np.sin(2 * np.pi * ratio * f0_hz * t)), times)
        case _:
            turn = np.arange(N * times) * (f0_hz / (RATE * times)) % 1
            match rng.integers(0, 2 if SHAPES in faults else 3):
                case 0:
                    return _decimated(2 * ((turn + 0.5) % 1) - 1, times)
                case 1:
                    return _decimated(np.where(turn < 0.5, 1.0, -1.0), times)
                case _:
                    return _decimated(4 * np.abs((turn - 0.25) % 1 - 0.5) - 1, times)


def _harmonic(rng: np.random.Generator, f0_hz: float, faults: frozenset[str]) -> Floats:
    t = np.arange(N) / RATE
    n_partials = rng.integers(3, 16)
    k = np.arange(1, n_partials + 1)
    gamma = rng.uniform(0.5, 1.5, n_partials if EXPONENTS in faults else 1)
    amplitude = k**-gamma * rng.uniform(0.5, 1.2, n_partials)
    frequency_hz = k * f0_hz * rng.uniform(0.995, 1.005, n_partials)
    phase = rng.uniform(0, 2 * np.pi, n_partials)
    sounds = (frequency_hz < RATE / 2) | (FOLDING in faults)
    out = np.zeros(N)
    for a, f, p in zip(amplitude[sounds], frequency_hz[sounds], phase[sounds], strict=True):
        out += a * np.sin(2 * np.pi * f * t + p)
    return out


def _decimated(x: Floats, times: int) -> Floats:
    """Take every so-manieth sample, after an ideal low-pass."""
    return x if times == 1 else np.fft.irfft(np.fft.rfft(x)[: N // 2 + 1] / times, N)


def _add_burst(x: Floats, rng: np.random.Generator, colour: int) -> None:
    length = round(rng.uniform(0.01, 0.1) * RATE)
    onset = rng.integers(0, N - length + 1)
    noise = rng.uniform(-1, 1, length + RATE)
    if colour:
        spectrum = np.fft.rfft(noise)
        spectrum[1:] /= np.maximum(np.arange(1, len(spectrum)) * (RATE / len(noise)), 20) ** (colour / 2)
        spectrum[0] = 0
        noise = np.fft.irfft(spectrum, len(noise))
        noise *= np.sqrt(1 / 3) / noise.std()
    x[onset : onset + length] += rng.uniform(0.5, 2) * noise[:length]


def _envelope(length: int, rng: np.random.Generator) -> Floats:
    attack, decay = rng.uniform(0.01, 0.3) * length, rng.uniform(0.1, 0.4) * length
    out: Floats = np.interp(np.arange(length), [0, attack, attack + decay, length], [0, 1, 0.6, 0])
    return out


def _low_pass(x: Floats, cutoff_hz: float) -> Floats:
    """Second order, Q = 0.707."""
    omega = 2 * np.pi * cutoff_hz / RATE
    alpha, cos = np.sin(omega) / (2 * 0.707), np.cos(omega)
    b = [(1 - cos) / 2, 1 - cos, (1 - cos) / 2]
    out: Floats = lfilter(b, [1 + alpha, -2 * cos, 1 - alpha], x)
    return out
