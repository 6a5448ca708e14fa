"""Frozen features of recordings: an encoder's layers, and the statistics that any encoder has to beat."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from audiopg.arrays import Float32, Float64, Int64
from audiopg.compute import Backend
from audiopg.data.clips import Clips
from audiopg.models.vit import Encoder
from audiopg.progress import progress

BATCH_SIZE = 64


def log_mel_statistics(spectrogram: Tensor) -> Tensor:
    """Mean and standard deviation over time of each mel bin as a single layer, (B, F, M) to (B, 1, 2, M)."""
    mean, deviation = spectrogram.mean(dim=1), spectrogram.std(dim=1, correction=0)
    return torch.stack([mean, deviation], dim=1)[:, None]


def embed(clips: Clips, encoder: Encoder | None, backend: Backend, label: str) -> Float32:
    """Pool the features of each recording over all of its windows.

    The deviation is that of the whole recording: what differs between windows counts in it.

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
        layers, shape = log_mel_statistics, (1, clips.frames.shape[1])
    else:
        layers, shape = encoder.eval().to(backend.device).layers, (len(encoder.blocks) + 2, encoder.size.width)

    def moments(spectrogram: Tensor) -> Tensor:
        mean, deviation = layers(spectrogram).double().unbind(dim=2)
        return torch.stack([mean, mean.square() + deviation.square()], dim=1)

    # large tasks have gigabytes of it
    found = np.empty((len(clips), shape[0], 2, shape[1]), dtype=np.float32)
    for row, (mean, square) in enumerate(over_windows(moments, clips, np.arange(len(clips)), backend, label)):
        found[row, :, 0] = mean
        found[row, :, 1] = np.sqrt(np.maximum(square - np.square(mean), 0))
    return found.reshape(len(clips), shape[0], 2 * shape[1])


@torch.no_grad()
def over_windows(
    function: Callable[[Tensor], Tensor], clips: Clips, rows: Int64, backend: Backend, label: str
) -> Iterator[Float64]:
    """Average a function over the windows of each recording, in float32 for any precision of training.

    Args:
        function: takes spectrograms, shape (B, F, M), on the backend's device, and returns one row for each.
        clips: all recordings.
        rows: numbers of the recordings that are wanted.
        backend: the device.
        label: what to call it in the progress lines.

    Yields:
        The average of each of ``rows``, in their order.
    """
    batches = clips.windows(rows, BATCH_SIZE)
    waiting: list[Float64] = []
    for numbers, offsets in progress(batches, label, total=len(batches), per_item=BATCH_SIZE):
        values = function(clips.batch(rows[numbers].tolist(), offsets).to(backend.device)).double().cpu().numpy()
        for row, value in zip(rows[numbers].tolist(), values, strict=True):
            waiting.append(value)
            if len(waiting) == len(clips.offsets(row)):
                yield np.mean(waiting, axis=0)
                waiting = []
