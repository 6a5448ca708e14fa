"""How far the heads of an encoder look, in time and in frequency."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from audiopg.analysis.pictures.factors import ENCODERS
from audiopg.models.vit import Block, Encoder
from audiopg.plotting import both, ink

BATCH_SIZE = 4  # clips whose attention is held at once
UNIFORM = "uniform"
AXES = {"time_ms": "time (ms)", "mel_bins": "frequency (mel bins)"}


def weights(block: Block, x: Tensor) -> Tensor:
    """Return how much each token (rows) of a block attends to each (columns).

    Args:
        block: of the encoder.
        x: tokens before the block, shape (B, L, D).

    Returns:
        Shape (B, heads, L, L), in [0, 1], rows add to 1.
    """
    batch, length, width = x.shape
    qkv = block.qkv(block.norm_attention(x)).view(batch, length, 3, block.n_heads, width // block.n_heads)
    query, key, _ = qkv.permute(2, 0, 3, 1, 4)
    out: Tensor = (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)
    return out


def spans(encoder: Encoder, n_frames: int, n_mels: int, hop_ms: float) -> Tensor:
    """Return the distances between the patches of a spectrogram, in ms and in mel bins, shape (2, L, L)."""
    patch_frames, patch_mels = encoder.config.patch_frames, encoder.config.patch_mels
    time, frequency = np.indices((n_frames // patch_frames, n_mels // patch_mels)).reshape(2, -1)
    places = np.stack([time * patch_frames * hop_ms, frequency * float(patch_mels)])
    return torch.from_numpy(np.abs(places[:, :, None] - places[:, None, :])).float()


@torch.no_grad()
def distances(encoders: Mapping[str, Encoder], spectrogram: Tensor, hop_ms: float) -> pd.DataFrame:
    """Return the mean distance at which each head attends: over clips and tokens, weighted by the attention.

    Args:
        encoders: by name, of one size, on the spectrogram's device.
        spectrogram: normalised log-mel, shape (B, F, M).
        hop_ms: time between two frames.

    Returns:
        Columns ``encoder, layer, head, time_ms, mel_bins``; block k is layer k, counted from 1, as the tokens after it
        are in `Encoder.layers`; heads count from 0. The encoder ``uniform`` attends to all patches alike.
    Source: Dosovitskiy et al. (2021), their figure 7; here time and frequency apart.
    """
    rows: list[tuple[str, int, int, float, float]] = []
    for name, encoder in encoders.items():
        far = spans(encoder, spectrogram.shape[1], spectrogram.shape[2], hop_ms).to(spectrogram.device)
        depth, n_heads = encoder.size.depth, encoder.size.n_heads
        mean = torch.zeros(depth, n_heads, 2, dtype=torch.float64)
        for clips in torch.split(spectrogram, BATCH_SIZE):
            x = encoder.tokens(clips)
            for layer, block in enumerate(encoder.blocks):
                mean[layer] += (
                    torch.einsum("bhqk,aqk->ha", weights(cast("Block", block), x), far).double().cpu() / far.shape[1]
                )
                x = block(x)
        mean /= len(spectrogram)
        rows += [(name, layer + 1, head, *mean[layer, head].tolist()) for layer, head in np.ndindex(depth, n_heads)]
    uniform = far.double().mean(dim=(1, 2)).tolist()
    rows += [(UNIFORM, layer + 1, 0, *uniform) for layer in range(depth)]
    return pd.DataFrame(rows, columns=["encoder", "layer", "head", "time_ms", "mel_bins"])


def picture(table: pd.DataFrame, path: Path) -> None:
    """Draw the distance of each head against depth, in time and in frequency.

    Args:
        table: as `distances` makes it, of ``pretrained`` and ``random``.
        path: PNG file of the light version.
    """

    def draw() -> Figure:
        figure = Figure(figsize=(8.2, 3.5), layout="constrained")
        panels = figure.subplots(1, len(AXES))
        for panel, (column, name) in zip(panels, AXES.items(), strict=True):
            for shift, (encoder, (title, colour, marker)) in zip((-0.1, 0.1), ENCODERS.items(), strict=True):
                rows = table[table["encoder"] == encoder]
                panel.plot(rows["layer"] + shift, rows[column], marker, color=colour, markersize=4, label=title)
            line = table[table["encoder"] == UNIFORM]
            panel.axhline(line[column].iloc[0], color=ink(), linestyle="--", linewidth=1, label="uniform attention")
            panel.set(xlabel="layer", ylabel=f"mean distance in\n{name}", ylim=(0, 1.08 * table[column].max()))
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(alpha=0.4)
        figure.legend(
            *panels[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside upper center", fontsize=9
        )
        return figure

    both(path, draw)
