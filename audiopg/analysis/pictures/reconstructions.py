"""Reconstructions of hidden patches by the masked autoencoder, as spectrograms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from audiopg import config, tensors
from audiopg.arrays import Float64
from audiopg.errors import AudiopgError
from audiopg.features.logmel import mel
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import Encoder
from audiopg.philox import uniforms
from audiopg.plotting import GREY, both

MASK_STREAM = "latent/mask"
TICKS_KHZ = (0.1, 0.3, 1, 3, 8)
COLUMNS = ["clip", "frame", "mel", "original_db", "reconstructed_db", "masked"]
RANGE_DB = 80  # shown below the strongest bin of a clip


@dataclass(frozen=True)
class Reconstruction:
    """Spectrograms in the model's normalisation, B clips."""

    original: Tensor
    """What was heard, shape (B, F, M)."""
    pasted: Tensor
    """The same with the hidden patches as predicted, shape (B, F, M)."""
    masked: Tensor
    """Where it was hidden, bool, shape (B, F, M)."""
    loss: Tensor
    """Mean squared error over the hidden patches of each clip, in the target's normalisation, shape (B,)."""


def load(path: Path, encoder: config.Encoder, pretrain: config.Pretrain) -> MaskedAutoencoder | None:
    """Read the masked autoencoder that a pre-training has written, without heads.

    None where the pre-training reconstructed nothing.

    Raises:
        AudiopgError: the file is missing or damaged, or was made for another size.
    """
    if not pretrain.objectives.reconstruction:
        return None
    found, _ = tensors.read(path)
    weights = {name: tensor for name, tensor in found.items() if not name.startswith(("physics.", "projection."))}
    model = MaskedAutoencoder(encoder, pretrain.decoder, pretrain.mask_ratio)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        msg = f"{path}: {' '.join(str(error).split())}; pre-train again"
        raise AudiopgError(msg) from None
    return model.eval()


def unpatch(patches: Tensor, encoder: Encoder, n_mels: int) -> Tensor:
    """Lay patches out as a spectrogram again: the inverse of `Encoder.patches`.

    Args:
        patches: shape (B, L, patch_frames · patch_mels).
        encoder: knows the size of a patch.
        n_mels: M.

    Returns:
        Shape (B, F, M).
    """
    frames, mels = encoder.config.patch_frames, encoder.config.patch_mels
    grid = patches.reshape(len(patches), -1, n_mels // mels, frames, mels)
    return grid.permute(0, 1, 3, 2, 4).reshape(len(patches), -1, n_mels)


@torch.no_grad()
def reconstruct(model: MaskedAutoencoder, spectrogram: Tensor, indices: Sequence[int], seed: int) -> Reconstruction:
    """Hide patches of some clips and reconstruct them.

    A prediction is in units of its own patch. Its mean and standard deviation are taken from the original, as in the
    pictures of MAE's authors: the level of a hidden patch is given, its shape is predicted.

    Args:
        model: the masked autoencoder, with a decoder.
        spectrogram: normalised log-mel, shape (B, F, M).
        indices: numbers of the clips, which name their masks.
        seed: names the masks, with the numbers.
    """
    patches = model.encoder.patches(spectrogram)
    noise = torch.from_numpy(uniforms(seed, MASK_STREAM, indices, patches.shape[1])).to(spectrogram.device)
    _, prediction, masked, *_ = model(spectrogram, noise)
    assert prediction is not None  # it has a decoder
    error = (prediction - model.target(spectrogram)).square().mean(dim=-1)
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    hidden = masked.bool()[..., None].expand_as(patches)
    pasted = torch.where(hidden, prediction * (variance + 1e-6).sqrt() + mean, patches)
    n_mels = spectrogram.shape[2]
    return Reconstruction(
        spectrogram,
        unpatch(pasted, model.encoder, n_mels),
        unpatch(hidden, model.encoder, n_mels),
        (error * masked).sum(dim=1) / masked.sum(dim=1),
    )


def table(found: Reconstruction | None, indices: Sequence[int], features: config.Features) -> pd.DataFrame:
    """Tabulate reconstructions in dB of power, a row per clip, frame and mel bin; none where there is nothing.

    Returns:
        Columns ``clip, frame, mel, original_db, reconstructed_db, masked``, rounded to 0.1 dB.
    """

    def decibels(spectrogram: Tensor) -> Float64:
        log_power = spectrogram.double().cpu().numpy() * 2 * features.norm_std + features.norm_mean
        values: Float64 = (log_power * 10 / math.log(10)).round(1).ravel()
        return values

    if found is None:
        return pd.DataFrame(columns=COLUMNS)
    clip, frame, bin_ = (axis.ravel() for axis in np.indices(found.original.shape))
    return pd.DataFrame(
        {
            "clip": np.asarray(indices)[clip],
            "frame": frame,
            "mel": bin_,
            "original_db": decibels(found.original),
            "reconstructed_db": decibels(found.pasted),
            "masked": found.masked.cpu().numpy().ravel(),
        }
    )


def picture(table: pd.DataFrame, features: config.Features, path: Path) -> None:
    """Draw the original, what the encoder sees, and the reconstruction, a row per clip; or say that there is none.

    Args:
        table: as `table` makes it.
        features: where frames and mel bins lie in time and frequency.
        path: PNG file of the light version.
    """
    clips = list(table.groupby("clip", sort=False))
    edges_mel = mel(np.array([features.f_min_hz, features.f_max_hz]))
    ticks = np.array([tick for tick in TICKS_KHZ if 1000 * tick <= features.f_max_hz])
    # bin m is centred on the (m + 1)-th of the M + 1 equal steps between the edges
    bins = (mel(1000 * ticks) - edges_mel[0]) / np.diff(edges_mel) * (features.n_mels + 1) - 1

    def draw() -> Figure:
        figure = Figure(figsize=(9.0, 1.75 * len(clips) + 0.9), layout="constrained")
        panels = figure.subplots(len(clips), 3, squeeze=False, sharex=True, sharey=True)
        colours = colormaps["viridis"].with_extremes(bad=GREY)
        for line, (clip, rows) in zip(panels, clips, strict=True):
            shape = rows["frame"].nunique(), rows["mel"].nunique()
            original, predicted, masked = (
                rows[column].to_numpy().reshape(shape) for column in ("original_db", "reconstructed_db", "masked")
            )
            loudest = original.max()
            for panel, field in zip(line, (original, np.where(masked, np.nan, original), predicted), strict=True):
                image = panel.imshow(
                    (field - loudest).T,
                    origin="lower",
                    aspect="auto",
                    extent=(0.0, shape[0] * features.hop_ms / 1000, -0.5, shape[1] - 0.5),
                    vmin=-RANGE_DB,
                    vmax=0,
                    cmap=colours,
                    interpolation="nearest",
                )
                panel.set_yticks(bins, [f"{tick:g}" for tick in ticks])
                panel.tick_params(labelsize=7)
            line[0].set_ylabel(f"clip {clip}\nfrequency (kHz)", fontsize=8)
        for panel, title in zip(panels[0], ("original", "visible to the encoder", "reconstruction"), strict=True):
            panel.set_title(title, fontsize=9)
        bar = figure.colorbar(image, ax=panels, pad=0.02, aspect=12 * len(clips))
        bar.set_label("level re the strongest bin (dB)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        caption = "each hidden patch is predicted up to its mean and deviation, which are the original's"
        figure.supxlabel(f"time (s)\n{caption}", fontsize=8)
        return figure

    def draw_none() -> Figure:
        figure = Figure(figsize=(9.0, 0.9))
        figure.text(0.5, 0.5, "pre-training reconstructed nothing: it has no decoder", ha="center", va="center")
        return figure

    both(path, draw if clips else draw_none)
