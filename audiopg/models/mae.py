"""The model of pre-training: an encoder that sees some of the patches, and what has to follow from its tokens."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiopg import config
from audiopg.models.heads import Projection
from audiopg.models.positions import Positions
from audiopg.models.vit import NORM_EPS, Block, Encoder


class Found(NamedTuple):
    """What one pass gives; None for what the model has no part for."""

    loss: Tensor | None
    """Reconstruction loss, a scalar."""
    prediction: Tensor | None
    """Predicted patches, in the target's normalisation, shape (B, L, patch)."""
    masked: Tensor
    """1 where a patch was hidden, shape (B, L)."""
    physics: Tensor | None
    """Prediction of the clip's physics, shape (B, n_physics)."""
    identity: Tensor | None
    """Direction of the clip's identity, of length 1, shape (B, P)."""


class Decoder(nn.Module):
    """A light transformer from the tokens of visible patches to all patches."""

    def __init__(self, width: int, decoder: config.Decoder, patch: int) -> None:
        """Take the encoder's width, ``pretrain.decoder``, and the numbers in a patch."""
        super().__init__()
        self.embed = nn.Linear(width, decoder.width)
        self.positions = Positions(decoder.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.width))
        self.blocks = nn.ModuleList(Block(decoder.width, decoder.n_heads) for _ in range(decoder.depth))
        self.norm = nn.LayerNorm(decoder.width, eps=NORM_EPS)
        self.predict = nn.Linear(decoder.width, patch)

    def forward(self, encoded: Tensor, visible: Tensor, n_time: int, n_frequency: int) -> Tensor:
        """Predict all patches.

        Args:
            encoded: tokens of the visible patches, shape (B, V, D).
            visible: their numbers, shape (B, V), int64.
            n_time: patches along time.
            n_frequency: patches along frequency.

        Returns:
            Shape (B, L, patch), float32.
        """
        tokens = self.embed(encoded)
        index = visible[..., None].expand(-1, -1, tokens.shape[-1])
        hidden = self.mask_token.to(tokens.dtype).repeat(len(tokens), n_time * n_frequency, 1)
        x = hidden.scatter(1, index, tokens)
        x = x + self.positions(n_time, n_frequency, x.device).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.predict(self.norm(x)).float()
        return out


class MaskedAutoencoder(nn.Module):
    """An encoder of visible patches, a light decoder over all of them, and heads.

    The target of the decoder is each patch with its own mean removed and its own standard deviation set to 1; the loss
    is the squared error over hidden patches. The heads see the mean of the visible tokens. That of the physics is
    linear, so that its predictions must already be in the tokens.
    Source: He et al. (2022); AudioPG's sizes. The heads are ours.
    """

    def __init__(
        self,
        encoder: config.Encoder,
        decoder: config.Decoder | None,
        mask_ratio: float,
        n_physics: int = 0,
        *,
        twins: bool = False,
    ) -> None:
        """Build the parts that the objectives need.

        Args:
            encoder: the ``encoder`` section.
            decoder: ``pretrain.decoder``; None reconstructs nothing.
            mask_ratio: share of the patches that are hidden.
            n_physics: outputs of the physics' head; 0 builds none.
            twins: whether to build the projection to an identity's direction.
        """
        super().__init__()
        self.mask_ratio = mask_ratio
        self.encoder = Encoder(encoder)
        width, patch = self.encoder.size.width, encoder.patch_frames * encoder.patch_mels
        self.decoder = None if decoder is None else Decoder(width, decoder, patch)
        self.physics = nn.Linear(width, n_physics) if n_physics else None
        self.projection = Projection(width) if twins else None

    def target(self, spectrogram: Tensor) -> Tensor:
        """Patches with mean 0 and standard deviation 1 each, shape (B, L, patch)."""
        patches = self.encoder.patches(spectrogram)
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def forward(self, spectrogram: Tensor, noise: Tensor, drop_path_scale: Tensor | None = None) -> Found:
        """Hide patches, encode the rest, and predict.

        Args:
            spectrogram: normalised log-mel, shape (B, F, M).
            noise: one number per patch, shape (B, L); the patches with the smallest numbers stay visible. An input, so
                that the masks have an address as everything random has.
            drop_path_scale: the encoder's drop-path factors, shape (depth, 2, B); None drops nothing.
        """
        order = noise.argsort(dim=1, stable=True)
        visible = order[:, : config.n_visible(order.shape[1], self.mask_ratio)]
        encoded = self.encoder(spectrogram, visible, drop_path_scale)
        masked = torch.ones_like(order, dtype=torch.float32).scatter(1, visible, 0.0)
        loss = prediction = physics = identity = None
        if self.decoder is not None:
            n_time = spectrogram.shape[1] // self.encoder.config.patch_frames
            prediction = self.decoder(encoded, visible, n_time, order.shape[1] // n_time)
            error = (prediction - self.target(spectrogram)).square().mean(dim=-1)
            loss = (error * masked).sum() / masked.sum()
        pooled = encoded.mean(dim=1)
        if self.physics is not None:
            physics = self.physics(pooled).float()
        if self.projection is not None:
            identity = self.projection(pooled)
        return Found(loss, prediction, masked, physics, identity)
