"""What is read of an encoder's tokens as one vector: which layers, and how their tokens are pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

STATISTICS = ("mean", "deviation", "change", "largest", "smallest")
"""Of each number of a band's token over time. The change is the mean size of the difference between neighbours."""

Pooling = Literal["mean", "moments", "bands"]
"""``mean``: over all tokens, D numbers; ``moments``: mean and deviation over all tokens, 2 D; ``bands``: `STATISTICS`
over time, the bands of frequency side by side, 5 · bands · D."""


@dataclass(frozen=True)
class ReadOut:
    """Layers of an encoder, side by side, and the pooling of their tokens.

    >>> ReadOut().numbers(depth=12)
    (6,)
    """

    layers: tuple[int, ...] | None = None
    """0 is the patch embedding, then the blocks from 1 to depth, and depth + 1 is after the last norm; None is the
    block in the middle, which probes chose most often inside training folds of two tasks (docs/embeddings.md)."""
    pooling: Pooling = "bands"

    def numbers(self, depth: int) -> tuple[int, ...]:
        """Return the numbers of the layers in an encoder with so many blocks.

        Raises:
            ValueError: there is no such layer, none, one twice or out of order, or no such pooling.
        """
        layers = (depth // 2,) if self.layers is None else self.layers
        if not layers or list(layers) != sorted(set(layers) & set(range(depth + 2))):
            msg = f"layers: some of 0 to {depth + 1} in ascending order are needed, found {list(layers)}"
            raise ValueError(msg)
        if self.pooling not in get_args(Pooling):
            msg = f"pooling: {', '.join(get_args(Pooling))} are known, found {self.pooling!r}"
            raise ValueError(msg)
        return tuple(layers)


USUAL = ReadOut()


def over_time(tokens: Tensor) -> Tensor:
    """Return mean, variance, mean change, largest and smallest over time.

    Args:
        tokens: of one window, shape (B, time, bands, D).

    Returns:
        Shape (B, 5, bands, D), of the tokens' type.
    """
    mean = tokens.mean(dim=1, keepdim=True)
    variance = (tokens - mean).square().mean(dim=1)  # torch's own takes ten times as long along this axis
    change = tokens.diff(dim=1).abs().sum(dim=1) / max(tokens.shape[1] - 1, 1)
    return torch.stack([mean[:, 0], variance, change, tokens.amax(dim=1), tokens.amin(dim=1)], dim=1)


def combine_windows(windows: Tensor) -> Tensor:
    """Put the windows of one recording together: what differs between windows counts in the deviation.

    Args:
        windows: of `over_time`, shape (windows, …, 5, bands, D).

    Returns:
        `STATISTICS` of the recording, shape (…, 5, bands, D).
    """
    mean, variance, change, largest, smallest = windows.unbind(dim=-3)
    overall = mean.mean(dim=0)
    deviation = (variance + (mean - overall).square()).mean(dim=0).sqrt()
    parts = [overall, deviation, change.mean(dim=0), largest.amax(dim=0), smallest.amin(dim=0)]
    return torch.stack(parts, dim=-3)


def pool(statistics: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector for each set of `STATISTICS`, (…, 5, bands, D) to (…, P)."""
    if pooling == "bands":
        return statistics.flatten(-3)
    mean, deviation = statistics.select(-3, 0), statistics.select(-3, 1)
    overall = mean.mean(dim=-2)
    if pooling == "mean":
        return overall
    variance = (deviation.square() + (mean - overall[..., None, :]).square()).mean(dim=-2)
    return torch.cat([overall, variance.sqrt()], dim=-1)


def usual_layers(depth: int) -> Sequence[int]:
    """Number the layers that probes choose from: after each sixth of the blocks, and after the last norm.

    All encoders are read at the same ones. Words are read best after the second of twelve blocks (docs/learning.md),
    recordings of ESC-50 after the sixth to the eighth (docs/results/learning/small_esc50_16k_choices.csv).
    """
    return sorted({depth * sixth // 6 for sixth in range(1, 7)} | {depth + 1})
