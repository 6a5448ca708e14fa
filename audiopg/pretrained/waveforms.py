"""What people hand over as waveforms: tensors, arrays and lists of numbers, checked as decoded recordings are."""

import numpy as np
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


def check_level(audio: Tensor) -> None:
    """Refuse samples that no recording has.

    Raises:
        ValueError: there are some that are not finite, or far beyond full scale.
    """
    wrong = level.flaw(float(audio.detach().abs().max())) if audio.numel() else ""
    if wrong:
        msg = f"audio: {wrong}"
        raise ValueError(msg)
