"""The masked autoencoder as one would write it down first: arbiter of the tests, peer in speed.

As in most public code, attention is a product, a softmax and a product, with a layer each for queries, keys and values.
It takes its weights from the package's model and shares nothing else with it but the table of positions.
"""

import math

import torch
from torch import Tensor, nn

from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.positions import sincos_2d

PATCH = 16


class Attention(nn.Module):
    """Self-attention with all scores in memory."""

    def __init__(self, width: int, n_heads: int) -> None:
        """Build the layers."""
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens, (B, L, D) to (B, L, D)."""
        batch, length, width = x.shape
        query, key, value = (
            layer(x).reshape(batch, length, self.n_heads, width // self.n_heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-2, -1) / math.sqrt(width // self.n_heads)
        mixed = scores.softmax(dim=-1) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, n_heads: int) -> None:
        """Build the layers."""
        super().__init__()
        self.first, self.second = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, n_heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block, (B, L, D) to (B, L, D)."""
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))


class PlainAutoencoder(nn.Module):
    """Embeds all patches by a convolution, hides some, encodes the others, decodes all."""

    def __init__(self, model: MaskedAutoencoder) -> None:
        """Build the layers, and copy the weights."""
        super().__init__()
        width, depth, n_heads = model.encoder.size.width, model.encoder.size.depth, model.encoder.size.n_heads
        decoder = model.decoder
        assert decoder is not None
        narrow = decoder.predict.in_features
        self.mask_ratio = model.mask_ratio
        self.embed = nn.Conv2d(1, width, PATCH, stride=PATCH)
        self.encoder = nn.ModuleList(Layer(width, n_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.to_decoder = nn.Linear(width, narrow)
        self.mask = nn.Parameter(torch.zeros(1, 1, narrow))
        self.decoder = nn.ModuleList(Layer(narrow, block.n_heads) for block in decoder.blocks)
        self.decoder_norm = nn.LayerNorm(narrow, eps=1e-6)
        self.predict = nn.Linear(narrow, PATCH * PATCH)
        self._take(model)

    @torch.no_grad()
    def _take(self, model: MaskedAutoencoder) -> None:
        """Copy the weights of the package's model."""
        embed, decoder = model.encoder.embed, model.decoder
        assert decoder is not None
        self.embed.weight.copy_(embed.weight.reshape(self.embed.weight.shape))
        self.embed.bias.copy_(embed.bias)
        self.mask.copy_(decoder.mask_token)
        pairs = [
            (self.norm, model.encoder.norm),
            (self.to_decoder, decoder.embed),
            (self.decoder_norm, decoder.norm),
            (self.predict, decoder.predict),
        ]
        blocks = [*zip(self.encoder, model.encoder.blocks, strict=True)]
        blocks += [*zip(self.decoder, decoder.blocks, strict=True)]
        for layer, block in blocks:
            pairs += [(layer.first, block.norm_attention), (layer.second, block.norm_mlp)]
            pairs += [
                (layer.attention.out, block.project),
                (layer.mlp[0], block.expand),
                (layer.mlp[2], block.contract),
            ]
            parts = (layer.attention.query, layer.attention.key, layer.attention.value)
            for part, weight, bias in zip(parts, block.qkv.weight.chunk(3), block.qkv.bias.chunk(3), strict=True):
                part.weight.copy_(weight)
                part.bias.copy_(bias)
        for ours, theirs in pairs:
            ours.weight.copy_(theirs.weight)
            ours.bias.copy_(theirs.bias)

    def forward(self, spectrogram: Tensor, noise: Tensor) -> Tensor:
        """Return the loss; spectrograms (B, F, M), one number of noise per patch (B, L)."""
        batch, n_frames, n_mels = spectrogram.shape
        n_time, n_frequency = n_frames // PATCH, n_mels // PATCH
        grid = self.embed(spectrogram[:, None])
        x = grid.flatten(2).transpose(1, 2)
        n_patches, width = x.shape[1:]
        x = x + sincos_2d(n_time, n_frequency, width)
        order = noise.argsort(dim=1, stable=True)
        back = order.argsort(dim=1)
        n_visible = max(1, round(n_patches * (1 - self.mask_ratio)))
        visible = order[:, :n_visible]
        x = torch.gather(x, 1, visible[:, :, None].repeat(1, 1, width))
        for layer in self.encoder:
            x = layer(x)
        x = self.to_decoder(self.norm(x))
        narrow = x.shape[2]
        x = torch.cat([x, self.mask.repeat(batch, n_patches - n_visible, 1)], dim=1)
        x = torch.gather(x, 1, back[:, :, None].repeat(1, 1, narrow))
        x = x + sincos_2d(n_time, n_frequency, narrow)
        for layer in self.decoder:
            x = layer(x)
        predicted = self.predict(self.decoder_norm(x))
        patches = spectrogram.reshape(batch, n_time, PATCH, n_frequency, PATCH)
        patches = patches.permute(0, 1, 3, 2, 4).reshape(batch, n_patches, -1)
        target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6) ** 0.5
        hidden = torch.ones(batch, n_patches)
        hidden[:, :n_visible] = 0
        hidden = torch.gather(hidden, 1, back)
        error = ((predicted - target) ** 2).mean(dim=-1)
        return (error * hidden).sum() / hidden.sum()
