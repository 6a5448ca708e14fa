"""Frozen features of recordings: an encoder's layers, and the statistics that any encoder has to beat."""

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


@torch.no_grad()
def embed(clips: Clips, encoder: Encoder | None, backend: Backend, label: str) -> NDArray[np.float32]:
    """Average the features of each recording's windows.

    Args:
        clips: the recordings.
        encoder: the encoder in evaluation, or None for `log_mel_statistics`.
        backend: the device; the encoder is moved there. Evaluation is in float32 everywhere.
        label: what to call it in the progress lines.

    Returns:
        Shape (N, layers, D); layers are as in `Encoder.layers`, or a single one for the statistics.
    """
    features = log_mel_statistics if encoder is None else encoder.eval().to(backend.device).layers
    batches = clips.all_windows(BATCH_SIZE)
    parts: list[NDArray[np.float32]] = []
    owners: list[int] = []
    for rows, offsets in progress(batches, label, total=len(batches), per_item=BATCH_SIZE):
        values = features(clips.batch(rows, offsets).to(backend.device))
        parts.append(values.cpu().numpy())
        owners += rows
    windows = np.concatenate(parts)
    sums = np.zeros((len(clips), *windows.shape[1:]), dtype=np.float32)
    np.add.at(sums, owners, windows)
    sums /= np.bincount(owners)[:, None, None]
    return sums
