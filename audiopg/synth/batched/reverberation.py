"""A room around clips: reflections and a feedback delay network, as a product of spectra."""

import math
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from audiopg.arrays import Int64
from audiopg.compute import sent
from audiopg.synth.room import N_LOOPS, Room

# What comes round from the end of a transform to its beginning is weaker by this factor; so is what rounding adds.
WRAPPED = 1e-8
# Transforms of a single row, or of fewer samples, may be computed in another way, with another last bit.
LEAST_ROWS, LEAST_LENGTH = 2, 256
SIGNS = np.tile([1.0, -1.0], N_LOOPS // 2)  # with which the loops are heard
N_PATHS = 8  # the direct sound and the reflections, filled up to a power of two


def reverberate(dry: Tensor, room: Room) -> Tensor:
    """Add reflections and tail to clips.

    The room has a memory that may last longer than the clip. So the clip is multiplied by a falling exponential before
    the fast Fourier transform, and by the rising one after the inverse: spectra lie on a circle outside the unit
    circle, where all echoes fade. What is left of them at the end of the clip comes round to its beginning, but 160 dB
    weaker; rounding errors rise with the exponential, and end 160 dB below the clip.

    Args:
        dry: shape (B, T).
        room: of these clips.

    Returns:
        Wet clips, shape (B, T), float64.
    """
    n_clips, n_samples = dry.shape
    length = _fast_length(max(n_samples, LEAST_LENGTH))
    damping = -math.log(WRAPPED) / length
    fade = torch.arange(n_samples, dtype=torch.float64, device=dry.device) * damping
    fading = pad(dry * fade.neg().exp(), (0, length - n_samples, 0, max(LEAST_ROWS - n_clips, 0)))
    spectrum = torch.fft.rfft(fading)
    wet = spectrum * pad(_response(room, length, damping, dry.device), (0, 0, 0, len(spectrum) - n_clips))
    answer: Tensor = torch.fft.irfft(wet, n=length)[:n_clips, :n_samples]
    return answer * fade.exp()


def _response(room: Room, length: int, damping: float, device: torch.device) -> Tensor:
    """Return what each frequency of the dry sound is multiplied by, shape (B, length / 2 + 1), complex128.

    With ``D_i`` the response of loop i from its beginning to its end, a sound that enters all loops equally comes back
    as ``L_i = D_i / (1 - D_i)`` if no loop hears another. The mirror at the plane of equal parts gives every loop the
    same, ``-2/N`` times the sum of what arrives. So the network answers ``Σ ±L_i / √N / (1 + 2/N Σ L_i)``: no sample
    has to wait for the one before.
    """
    n_clips, n_reflections = room.reflection_delay.shape
    direct = np.zeros((n_clips, N_PATHS - n_reflections))
    direct[:, 0] = 1
    one = np.ones((n_clips, 1), dtype=np.int64)
    delay = np.concatenate([direct.astype(np.int64) * 0, room.reflection_delay, room.loop_delay, one], axis=1)
    gain = np.concatenate([direct, room.reflection_gain, room.loop_gain, one], axis=1) * np.exp(-damping * delay)
    delayed = _delayed(delay, gain, length, device)
    paths, loops, by_one = delayed[:, :N_PATHS], delayed[:, N_PATHS:-1], delayed[:, -1:]
    columns = np.stack([room.treble_damping, room.late_gain / math.sqrt(N_LOOPS)])
    treble_damping, late_gain = _sent(columns, device)[..., None].unbind()
    arriving = loops * (1 - treble_damping[:, None] + treble_damping[:, None] * by_one)
    # in real numbers, as torch takes long to divide complex ones: D / (1 - D) = (D - |D|²) / |1 - D|²
    real, imag = arriving.real, arriving.imag
    power = real * real + imag * imag
    beside = 1 - 2 * real + power
    turning = torch.complex((real - power) / beside, imag / beside)
    heard = sum_of_halves(turning * _sent(SIGNS, device)[:, None])
    tail = late_gain * heard / (1 + sum_of_halves(turning) * (2 / N_LOOPS))
    return sum_of_halves(paths) + tail


def _delayed(delay: Int64, gain: NDArray[np.float64], length: int, device: torch.device) -> Tensor:
    """Return the spectra of delayed impulses, shape (B, N) to (B, N, length / 2 + 1).

    As in `oscillators.sinusoids`, a product of two short tables; turns are whole parts of the length.
    """
    n_bins = length // 2 + 1
    n_inside = math.isqrt(n_bins)
    inside, first = np.arange(n_inside), np.arange(0, n_bins, n_inside)
    parts = [np.exp(-2j * np.pi / length * (delay[..., None] * bins % length)) for bins in (first, inside)]
    start, within = _sent(gain[..., None] * parts[0], device), _sent(parts[1], device)
    return (start[..., None] * within[:, :, None]).flatten(2)[..., :n_bins]


def _sent(column: NDArray[Any], device: torch.device) -> Tensor:
    return sent(torch.from_numpy(column), device)


def sum_of_halves(parts: Tensor) -> Tensor:
    """Add up parts, the upper half to the lower one, again and again.

    torch's own sum has an order that depends on the shape, and so on the other clips.

    Args:
        parts: shape (B, N, ...), N a power of two.

    Returns:
        Shape (B, ...).
    """
    while parts.shape[1] > 1:
        half = parts.shape[1] // 2
        parts = parts[:, :half] + parts[:, half:]
    return parts[:, 0]


def _fast_length(least: int) -> int:
    """Return the least even number from here on with no prime factor above 5."""
    for length in count(least + least % 2, 2):
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
    raise AssertionError
