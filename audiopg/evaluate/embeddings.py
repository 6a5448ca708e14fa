"""Frozen features of recordings: an encoder's layers, and the statistics that any encoder has to beat."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.compute import Backend
from audiopg.data.clips import Clips
from audiopg.models.vit import Encoder
from audiopg.progress import progress

BATCH_SIZE = 64


def log_mel_statistics(spectrogram: Tensor) -> Tensor:
    """Mean and standard deviation over time of each mel bin, (B, F, M) to (B, 1, 2 M)."""
    return torch.cat([spectrogram.mean(dim=1), spectrogram.std(dim=1)], dim=1)[:, None]


def embed(clips: Clips, encoder: Encoder | None, backend: Backend, label: str) -> NDArray[np.float32]:
    """Average the features of each recording's windows.

    Args:
        clips: the recordings.
        encoder: the encoder in evaluation, or None for `log_mel_statistics`.
        backend: the device; the encoder is moved there. Evaluation is in float32 everywhere.
        label: what to call it in the progress lines.

    Returns:
        Mean and deviation over tokens, shape (N, layers, 2 D), float32; layers are as in `Encoder.layers`, or a single
        one for the statistics.
    """
    if encoder is None:
        features = log_mel_statistics
    else:
        layers = encoder.eval().to(backend.device).layers

        def features(spectrogram: Tensor) -> Tensor:
            return layers(spectrogram).flatten(2)

    return over_windows(features, clips, np.arange(len(clips)), backend, label).astype(np.float32)


@torch.no_grad()
def over_windows(
    function: Callable[[Tensor], Tensor], clips: Clips, rows: NDArray[np.int64], backend: Backend, label: str
) -> NDArray[np.float64]:
    """Average what a function makes of each recording's windows, in float32 whatever training used.

    Args:
        function: takes spectrograms, shape (B, F, M), on the backend's device, and returns one row for each.
        clips: all recordings.
        rows: numbers of the recordings that are wanted, shape (N,).
        backend: the device.
        label: what to call it in the progress lines.

    Returns:
        Shape (N, …), float64.
    """
    batches = clips.windows(rows, BATCH_SIZE)
    sums: list[NDArray[np.float64]] = []
    for numbers, offsets in progress(batches, label, total=len(batches), per_item=BATCH_SIZE):
        values = function(clips.batch(rows[numbers].tolist(), offsets).to(backend.device)).double().cpu().numpy()
        for number, value in zip(numbers, values, strict=True):
            if number == len(sums):
                sums.append(value)
            else:
                sums[number] += value
    n_windows = [len(clips.offsets(row)) for row in rows.tolist()]
    return np.stack([total / count for total, count in zip(sums, n_windows, strict=True)])
