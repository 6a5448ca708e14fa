"""What people hand over as waveforms: tensors, arrays and lists of numbers, checked as decoded recordings are."""

import math

import numpy as np
import soxr
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from audiopg.audio import level


def as_tensor(audio: Tensor | ArrayLike) -> Tensor:
    """Return waveforms as a tensor: arrays and lists of floating-point numbers become float32, a tensor stays itself.

    Raises:
        ValueError: it does not hold numbers, or rows of several lengths.
    """
    if isinstance(audio, Tensor):
        return audio
    try:
        array = np.array(audio)  # a copy, because torch shares memory and refuses some kinds of it
    except (TypeError, ValueError):
        array = np.array(None)
    if array.dtype.kind not in "biuf":
        msg = f"audio: numbers in rows of one length are needed, found {type(audio).__name__} of other content"
        raise ValueError(msg)
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        return torch.from_numpy(array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64))


def as_batch(audio: Tensor | ArrayLike) -> Tensor:
    """Return waveforms of one length as a tensor, shape (T,) or (B, T), of floating-point numbers.

    Raises:
        ValueError: another shape or type, no samples, or some that are not finite or far beyond full scale.
    """
    sounds = as_tensor(audio)
    if sounds.ndim not in (1, 2) or not sounds.shape[-1] or not sounds.is_floating_point():
        found = f"{str(sounds.dtype).removeprefix('torch.')} of shape {tuple(sounds.shape)}"
        msg = f"audio: floating-point numbers of shape (T,) or (B, T) are needed, found {found}"
        raise ValueError(msg)
    check_level(sounds)
    return sounds


def resampled(sound: Tensor, from_hz: float, to_hz: int) -> Tensor:
    """Convert the sample rate of one sound, shape (T,), as that of decoded recordings is converted.

    Raises:
        ValueError: a rate that is not above 0, or a sound that is too short to have a sample at the other rate.
    """
    if not 0 < from_hz < math.inf:
        msg = f"sample_rate_hz: a number above 0 is needed, found {from_hz}"
        raise ValueError(msg)
    if from_hz == to_hz:
        return sound
    converted = soxr.resample(sound.detach().cpu().float().numpy(), from_hz, to_hz, quality="HQ")
    if not len(converted):
        msg = f"audio: {len(sound)} samples at {from_hz:g} Hz are none at {to_hz} Hz: too short"
        raise ValueError(msg)
    return torch.from_numpy(converted)


def check_level(audio: Tensor) -> None:
    """Refuse samples that no recording has.

    Raises:
        ValueError: there are some that are not finite, or far beyond full scale.
    """
    if not audio.numel():
        return
    low, high = torch.aminmax(audio.detach())  # in place of the largest magnitude, which would copy hours of sound
    wrong = level.flaw(max(-low.item(), high.item()))
    if wrong:
        msg = f"audio: {wrong}"
        raise ValueError(msg)
