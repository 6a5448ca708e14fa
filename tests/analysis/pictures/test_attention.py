"""Attention distances: closed forms, and the encoder's own output from the weights that are shown."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from audiopg.analysis.pictures import attention
from audiopg.config import Config
from audiopg.models.vit import untrained

HOP_MS = 10.0


def spectrograms(n_clips: int) -> torch.Tensor:
    return torch.randn(n_clips, 96, 128, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_the_weights_are_those_that_the_encoder_uses(tiny: Config) -> None:
    encoder = untrained(tiny.encoder, 1)
    x = encoder.tokens(spectrograms(2))
    for block in encoder.blocks:
        weights = attention.weights(block, x)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[..., 0]))
        values = block.qkv(block.norm_attention(x)).chunk(3, dim=-1)[2].unflatten(-1, (block.n_heads, -1))
        x = x + block.project(torch.einsum("bhqk,bkhd->bqhd", weights, values).flatten(2))
        x = x + block.contract(functional.gelu(block.expand(block.norm_mlp(x))))
    torch.testing.assert_close(encoder.norm(x), encoder(spectrograms(2)), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_uniform_attention_has_the_mean_distance_of_two_random_patches(tiny: Config) -> None:
    """Two of n equally spaced places are (n² - 1) / 3n apart on average."""
    encoder = untrained(tiny.encoder, 1)
    for block in encoder.blocks:
        block.qkv.weight.zero_()
    table = attention.distances({"pretrained": encoder}, spectrograms(5), HOP_MS)
    n_time, n_frequency = 96 // tiny.encoder.patch_frames, 128 // tiny.encoder.patch_mels
    time_ms = (n_time**2 - 1) / (3 * n_time) * tiny.encoder.patch_frames * HOP_MS
    mel_bins = (n_frequency**2 - 1) / (3 * n_frequency) * tiny.encoder.patch_mels
    assert n_time != n_frequency
    assert table["time_ms"].to_numpy() == pytest.approx(time_ms, rel=1e-5)
    assert table["mel_bins"].to_numpy() == pytest.approx(mel_bins, rel=1e-5)
    depth, n_heads = encoder.size.depth, encoder.size.n_heads
    assert table["encoder"].value_counts().to_dict() == {"pretrained": depth * n_heads, "uniform": depth}
    assert sorted(set(table["layer"])) == list(range(1, depth + 1))


def test_a_clip_counts_once_whatever_the_batch(tiny: Config) -> None:
    encoder = {"random": untrained(tiny.encoder, 1)}
    clips = spectrograms(attention.BATCH_SIZE + 1)
    one_by_one = [attention.distances(encoder, clip[None], HOP_MS)["time_ms"].to_numpy() for clip in clips]
    together = attention.distances(encoder, clips, HOP_MS)["time_ms"].to_numpy()
    assert together == pytest.approx(np.mean(one_by_one, axis=0), rel=1e-5)


def test_the_picture_has_two_themes(tiny: Config, tmp_path: Path) -> None:
    encoders = {"pretrained": untrained(tiny.encoder, 1), "random": untrained(tiny.encoder, 2)}
    table = attention.distances(encoders, spectrograms(1), HOP_MS)
    attention.picture(table, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "a-dark.png").read_bytes()
