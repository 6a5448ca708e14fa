"""The classifier that is fine-tuned: an encoder, a pooling of its tokens and one linear layer."""

from typing import Literal

import torch
from torch import Tensor, nn

from audiopg import config
from audiopg.models.vit import Encoder

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


class MeanPooling(nn.Module):
    """Mean of the tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens, (B, L, D) to (B, D)."""
        return tokens.mean(dim=1)


class BandPooling(nn.Module):
    """Mean, deviation, largest and smallest over time of each band of frequency, side by side.

    A mean over all tokens does not know at which frequency something was. The linear probes read the same, and the
    mean change from token to token, which has no meaning where training leaves tokens out.
    """

    def __init__(self, n_bands: int) -> None:
        """Take the number of bands of a spectrogram."""
        super().__init__()
        self.n_bands = n_bands

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool tokens, (B, L, D) to (B, 4 · bands · D).

        The tokens are time-major, as many of each band: all of a spectrogram, or what `patch_drop` keeps.
        """
        by_band = tokens.view(len(tokens), -1, self.n_bands, tokens.shape[-1])
        variance, mean = torch.var_mean(by_band, dim=1, correction=0)
        # the root has no slope at 0, where a band is always the same
        parts = [mean, (variance + FLATTEST).sqrt(), by_band.amax(dim=1), by_band.amin(dim=1)]
        return torch.stack(parts, dim=1).flatten(1)


class Classifier(nn.Module):
    """The encoder, a pooling of its tokens, and a linear layer.

    The layer reads what is pooled as it is, or less ``centre`` and over ``spread``, which do not learn: the common part
    of all clips is many times larger than their differences, and a layer on the mean itself first has to unlearn it.
    """

    centre: Tensor
    """Shape (P,)."""
    spread: Tensor
    """Shape (P,), above 0."""

    def __init__(
        self,
        encoder: config.Encoder,
        n_classes: int,
        pooling: Literal["mean", "attention", "bands"] = "mean",
        n_bands: int = 1,
    ) -> None:
        """Build from the ``encoder`` section.

        Args:
            encoder: the section.
            n_classes: number of classes C.
            pooling: what is read of the tokens.
            n_bands: patches of a spectrogram along frequency; ``bands`` alone needs to know.
        """
        super().__init__()
        self.encoder = Encoder(encoder)
        size, n_features = self.encoder.size, config.n_pooled(encoder, pooling, n_bands)
        self.pooling: nn.Module
        if pooling == "attention":
            self.pooling = AttentionPooling(size.width, size.n_heads)
        else:
            self.pooling = BandPooling(n_bands) if pooling == "bands" else MeanPooling()
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.head = nn.Linear(n_features, n_classes)

    def embedding(
        self, spectrogram: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        """Return pooled tokens, shape (B, P); arguments as `Encoder.forward`, of which all tokens are pooled."""
        pooled: Tensor = self.pooling(self.encoder(spectrogram, visible, drop_path_scale))
        return pooled

    @torch.no_grad()
    def standardise(self, embeddings: Tensor) -> None:
        """Take centre and spread from embeddings, shape (N, P); a constant value keeps a spread of 1."""
        spread, centre = torch.std_mean(embeddings, dim=0)
        self.centre.copy_(centre)
        self.spread.copy_(torch.where(spread > FLATTEST, spread, 1.0))

    def forward(
        self, spectrogram: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        """Return logits, shape (B, C), float32, of normalised log-mel spectrograms, as `embedding`."""
        read = (self.embedding(spectrogram, visible, drop_path_scale).float() - self.centre) / self.spread
        with torch.autocast(read.device.type, enabled=False):  # in the three digits of bfloat16 many logits are equal
            logits: Tensor = self.head(read)
        return logits
