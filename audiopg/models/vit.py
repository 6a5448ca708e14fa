"""The encoder: a vision transformer over patches of a log-mel spectrogram."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiopg import rng
from audiopg.models.positions import Positions

if TYPE_CHECKING:
    from audiopg import config

NORM_EPS = 1e-6


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, then a two-layer perceptron four times as wide."""

    def __init__(self, width: int, n_heads: int) -> None:
        """Build the block; the width is a multiple of the number of heads."""
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def attend(self, x: Tensor) -> Tensor:
        """Multi-head self-attention, (B, L, D) to (B, L, D)."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.n_heads, width // self.n_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        # torch's kernel for the CPU takes up to 8 times as long to learn in bfloat16 as plain matrix products do
        slow = query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.requires_grad
        attention = _attention if slow else functional.scaled_dot_product_attention
        out: Tensor = self.project(attention(query, key, value).transpose(1, 2).reshape(batch, length, width))
        return out

    def perceive(self, x: Tensor) -> Tensor:
        """Two-layer perceptron of each token, (B, L, D) to (B, L, D)."""
        out: Tensor = self.contract(functional.gelu(self.expand(self.norm_mlp(x))))
        return out

    def forward(self, x: Tensor, drop_path_scale: Tensor | None = None) -> Tensor:
        """Apply the block.

        Args:
            x: tokens, shape (B, L, D).
            drop_path_scale: factors of the two residual branches, shape (2, B): 0 drops a branch; None is all ones.
        """
        for number, branch in enumerate((self.attend, self.perceive)):
            change = branch(x)
            x = x + (change if drop_path_scale is None else drop_path_scale[number, :, None, None] * change)
        return x


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention in matrix products, each of shape (B, heads, L, D / heads)."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    mixed: Tensor = scores.softmax(dim=-1).to(value.dtype) @ value
    return mixed


class Encoder(nn.Module):
    """Vision transformer without a class token; the embedding of a clip is the mean of its tokens.

    Differs from the paper: one implementation with one LayerNorm epsilon (1e-6) serves pre-training and fine-tuning;
    the release has two, with 1e-6 and 1e-5.
    Source: ViT, Dosovitskiy et al. (2021); ``base`` is ViT-B/16.
    """

    def __init__(self, encoder: "config.Encoder") -> None:
        """Build the size that the ``encoder`` section names."""
        super().__init__()
        self.config = encoder
        self.size = encoder.shape
        width = self.size.width
        self.embed = nn.Linear(encoder.patch_frames * encoder.patch_mels, width)
        self.positions = Positions(width)
        self.blocks = nn.ModuleList(Block(width, self.size.n_heads) for _ in range(self.size.depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def patches(self, spectrogram: Tensor) -> Tensor:
        """Cut a spectrogram into patches, time-major.

        Args:
            spectrogram: shape (B, F, M), with F and M multiples of the patch.

        Returns:
            Shape (B, L, patch_frames · patch_mels).
        """
        batch, n_frames, n_mels = spectrogram.shape
        frames, mels = self.config.patch_frames, self.config.patch_mels
        grid = spectrogram.reshape(batch, n_frames // frames, frames, n_mels // mels, mels)
        return grid.permute(0, 1, 3, 2, 4).reshape(batch, -1, frames * mels)

    def tokens(self, spectrogram: Tensor, visible: Tensor | None = None) -> Tensor:
        """Embed patches and add their positions.

        Args:
            spectrogram: shape (B, F, M).
            visible: numbers of the patches to keep, shape (B, V), int64; None keeps all.

        Returns:
            Shape (B, V, D).
        """
        n_time = spectrogram.shape[1] // self.config.patch_frames
        n_frequency = spectrogram.shape[2] // self.config.patch_mels
        patches = self.patches(spectrogram)
        positions = self.positions(n_time, n_frequency, patches.device).to(patches.dtype)
        if visible is None:
            return self.embed(patches) + positions  # type: ignore[no-any-return]
        chosen = patches.gather(1, visible[..., None].expand(-1, -1, patches.shape[-1]))
        return self.embed(chosen) + positions[visible]  # type: ignore[no-any-return]

    def forward(
        self, spectrogram: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        """Encode a spectrogram.

        Args:
            spectrogram: normalised log-mel, shape (B, F, M).
            visible: numbers of the patches to encode, shape (B, V), int64; None encodes all.
            drop_path_scale: drop-path factors, shape (depth, 2, B); None drops nothing.

        Returns:
            Tokens after the last norm, shape (B, V, D).
        """
        x = self.tokens(spectrogram, visible)
        for number, block in enumerate(self.blocks):
            x = block(x, None if drop_path_scale is None else drop_path_scale[number])
        out: Tensor = self.norm(x)
        return out

    def layers(self, spectrogram: Tensor) -> Tensor:
        """Mean and standard deviation over the tokens, after the patch embedding, each block, and the last norm.

        Args:
            spectrogram: shape (B, F, M).

        Returns:
            Shape (B, depth + 2, 2, D); the mean of the last layer is the clip's embedding.
        """
        return torch.stack([_moments(x) for x in self._by_layer(spectrogram)], dim=1)

    def bands(self, spectrogram: Tensor, layers: Sequence[int]) -> Iterator[Tensor]:
        """Yield the tokens of some layers, by time and band of frequency.

        Args:
            spectrogram: shape (B, F, M).
            layers: numbers of `layers`, at least one, in ascending order.

        Yields:
            Shape (B, time, bands, D), the bands from low to high.
        """
        n_bands = spectrogram.shape[2] // self.config.patch_mels
        for number, x in enumerate(self._by_layer(spectrogram)):
            if number in layers:
                yield x.view(x.shape[0], -1, n_bands, x.shape[2])
            if number == layers[-1]:
                return

    def _by_layer(self, spectrogram: Tensor) -> Iterator[Tensor]:
        """Yield the tokens after the patch embedding, each block, and the last norm, each of shape (B, L, D)."""
        x = self.tokens(spectrogram)
        yield x
        for block in self.blocks:
            x = block(x)
            yield x
        yield self.norm(x)


def _moments(tokens: Tensor) -> Tensor:
    """Mean and standard deviation over tokens, (B, L, D) to (B, 2, D)."""
    mean = tokens.mean(dim=1, keepdim=True)
    # torch's own std takes ten times as long along this axis
    return torch.cat([mean, (tokens - mean).square().mean(dim=1, keepdim=True).sqrt()], dim=1)


@torch.no_grad()
def initialise(model: nn.Module, seed: int, place: str = "") -> None:
    """Set all parameters from their address (seed, parameter name): a model's weights do not depend on what ran before.

    Matrices are Xavier-uniform as in MAE, vectors and pooling queries 0, norm gains 1, the mask token normal with
    σ = 0.02.

    Args:
        model: what is set, in place.
        seed: names the weights, with the names of the parameters.
        place: prefix of the names, for a part of a larger model.
    """
    gains = {id(module.weight) for module in model.modules() if isinstance(module, nn.LayerNorm)}
    for name, parameter in model.named_parameters():
        if id(parameter) in gains:
            parameter.fill_(1.0)
        elif name.endswith(("bias", "query")):
            parameter.zero_()
        else:
            draw = rng.generator(seed, f"init/{place}{name}", 0)
            if parameter.ndim == 2:  # noqa: PLR2004  (a matrix)
                bound = (6.0 / sum(parameter.shape)) ** 0.5
                parameter.copy_(torch.from_numpy(draw.uniform(-bound, bound, parameter.shape)))
            else:
                parameter.copy_(torch.from_numpy(draw.normal(0.0, 0.02, parameter.shape)))


def untrained(encoder: "config.Encoder", seed: int, draw: int = 0) -> Encoder:
    """Return an encoder with random weights: the control behind every pre-trained row.

    Args:
        encoder: the section.
        seed: names the weights, with ``draw``.
        draw: 0 has the weights that pre-training starts from, the others have weights of their own, which are not those
            of another seed either.
    """
    model = Encoder(encoder)
    initialise(model, seed, f"draw{draw}/encoder." if draw else "encoder.")
    return model
