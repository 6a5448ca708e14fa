"""Augmentation for fine-tuning; every draw has an address."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiopg import config
from audiopg.arrays import Float64

if TYPE_CHECKING:
    from audiopg.data.clips import Clips


def random_offsets(clips: "Clips", rows: Sequence[int], shift: int, draw: Float64) -> list[int]:
    """Draw where the window of each recording begins.

    A recording longer than the window is cut anywhere; each may also be moved by up to ``shift`` frames later in time.

    Args:
        clips: the recordings.
        rows: numbers of the recordings, B of them.
        shift: largest shift in frames.
        draw: uniform numbers in [0, 1), shape (B,).
    """
    slack = np.array([clips.n_frames(row) - clips.window for row in rows])
    offsets: list[int] = (np.floor(draw * (slack + shift + 1)).astype(int) - shift).tolist()
    return offsets


def mixup(
    spectrograms: Tensor,
    targets: Tensor,
    alpha: float,
    draw: np.random.Generator,
    blend: Callable[[Tensor, Tensor, float], Tensor],
) -> tuple[Tensor, Tensor]:
    """Blend each example with another one of the batch; labels are blended with the same share.

    Args:
        spectrograms: shape (B, F, M).
        targets: labels, shape (B, C).
        alpha: both parameters of the Beta distribution of the share; 0 leaves the batch as it is.
        draw: source of the shares and of the pairing.
        blend: returns the spectrogram of (1 - share) of its first and share of its second argument.

    Source: Zhang et al. (2018), one share per batch.
    """
    if alpha == 0:
        return spectrograms, targets
    share = 1 - float(draw.beta(alpha, alpha))
    partner = torch.from_numpy(draw.permutation(len(targets))).to(targets.device)
    return blend(spectrograms, spectrograms[partner], share), torch.lerp(targets, targets[partner], share)


def cutmix(spectrograms: Tensor, targets: Tensor, alpha: float, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Replace a rectangle of time and frequency of each example by that of another one of the batch.

    The rectangle has the spectrogram's proportions and its centre anywhere, and is cut at the edges; the share of a
    label is the area that is actually replaced, not the one that was drawn.

    Args:
        spectrograms: shape (B, F, M).
        targets: labels, shape (B, C).
        alpha: both parameters of the Beta distribution of the share, above 0.
        draw: source of the share, the pairing and the rectangle.

    Source: Yun et al. (2019), one rectangle per batch.
    """
    n_frames, n_mels = spectrograms.shape[1:]
    side = (1 - float(draw.beta(alpha, alpha))) ** 0.5
    partner = torch.from_numpy(draw.permutation(len(targets)))
    frames, mels = _span(n_frames, side, draw.random()), _span(n_mels, side, draw.random())
    mixed = spectrograms.clone()
    mixed[:, frames, mels] = spectrograms[partner, frames, mels]
    share = (frames.stop - frames.start) * (mels.stop - mels.start) / (n_frames * n_mels)
    return mixed, torch.lerp(targets, targets[partner], share)


def _span(length: int, side: float, draw: float) -> slice:
    """Return the part of an axis that a rectangle covers: ``side`` of it around a cell drawn by a number in [0, 1)."""
    width = round(side * length)
    start = int(draw * length) - width // 2
    return slice(max(start, 0), min(start + width, length))


def spec_augment(spectrograms: Tensor, recipe: config.Finetune, silence: float, draw: np.random.Generator) -> Tensor:
    """Silence some bands of time and of frequency, drawn for each example.

    Masked cells get the value of digital silence, as do the frames beyond a recording's ends. So a mask only removes
    sound. The 0 of the original is here the mean level of the corpus, far above silence, and would be a loud band in a
    quiet recording.

    Args:
        spectrograms: normalised log-mel, shape (B, F, M).
        recipe: number and largest width of the masks.
        silence: value of a bin of a digitally silent frame.
        draw: source of the masks.

    Source: Park et al. (2019), without its time warping; widths uniform from 0 to the largest, then places uniform.
    """
    if recipe.n_time_masks == recipe.n_mel_masks == 0:
        return spectrograms
    batch_size, n_frames, n_mels = spectrograms.shape
    times = _masks(recipe.n_time_masks, recipe.time_mask_frames, (batch_size, n_frames), draw)
    bins = _masks(recipe.n_mel_masks, recipe.mel_mask_bins, (batch_size, n_mels), draw)
    return spectrograms.masked_fill(times[:, :, None] | bins[:, None, :], silence)


def _masks(count: int, widest: int, shape: tuple[int, int], draw: np.random.Generator) -> Tensor:
    """Draw which cells of an axis ``count`` masks cover, shape (B, cells) as given, bool."""
    batch_size, length = shape
    widths = draw.integers(0, widest + 1, (batch_size, count, 1))
    starts = np.floor(draw.random((batch_size, count, 1)) * (length - widths + 1))
    cells = np.arange(length)
    return torch.from_numpy(((cells >= starts) & (cells < starts + widths)).any(axis=1))
