"""The classifier that is fine-tuned: an encoder, a pooling of its tokens and one linear layer."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from audiopg.models.vit import Encoder

if TYPE_CHECKING:
    from audiopg import config


FLATTEST = 1e-6  # a smaller spread is rounding error


class AttentionPooling(nn.Module):
    """Mean of the tokens with learned weights, which differ between heads; each head has its part of the width.

    With one query for all clips, a key projection would only rotate that query, so it is left out: each head's query
    spans the whole width. Queries of 0, which `initialise` sets, are the plain mean.
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
    """Mean of the encoder's tokens, plain or weighted by attention, then a linear layer.

    The layer reads the mean as it is, or less ``centre`` and over ``spread``, which do not learn: the common part of
    all clips is many times larger than their differences, and a layer on the mean itself first has to unlearn it.
    """

    centre: Tensor
    """Shape (D,)."""
    spread: Tensor
    """Shape (D,), above 0."""

    def __init__(
        self, encoder: "config.Encoder", n_classes: int, pooling: Literal["mean", "attention"] = "mean"
    ) -> None:
        """Build from the ``encoder`` section, the number of classes C and the kind of mean."""
        super().__init__()
        self.encoder = Encoder(encoder)
        size = self.encoder.size
        self.pooling = AttentionPooling(size.width, size.n_heads) if pooling == "attention" else None
        self.register_buffer("centre", torch.zeros(size.width))
        self.register_buffer("spread", torch.ones(size.width))
        self.head = nn.Linear(size.width, n_classes)

    def embedding(
        self, spectrogram: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        """Return pooled tokens, shape (B, D); arguments as `Encoder.forward`, of which all tokens are pooled."""
        tokens = self.encoder(spectrogram, visible, drop_path_scale)
        pooled: Tensor = tokens.mean(dim=1) if self.pooling is None else self.pooling(tokens)
        return pooled

    @torch.no_grad()
    def standardise(self, embeddings: Tensor) -> None:
        """Take centre and spread from embeddings, shape (N, D); a constant value keeps a spread of 1."""
        spread, centre = torch.std_mean(embeddings, dim=0)
        self.centre.copy_(centre)
        self.spread.copy_(torch.where(spread > FLATTEST, spread, 1.0))

    def forward(
        self, spectrogram: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        """Return logits, shape (B, C), of normalised log-mel spectrograms, as `embedding`."""
        logits: Tensor = self.head((self.embedding(spectrogram, visible, drop_path_scale) - self.centre) / self.spread)
        return logits
