"""The masked autoencoder: reconstruct the patches that the encoder was not shown."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiopg import config
from audiopg.models.positions import sincos_2d
from audiopg.models.vit import NORM_EPS, Block, Encoder


class Reconstruction(NamedTuple):
    """What one pass of the masked autoencoder gives."""

    loss: Tensor
    """Reconstruction loss, a scalar."""
    prediction: Tensor
    """Predicted patches, in the target's normalisation, shape (B, L, patch)."""
    masked: Tensor
    """1 where a patch was hidden, shape (B, L)."""
    physics: Tensor | None
    """The head's prediction of the clip's physics, shape (B, n_physics); None without a head."""


class MaskedAutoencoder(nn.Module):
    """An encoder of visible patches and a light decoder over all of them.

    The target is each patch with its own mean removed and its own standard deviation set to 1; the loss is the squared
    error over hidden patches. A head, if there is one, sees the mean of the visible tokens; it is linear, so that its
    predictions must already be in the tokens.
    Source: He et al. (2022); AudioPG's sizes.
    """

    def __init__(self, encoder: config.Encoder, decoder: config.Decoder, mask_ratio: float, n_physics: int = 0) -> None:
        """Build from the ``encoder`` section, ``pretrain.decoder`` and the outputs of the head; 0 builds none."""
        super().__init__()
        self.mask_ratio = mask_ratio
        self.encoder = Encoder(encoder)
        self.decoder_embed = nn.Linear(self.encoder.size.width, decoder.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.width))
        self.decoder_blocks = nn.ModuleList(Block(decoder.width, decoder.n_heads) for _ in range(decoder.depth))
        self.decoder_norm = nn.LayerNorm(decoder.width, eps=NORM_EPS)
        self.predict = nn.Linear(decoder.width, encoder.patch_frames * encoder.patch_mels)
        self.physics = nn.Linear(self.encoder.size.width, n_physics) if n_physics else None

    def target(self, spectrogram: Tensor) -> Tensor:
        """Patches with mean 0 and standard deviation 1 each, shape (B, L, patch)."""
        patches = self.encoder.patches(spectrogram)
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def forward(self, spectrogram: Tensor, noise: Tensor, drop_path_scale: Tensor | None = None) -> Reconstruction:
        """Hide patches, encode the rest, reconstruct.

        Args:
            spectrogram: normalised log-mel, shape (B, F, M).
            noise: one number per patch, shape (B, L); the patches with the smallest numbers stay visible. An input, so
                that the masks have an address as everything random has.
            drop_path_scale: the encoder's drop-path factors, shape (depth, 2, B); None drops nothing.
        """
        order = noise.argsort(dim=1, stable=True)
        visible = order[:, : config.n_visible(order.shape[1], self.mask_ratio)]
        n_time = spectrogram.shape[1] // self.encoder.config.patch_frames
        encoded = self.encoder(spectrogram, visible, drop_path_scale)
        physics = None if self.physics is None else self.physics(encoded.mean(dim=1)).float()
        tokens = self.decoder_embed(encoded)
        index = visible[..., None].expand(-1, -1, tokens.shape[-1])
        x = self.mask_token.to(tokens.dtype).repeat(order.shape[0], order.shape[1], 1).scatter(1, index, tokens)
        x = x + sincos_2d(n_time, order.shape[1] // n_time, tokens.shape[-1], x.device).to(x.dtype)
        for block in self.decoder_blocks:
            x = block(x)
        prediction = self.predict(self.decoder_norm(x)).float()
        masked = torch.ones_like(order, dtype=prediction.dtype).scatter(1, visible, 0.0)
        error = (prediction - self.target(spectrogram)).square().mean(dim=-1)
        return Reconstruction((error * masked).sum() / masked.sum(), prediction, masked, physics)
