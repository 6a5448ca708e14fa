"""Log-mel spectrogram on a CPU, compiled: many frames side by side, each in a lane of the vector instructions."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float32, Float64, Int64
from audiopg.jit import compiled, inlined

LANES = 32  # frames that are transformed at once
PAIR = 2 * LANES  # a row of the transform: real parts, then imaginary parts
# From a real part to its imaginary one; unsigned, because numba checks all other sums for negative values.
IMAG = np.uintp(LANES)
FFT_LENGTHS = (512, 1024, 2048)  # that the transform supports
LN2 = np.float32(math.log(2))
SQRT2 = np.float32(math.sqrt(2))

# ln(1 + y) = y - y²/2 + y³ Σ_k c_k y^k on [√½ - 1, √2 - 1], within 1e-7: Chebyshev fit
_EDGES = (math.sqrt(0.5) - 1, math.sqrt(2) - 1)
_Y = np.cos(np.pi * (np.arange(200) + 0.5) / 200) * (_EDGES[1] - _EDGES[0]) / 2 + sum(_EDGES) / 2
_REST = (np.log1p(_Y) - _Y + _Y**2 / 2) / _Y**3
_FIT = np.polynomial.Polynomial.fit(_Y, _REST, 5)
L0, L1, L2, L3, L4, L5 = (np.float32(c) for c in _FIT.convert().coef)


class Plan(NamedTuple):
    """Tables and numbers of one kind of log-mel spectrogram."""

    window: Float32  # (W,)
    hop: int  # samples from one frame to the next
    preemphasis: float  # share of the previous sample that is taken off; the first sample's predecessor is itself
    turns: NDArray[np.complex64]  # (N,), exp(-2πi n / N) for the transform of N complex numbers
    half_turns: NDArray[np.complex64]  # (N / 2 + 1,), exp(-πi n / N)
    places: Int64  # (N,), row of each frequency after the transform
    lower: Int64  # (N + 1,), for each line the bin in whose falling half it lies, -1 to M - 1
    rising: Float32  # (N + 1,), weight of each line in the bin above that
    falling: Float32  # (N + 1,), weight of each line in that bin
    floor: float  # least power of a bin
    mean: float  # subtracted from the natural logarithm
    scale: float  # then multiplied


def plan(  # noqa: PLR0913
    window: Float32, hop: int, preemphasis: float, filters: Float64, floor: float, mean: float, scale: float
) -> Plan:
    """Prepare the tables.

    Args:
        window: shape (W,).
        hop: samples from one frame to the next.
        preemphasis: share of the previous sample that is taken off.
        filters: weights of the mel bins, shape (M, K); 2 (K - 1), the length of the FFT, is one of `FFT_LENGTHS`.
        floor: least power of a bin.
        mean: subtracted from the natural logarithm.
        scale: then multiplied.
    """
    n = filters.shape[1] - 1
    turns = np.exp(-2j * np.pi * np.arange(n) / n).astype(np.complex64)
    half_turns = np.exp(-1j * np.pi * np.arange(n // 2 + 1) / n).astype(np.complex64)
    places = np.argsort(frequencies(n))
    return Plan(window, hop, preemphasis, turns, half_turns, places, *neighbours(filters), floor, mean, scale)


def frequencies(n: int) -> Int64:
    """Frequency that each row holds after the transform of n numbers."""
    radix = 4 if n % 4 == 0 else n
    if n == radix:
        return np.arange(n)
    inner = frequencies(n // radix)
    return np.concatenate([radix * inner + first for first in range(radix)])


def neighbours(filters: Float64) -> tuple[Int64, Float32, Float32]:
    """Write mel filters as what each line of the FFT gives to the two neighbouring bins that it lies in.

    Args:
        filters: shape (M, K).

    Returns:
        The lower bin, -1 to M - 1, the weight in the bin above it and the weight in it, shape (K,) each.
    """
    n_lines = filters.shape[1]
    centres = filters.argmax(axis=0)
    before = np.clip(centres - 1, 0, None)
    lower = np.where(filters[before, np.arange(n_lines)] > 0, before, centres)
    padded = np.concatenate([filters, np.zeros((1, n_lines))])
    falling, rising = padded[lower, np.arange(n_lines)], padded[lower + 1, np.arange(n_lines)]
    return lower, rising.astype(np.float32), falling.astype(np.float32)


@compiled
def log_mel(waveform: Float32, plan: Plan, out: Float32) -> None:
    """Compute the normalised log-mel spectrograms of some clips.

    Args:
        waveform: shape (B, T); each clip goes on with zeros.
        plan: what kind of spectrogram.
        out: shape (B, F, M).
    """
    n_window = plan.window.shape[0]
    rows = np.empty(plan.turns.shape[0] * PAIR, dtype=np.float32)
    hops = np.empty(plan.hop * (LANES + (n_window - 1) // plan.hop), dtype=np.float32)
    # bin m in row m + 1: there is one more on each side for the lines that lie outside
    power = np.empty((out.shape[2] + 2) * LANES, dtype=np.float32)
    for clip in range(out.shape[0]):
        for first in range(0, out.shape[1], LANES):
            _lay_out(waveform[clip], first * plan.hop, plan.hop, hops)
            _cut(hops, plan, rows)
            rows[n_window * LANES :] = np.float32(0)
            _transform(rows, plan.turns)
            _sum_powers(rows, plan, power)
            _take_logarithms(power, plan, out[clip, first : first + LANES])


@compiled
def _lay_out(waveform: Float32, begin: int, hop: int, hops: Float32) -> None:
    """Write the hops of some frames in columns, so that the same samples of neighbouring frames are adjacent."""
    width = hops.shape[0] // hop
    for column in range(width):
        stretch = waveform[begin + column * hop : begin + (column + 1) * hop]
        for n in range(stretch.shape[0]):
            hops[np.uintp(n * width + column)] = stretch[n]
        for n in range(stretch.shape[0], hop):
            hops[n * width + column] = np.float32(0)


@compiled
def _means(hops: Float32, n_window: int, hop: int, out: Float32) -> None:
    """Mean of each frame, from the sums of whole hops and that of the beginning of its last hop."""
    width = hops.shape[0] // hop
    total, beginning = np.zeros((2, width), dtype=np.float32)
    for n in range(hop):
        row = hops[n * width : (n + 1) * width]
        for column in range(width):
            total[column] += row[column]
        if n + 1 == n_window % hop:
            beginning[:] = total
    for lane in range(LANES):
        sum_ = beginning[lane + width - LANES] if n_window % hop else np.float32(0)
        for column in range(n_window // hop):
            sum_ += total[lane + column]
        out[lane] = sum_ / np.float32(n_window)


@compiled
def _cut(hops: Float32, plan: Plan, rows: Float32) -> None:
    """Cut frames, one in each lane: DC removed, pre-emphasised, windowed."""
    n_window, hop = plan.window.shape[0], plan.hop
    width = hops.shape[0] // hop
    share = np.float32(plan.preemphasis)
    offset = np.empty(LANES, dtype=np.float32)
    _means(hops, n_window, hop, offset)
    for lane in range(LANES):
        offset[lane] *= np.float32(1) - share
    before = 0
    for column in range(width - LANES + 1):
        for r in range(min(hop, n_window - column * hop)):
            n, now = column * hop + r, r * width + column
            target, here, previous = (
                rows[n * LANES : (n + 1) * LANES],
                hops[now : now + LANES],
                hops[before : before + LANES],
            )
            weight = plan.window[n]
            for lane in range(LANES):
                target[lane] = (here[lane] - share * previous[lane] - offset[lane]) * weight
            before = now


@compiled
def _transform(rows: Float32, turns: NDArray[np.complex64]) -> None:
    """Fourier transform of N complex numbers in each lane, in place; row r then holds the frequency of `frequencies`.

    Real parts and imaginary parts of number n are the samples 2 n and 2 n + 1 of a frame. The distances are written
    out, so that the compiler sees that the rows of a step do not overlap and need no checks.
    """
    n = turns.shape[0]
    if n == FFT_LENGTHS[2] // 2:
        _quarter(rows, turns, 256)
    if n == FFT_LENGTHS[1] // 2:
        _quarter(rows, turns, 128)
    if n != FFT_LENGTHS[1] // 2:
        _quarter(rows, turns, 64)
        _quarter(rows, turns, 16)
        _quarter(rows, turns, 4)
        _quarter(rows, turns, 1)
    else:
        _quarter(rows, turns, 32)
        _quarter(rows, turns, 8)
        _quarter(rows, turns, 2)
        _halve(rows)


@inlined
def _quarter(rows: Float32, turns: NDArray[np.complex64], distance: int) -> None:
    """One step with radix 4, decimation in frequency, over rows that are so far apart.

    Source: Gentleman and Sande (1966).
    """
    step = turns.shape[0] // (4 * distance)
    apart = distance * PAIR
    for block in range(step):
        for j in range(distance):
            turn1, turn2, turn3 = turns[j * step], turns[2 * j * step], turns[3 * j * step]
            first = (4 * block * distance + j) * PAIR
            for lane in range(LANES):
                a, b = np.uintp(first + lane), np.uintp(first + apart + lane)
                c, d = np.uintp(first + 2 * apart + lane), np.uintp(first + 3 * apart + lane)
                sum_re, sum_im = rows[a] + rows[c], rows[a + IMAG] + rows[c + IMAG]
                gap_re, gap_im = rows[a] - rows[c], rows[a + IMAG] - rows[c + IMAG]
                sum2_re, sum2_im = rows[b] + rows[d], rows[b + IMAG] + rows[d + IMAG]
                gap2_re, gap2_im = rows[b] - rows[d], rows[b + IMAG] - rows[d + IMAG]
                rows[a], rows[a + IMAG] = sum_re + sum2_re, sum_im + sum2_im
                re, im = gap_re + gap2_im, gap_im - gap2_re
                rows[b], rows[b + IMAG] = re * turn1.real - im * turn1.imag, re * turn1.imag + im * turn1.real
                re, im = sum_re - sum2_re, sum_im - sum2_im
                rows[c], rows[c + IMAG] = re * turn2.real - im * turn2.imag, re * turn2.imag + im * turn2.real
                re, im = gap_re - gap2_im, gap_im + gap2_re
                rows[d], rows[d + IMAG] = re * turn3.real - im * turn3.imag, re * turn3.imag + im * turn3.real


@compiled
def _halve(rows: Float32) -> None:
    """Last step with radix 2, over neighbouring rows."""
    for first in range(0, rows.shape[0], 2 * PAIR):
        for k in range(PAIR):
            a, b = rows[first + k], rows[first + PAIR + k]
            rows[first + k], rows[first + PAIR + k] = a + b, a - b


@compiled
def _sum_powers(rows: Float32, plan: Plan, power: Float32) -> None:
    """Compute the power of real frames from the transform of their pairs of samples, and sum it in mel bins."""
    n = plan.turns.shape[0]
    lines = np.empty(PAIR, dtype=np.float32)
    power[:] = np.float32(0)
    quarter = np.float32(0.25)
    for k in range(n // 2 + 1):
        # lines k and n - k come from the even and odd part of the same two rows
        here, there = plan.places[k] * PAIR, plan.places[(n - k) % n] * PAIR
        turn = plan.half_turns[k]
        for lane in range(LANES):
            a, b = np.uintp(here + lane), np.uintp(there + lane)
            even_re, even_im = rows[a] + rows[b], rows[a + IMAG] - rows[b + IMAG]
            odd_re, odd_im = rows[a + IMAG] + rows[b + IMAG], rows[b] - rows[a]
            turned_re = odd_re * turn.real - odd_im * turn.imag
            turned_im = odd_re * turn.imag + odd_im * turn.real
            re, im = even_re + turned_re, even_im + turned_im
            lines[lane] = quarter * (re * re + im * im)
            re, im = even_re - turned_re, even_im - turned_im
            lines[lane + LANES] = quarter * (re * re + im * im)
        _add_line(lines, 0, plan, k, power)
        if k != n - k:
            _add_line(lines, LANES, plan, n - k, power)


@inlined
def _add_line(lines: Float32, begin: int, plan: Plan, number: int, power: Float32) -> None:
    """Add the power of a line to its two bins."""
    first = (plan.lower[number] + 1) * LANES
    down, up = plan.falling[number], plan.rising[number]
    for lane in range(LANES):
        a = np.uintp(first + lane)
        power[a] += down * lines[begin + lane]
        power[a + IMAG] += up * lines[begin + lane]


@compiled
def _take_logarithms(power: Float32, plan: Plan, out: Float32) -> None:
    """Write the normalised logarithms of the bins, frame by frame."""
    least, shift, gain = np.float32(plan.floor), np.float32(plan.mean), np.float32(plan.scale)
    for n in range(power.shape[0]):
        power[n] = (_logarithm(max(power[n], least)) - shift) * gain
    for lane in range(out.shape[0]):
        frame = out[lane]
        for m in range(frame.shape[0]):
            frame[m] = power[np.uintp((m + 1) * LANES + lane)]


@compiled
def _logarithm(x: np.float32) -> np.float32:
    """Natural logarithm of a positive number that is not denormal."""
    # a float's exponent is the whole part of its binary logarithm
    pattern = np.float32(x).view(np.int32)
    exponent = np.float32((pattern >> np.int32(23)) - np.int32(127))
    fraction = np.int32((pattern & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    high = fraction > SQRT2
    y = (fraction * np.float32(0.5) if high else fraction) - np.float32(1)
    whole = exponent + np.float32(1) if high else exponent
    rest = L0 + y * (L1 + y * (L2 + y * (L3 + y * (L4 + y * L5))))
    return y * y * (y * rest - np.float32(0.5)) + y + whole * LN2
