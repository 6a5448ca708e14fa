"""Activations of encoders for a corpus: every layer and pooling, computed once, kept on disk for all analyses."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiopg.analysis.corpora.synthetic import Corpus
from audiopg.arrays import Float32
from audiopg.features.logmel import LogMel
from audiopg.models.vit import Encoder

BATCH_SIZE = 50


@torch.no_grad()
def activations(corpus: Corpus, encoders: Mapping[str, Encoder], log_mel: LogMel, folder: Path) -> dict[str, Float32]:
    """Render a corpus once and embed it with all encoders, and as log-mel statistics.

    Args:
        corpus: N clips, on the encoders' device.
        encoders: by name, in evaluation.
        log_mel: the features, on the same device.
        folder: where the arrays lie, so that memory does not bound the number of clips.

    Returns:
        Per encoder, and for ``logmel_stats``, an array in a file, shape (N, layers, 2, D), float32, from `layers`.
    """
    out: dict[str, Float32] = {}
    for first in range(0, len(corpus), BATCH_SIZE):
        last = min(first + BATCH_SIZE, len(corpus))
        spectrogram = log_mel(corpus.waveforms(first, last))
        parts = {name: encoder.layers(spectrogram) for name, encoder in encoders.items()}
        parts["logmel_stats"] = log_mel_statistics(spectrogram)
        for name, part in parts.items():
            if name not in out:
                shape = (len(corpus), *part.shape[1:])
                out[name] = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
            out[name][first:last] = part.cpu().numpy()
    return out


def log_mel_statistics(spectrogram: Tensor) -> Tensor:
    """Mean and standard deviation over time of each mel bin as a single layer, (B, F, M) to (B, 1, 2, M)."""
    mean, deviation = spectrogram.mean(dim=1), spectrogram.std(dim=1, correction=0)
    return torch.stack([mean, deviation], dim=1)[:, None]
