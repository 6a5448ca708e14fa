"""The classifier that is fine-tuned: an encoder, a pooling of its tokens and one linear layer."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from audiopg.models.vit import Encoder

if TYPE_CHECKING:
    from audiopg import config


class AttentionPooling(nn.Module):
    """Mean of the tokens with learned weights, for each head and its part of the width others.

    With one query for all clips a key projection would only turn that query; there is none, and each head's query spans
    the whole width. Queries of 0, which `initialise` sets, are the plain mean.
    Source: ours; the smallest form of the attention pooling of Lee et al. (2019).
    """

    def __init__(self, width: int, n_heads: int) -> None:
        """Build the pooling; the width is a multiple of the number of heads."""
        super().__init__()
        self.query = nn.Parameter(torch.zeros(n_heads, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens, (B, L, D) to (B, D)."""
        batch, length, width = tokens.shape
        n_heads = len(self.query)
        weights = (nn.functional.linear(tokens, self.query) / width**0.5).softmax(dim=1)
        values = tokens.view(batch, length, n_heads, width // n_heads)
        out: Tensor = (weights[..., None] * values).sum(dim=1).reshape(batch, width)
        return out


class Classifier(nn.Module):
    """Mean of the encoder's tokens, plain or weighted by attention, then a linear layer."""

    def __init__(
        self, encoder: "config.Encoder", n_classes: int, pooling: Literal["mean", "attention"] = "mean"
    ) -> None:
        """Build from the ``encoder`` section, the number of classes C and the kind of mean."""
        super().__init__()
        self.encoder = Encoder(encoder)
        size = self.encoder.size
        self.pooling = AttentionPooling(size.width, size.n_heads) if pooling == "attention" else None
        self.head = nn.Linear(size.width, n_classes)

    def forward(self, spectrogram: Tensor, keep: Tensor | None = None, visible: Tensor | None = None) -> Tensor:
        """Return logits, shape (B, C), of normalised log-mel spectrograms, shape (B, F, M).

        ``keep`` holds the drop-path factors, shape (depth, 2, B); None drops nothing. ``visible`` holds the numbers of
        the patches that are encoded and pooled, shape (B, V), int64; None takes all.
        """
        tokens = self.encoder(spectrogram, visible, keep)
        pooled = tokens.mean(dim=1) if self.pooling is None else self.pooling(tokens)
        logits: Tensor = self.head(pooled)
        return logits
