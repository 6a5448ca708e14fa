"""Parameters, FLOPs and memory of the models, in closed form: nothing is built or run."""

import math
from dataclasses import dataclass

from audiopg import config


@dataclass(frozen=True)
class Parameters:
    """How many weights there are."""

    encoder: int
    decoder: int
    """Decoder, mask token, and the two layers around it; 0 where nothing is reconstructed."""

    @property
    def pretrain(self) -> int:
        """Weights of the masked autoencoder."""
        return self.encoder + self.decoder


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one clip's matrix products; a multiplication with its addition counts as two."""

    forward: int
    training: int
    """Forward and backward."""


def block_parameters(width: int) -> int:
    """Count the weights of a block: 12 D² in matrices, 13 D in biases and norms."""
    return 12 * width**2 + 13 * width


def encoder_parameters(encoder: config.Encoder) -> int:
    """Count the weights of the encoder."""
    size, patch = encoder.shape, encoder.patch_frames * encoder.patch_mels
    return size.width * (patch + 1) + size.depth * block_parameters(size.width) + 2 * size.width


def classifier_parameters(encoder: config.Encoder, n_classes: int, pooling: str, n_bands: int) -> int:
    """Count the weights of the encoder, of one linear layer on top, and of the queries of a pooling by attention."""
    size = encoder.shape
    queries = size.n_heads * size.width if pooling == "attention" else 0
    return encoder_parameters(encoder) + (config.n_pooled(encoder, pooling, n_bands) + 1) * n_classes + queries


def parameters(cfg: config.Config) -> Parameters:
    """Count the weights that are pre-trained.

    Without the heads: the physics' has 31 · 769 weights of 111 million with the larger preset, the twins' 0.5 million.
    """
    if not cfg.pretrain.objectives.reconstruction:
        return Parameters(encoder_parameters(cfg.encoder), 0)
    decoder, patch = cfg.pretrain.decoder, cfg.encoder.patch_frames * cfg.encoder.patch_mels
    around = (cfg.encoder.shape.width + 1) * decoder.width + (decoder.width + 1) * patch
    inside = decoder.depth * block_parameters(decoder.width) + 2 * decoder.width + decoder.width
    return Parameters(encoder_parameters(cfg.encoder), around + inside)


def block_flops(n_tokens: int, width: int) -> int:
    """FLOPs of a block, forward: projections and perceptron 24 n D², attention scores and values 4 n² D."""
    return 24 * n_tokens * width**2 + 4 * n_tokens**2 * width


def encoder_flops(encoder: config.Encoder, n_tokens: int) -> Flops:
    """FLOPs of the encoder on so many tokens.

    The gradient of a matrix product is two products of its size, but the patches need none.
    """
    size = encoder.shape
    embed = 2 * n_tokens * encoder.patch_frames * encoder.patch_mels * size.width
    blocks = size.depth * block_flops(n_tokens, size.width)
    return Flops(embed + blocks, 2 * embed + 3 * blocks)


def autoencoder_flops(cfg: config.Config) -> Flops:
    """FLOPs of the masked autoencoder: the encoder on visible patches, the decoder on all.

    Without the heads: of the larger preset, the physics' has 2 · 31 · 768 of 5e10 forward, the twins' 2 · 512 · 896.
    """
    decoder, n_patches = cfg.pretrain.decoder, math.prod(cfg.grid(cfg.synth.clip_s))
    visible = config.n_visible(n_patches, cfg.pretrain.mask_ratio)
    encoder = encoder_flops(cfg.encoder, visible)
    if not cfg.pretrain.objectives.reconstruction:
        return encoder
    after = 2 * visible * cfg.encoder.shape.width * decoder.width
    after += decoder.depth * block_flops(n_patches, decoder.width)
    after += 2 * n_patches * decoder.width * cfg.encoder.patch_frames * cfg.encoder.patch_mels
    return Flops(encoder.forward + after, encoder.training + 3 * after)


def classifier_flops(encoder: config.Encoder, grid: tuple[int, int], n_classes: int, recipe: config.Finetune) -> Flops:
    """FLOPs of the classifier: encoder, pooling and head; forward on all patches, training on those that are kept."""
    n_patches, n_kept = math.prod(grid), config.n_visible(grid[0], recipe.patch_drop) * grid[1]
    head = 2 * config.n_pooled(encoder, recipe.pooling, grid[1]) * n_classes
    pool = 2 * encoder.shape.width * encoder.shape.n_heads if recipe.pooling == "attention" else 0
    forward = encoder_flops(encoder, n_patches).forward + n_patches * pool + head
    return Flops(forward, encoder_flops(encoder, n_kept).training + 3 * (n_kept * pool + head))


def block_activations(n_tokens: int, width: int, n_heads: int, *, reduced: bool) -> int:
    """Bytes that a block keeps of one clip for its gradient, with an attention that does not keep its scores.

    In multiples of n D: the inputs of both norms (1 + 1, float32 always), their outputs (1 + 1), query, key and value
    (3), what attention returns (1), the inputs of GELU and of the last layer (4 + 4). Two figures per token and norm,
    one per token and head.

    Args:
        n_tokens: number of tokens n.
        width: width D.
        n_heads: number of heads.
        reduced: whether matrix products are in bfloat16.
    """
    return n_tokens * (width * (2 * 4 + 14 * (2 if reduced else 4)) + 4 * (4 + n_heads))


def encoder_activations(encoder: config.Encoder, n_tokens: int, *, reduced: bool) -> int:
    """Bytes that the encoder keeps of one clip: patches, blocks, and the input of the last norm."""
    size, patch = encoder.shape, encoder.patch_frames * encoder.patch_mels
    blocks = size.depth * block_activations(n_tokens, size.width, size.n_heads, reduced=reduced)
    return n_tokens * (patch * (2 if reduced else 4) + 4 * (size.width + 2)) + blocks


def autoencoder_activations(cfg: config.Config, *, reduced: bool) -> int:
    """Bytes that the masked autoencoder keeps of one clip: also both ends of the decoder, and its float32 error.

    Without a decoder: those of the encoder.
    """
    decoder, n_patches = cfg.pretrain.decoder, math.prod(cfg.grid(cfg.synth.clip_s))
    visible = config.n_visible(n_patches, cfg.pretrain.mask_ratio)
    item, patch = 2 if reduced else 4, cfg.encoder.patch_frames * cfg.encoder.patch_mels
    kept = encoder_activations(cfg.encoder, visible, reduced=reduced)
    if not cfg.pretrain.objectives.reconstruction:
        return kept
    kept += visible * cfg.encoder.shape.width * item
    kept += decoder.depth * block_activations(n_patches, decoder.width, decoder.n_heads, reduced=reduced)
    return kept + n_patches * (decoder.width * (4 + item) + 8 + 4 * patch)


def training_memory(n_parameters: int, activations: int, batch_size: int, *, reduced: bool, selects: bool) -> int:
    """Bytes of weights, gradients and AdamW's two moments in float32, and of the activations of a batch.

    Args:
        n_parameters: number of weights.
        activations: bytes that one clip keeps.
        batch_size: clips per step.
        reduced: whether there is a bfloat16 copy of the weights.
        selects: whether there is a copy of the weights of the best epoch.
    """
    return n_parameters * (16 + 2 * reduced + 4 * selects) + batch_size * activations


def evaluation_memory(encoder: config.Encoder, n_patches: int, batch_size: int, n_encoders: int) -> int:
    """Bytes of encoders in float32 and, where a block is widest, of a batch: its input, and 4 D before and after GELU.

    Args:
        encoder: the ``encoder`` section.
        n_patches: patches of a clip.
        batch_size: clips at a time.
        n_encoders: encoders that are on the device.
    """
    return 4 * (n_encoders * encoder_parameters(encoder) + 9 * batch_size * n_patches * encoder.shape.width)
