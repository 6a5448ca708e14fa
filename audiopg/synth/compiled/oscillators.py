"""Envelopes, steady and decaying lines, moving tones."""

import math

import numpy as np

from audiopg.arrays import Float32
from audiopg.jit import compiled
from audiopg.synth.playlist import LineTable, ToneTable
from audiopg.synth.sources.primitive import KNOT

BLOCK = 128  # samples whose phases come from one table
SILENT = 1e-7  # part of the loudest line's amplitude below which all have ended

# sin(2πx) = x Σ_k c_k x^2k on [-1/2, 1/2], within 2e-8: Chebyshev fit in x²
_X = np.cos(np.pi * (np.arange(64) + 0.5) / 64) / 8 + 1 / 8
SINE = np.polynomial.Polynomial.fit(
    _X, np.sin(2 * np.pi * np.sqrt(_X)) / np.sqrt(_X), 6, domain=[0, 0.25], window=[0, 0.25]
)
S0, S1, S2, S3, S4, S5, S6 = (np.float32(c) for c in SINE.convert().coef)


@compiled
def envelope(
    out: Float32, n: int, attack: float, decay: float, sustain: float, release: float, amplitude: float
) -> None:
    """Fill with `envelopes.adsr` times an amplitude, line by line; times in samples."""
    # AVX2 turns 32-bit numbers into floats several at a time, 64-bit ones not
    scale, low = np.float32(amplitude), np.float32(sustain * amplitude)
    rise = np.float32(amplitude / attack)
    fall = np.float32((1 - sustain) * amplitude / decay)
    top = np.float32(attack)
    end = np.float32(1 / release)
    peak_at = min(math.ceil(attack), n)
    sustain_at = min(math.ceil(attack + decay), n)
    for i in range(peak_at):
        out[i] = rise * np.float32(np.int32(i))
    falling = out[peak_at:sustain_at]
    beyond = top - np.float32(peak_at)
    for i in range(falling.shape[0]):
        falling[i] = scale - fall * (np.float32(np.int32(i)) - beyond)
    out[sustain_at:n] = low
    ending = out[max(math.floor(n - release) + 1, 0) : n]
    left = ending.shape[0]
    for i in range(left):
        ending[i] *= end * np.float32(np.int32(left - i))


@compiled
def add_lines(target: Float32, envelope: Float32, start: int, lines: LineTable, first: int, last: int) -> None:
    """Add lines under an envelope.

    ``exp(i(a + b)) = exp(ia) exp(ib)``: the phases inside a block come from a table, that at the start of each block
    from the one before; both turned in float64.
    """
    n_pairs = (last - first + 1) // 2
    cosine = np.zeros((2 * n_pairs, BLOCK), dtype=np.float32)
    sine = np.zeros((2 * n_pairs, BLOCK), dtype=np.float32)
    state = np.zeros(2 * n_pairs, dtype=np.complex128)
    turn = np.zeros(2 * n_pairs, dtype=np.complex128)
    for p in range(last - first):
        frequency, decay = lines.frequency[first + p], lines.decay[first + p]
        step = math.exp(-decay) * complex(math.cos(math.tau * frequency), math.sin(math.tau * frequency))
        z = complex(1.0, 0.0)
        for m in range(BLOCK):
            cosine[p, m] = z.real
            sine[p, m] = z.imag
            z *= step
        turn[p] = z
        cycles = frequency * start + lines.phase[first + p]
        cycles -= math.floor(cycles)
        amplitude = lines.amplitude[first + p] * math.exp(-decay * start)
        state[p] = amplitude * complex(math.cos(math.tau * cycles), math.sin(math.tau * cycles))
    total = np.empty(BLOCK, dtype=np.float32)
    silent = np.float32(0)
    n_samples = target.shape[0]
    for begin in range(0, n_samples, BLOCK):
        total[:] = np.float32(0)
        loudest = np.float32(0)
        for pair in range(n_pairs):  # two lines at a time, as the sums are loaded and stored for both
            p, q = 2 * pair, 2 * pair + 1
            real, imag = np.float32(state[p].real), np.float32(state[p].imag)
            next_real, next_imag = np.float32(state[q].real), np.float32(state[q].imag)
            for m in range(BLOCK):
                total[m] += imag * cosine[p, m] + real * sine[p, m] + next_imag * cosine[q, m] + next_real * sine[q, m]
            loudest = max(loudest, abs(real) + abs(imag), abs(next_real) + abs(next_imag))
            state[p] *= turn[p]
            state[q] *= turn[q]
        if begin == 0:
            silent = np.float32(SILENT) * loudest
        if loudest < silent:
            break
        heard, loudness = target[begin : begin + BLOCK], envelope[begin : begin + BLOCK]
        for m in range(heard.shape[0]):
            heard[m] += total[m] * loudness[m]


@compiled
def _sine(x: np.float32) -> np.float32:
    """Compute sin(2πx) for x in [-1/2, 1/2]."""
    y = x * x
    return x * (S0 + y * (S1 + y * (S2 + y * (S3 + y * (S4 + y * (S5 + y * S6))))))


@compiled
def add_tone(target: Float32, envelope: Float32, start: int, tones: ToneTable, row: int) -> None:
    """Add the harmonics of a moving tone under an envelope: partial k turns k times as far as the first."""
    n_partials = tones.n_partials[row]
    real = np.empty(KNOT, dtype=np.float32)
    imag = np.empty(KNOT, dtype=np.float32)
    turned_real = np.empty(KNOT, dtype=np.float32)
    turned_imag = np.empty(KNOT, dtype=np.float32)
    total = np.empty(KNOT, dtype=np.float32)
    stop = start + target.shape[0]
    half, quarter, one = np.float32(0.5), np.float32(0.25), np.float32(1)
    for knot in range(start // KNOT, (stop - 1) // KNOT + 1):
        frequency = tones.frequency[row, knot]
        bend = (tones.frequency[row, knot + 1] - frequency) / (2 * KNOT)
        phase = tones.phase[row, knot]
        for m in range(KNOT):
            step = np.float64(np.int32(m))
            cycles = phase + (frequency + bend * step) * step
            x = np.float32(cycles - np.floor(cycles)) - half
            y = x + quarter
            y = y - one if y > half else y
            # half a turn off, which only changes the sign
            real[m] = turned_real[m] = -_sine(y)
            imag[m] = turned_imag[m] = -_sine(x)
            total[m] = np.float32(0)
        for p in range(n_partials):
            level = tones.amplitude[row, knot, p]
            slope = (tones.amplitude[row, knot + 1, p] - level) / np.float32(KNOT)
            for m in range(KNOT):
                total[m] += (level + slope * np.float32(np.int32(m))) * turned_imag[m]
                turned = turned_real[m] * real[m] - turned_imag[m] * imag[m]
                turned_imag[m] = turned_real[m] * imag[m] + turned_imag[m] * real[m]
                turned_real[m] = turned
        begin = knot * KNOT
        first, last = max(begin, start), min(begin + KNOT, stop)
        heard, loudness = target[first - start : last - start], envelope[first - start : last - start]
        segment = total[first - begin : last - begin]
        for m in range(heard.shape[0]):
            heard[m] += segment[m] * loudness[m]
