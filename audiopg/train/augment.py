"""Augmentation for fine-tuning; every draw has an address."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from audiopg.data.clips import Clips


def random_offsets(clips: "Clips", rows: Sequence[int], shift: int, draw: NDArray[np.float64]) -> list[int]:
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


def mixup(  # noqa: PLR0913
    spectrograms: Tensor,
    targets: Tensor,
    alpha: float,
    draw: np.random.Generator,
    *,
    blend: Callable[[Tensor, Tensor, float], Tensor],
    union: bool,
) -> tuple[Tensor, Tensor]:
    """Blend each example with another one of the batch.

    Args:
        spectrograms: shape (B, F, M).
        targets: labels, shape (B, C).
        alpha: both parameters of the Beta distribution of the share; 0 leaves the batch as it is.
        draw: source of the shares and of the pairing.
        blend: returns the spectrogram of (1 - share) of its first and share of its second argument.
        union: whether a blend has the labels of both, as in sounds that are heard together; else each label has its
            share.

    Differs from the paper: mixup only; the release alternates it with CutMix on ESC-50.
    Source: Zhang et al. (2018), one share per batch.
    """
    if alpha == 0:
        return spectrograms, targets
    share = 1 - float(draw.beta(alpha, alpha))
    partner = torch.from_numpy(draw.permutation(len(targets))).to(targets.device)
    both = torch.maximum(targets, targets[partner]) if union else torch.lerp(targets, targets[partner], share)
    return blend(spectrograms, spectrograms[partner], share), both


def drop_path(rate: float, depth: int, batch_size: int, draw: np.random.Generator) -> Tensor | None:
    """Draw the factors of the residual branches, shape (depth, 2, B), or None when nothing is dropped.

    The rate rises linearly over the blocks from 0 to ``rate``; kept branches are scaled so that the mean stays.
    Source: Huang et al. (2016).
    """
    if rate == 0:
        return None
    rates = np.linspace(0, rate, depth)[:, None, None]
    kept = draw.random((depth, 2, batch_size)) >= rates
    return torch.from_numpy((kept / (1 - rates)).astype(np.float32))
