"""Encoder, positions, masked autoencoder, classifier, checkpoints."""

import pytest
import torch
from support.models import MICRO, mae, spectrograms

from audiopg import config
from audiopg.models.vit import Encoder, initialise, untrained


@pytest.mark.parametrize(
    ("name", "parameters"), [("micro", None), ("tiny", None), ("small", None), ("base", 85_253_376)]
)
def test_parameter_count_follows_the_formula(name: str, parameters: int | None) -> None:
    size = config.SIZES[name]
    d = size.width
    # attention: qkv and output; perceptron: up and down; two norms; then embedding and last norm
    block = (3 * d * d + 3 * d) + (d * d + d) + (4 * d * d + 4 * d) + (4 * d * d + d) + 2 * 2 * d
    expected = (256 * d + d) + size.depth * block + 2 * d
    with torch.device("meta"):
        encoder = Encoder(config.Encoder(size=name, patch_frames=16, patch_mels=16))
    found = sum(p.numel() for p in encoder.parameters())
    assert found == expected
    assert parameters is None or found == parameters


def test_patches_are_time_major_blocks() -> None:
    x = spectrograms(1, 48)
    patches = Encoder(MICRO).patches(x)
    assert patches.shape == (1, 3 * 8, 256)
    torch.testing.assert_close(patches[0, 1 * 8 + 5].view(16, 16), x[0, 16:32, 80:96])


@pytest.mark.parametrize("n_frames", [16, 64, 208])
def test_any_grid(n_frames: int) -> None:
    encoder = Encoder(MICRO)
    initialise(encoder, 0)
    assert encoder(spectrograms(2, n_frames)).shape == (2, n_frames // 16 * 8, 128)
    assert encoder.layers(spectrograms(2, n_frames)).shape == (2, 8, 2, 128)


def test_encoding_all_patches_as_visible_changes_nothing() -> None:
    encoder = Encoder(MICRO)
    initialise(encoder, 0)
    x = spectrograms()
    visible = torch.arange(32).flip(0).repeat(3, 1)
    torch.testing.assert_close(encoder(x, visible).flip(1), encoder(x), atol=1e-5, rtol=1e-4)


def test_a_dropped_branch_is_skipped() -> None:
    encoder = Encoder(MICRO)
    initialise(encoder, 0)
    x = spectrograms()
    none = torch.zeros(6, 2, 3)
    torch.testing.assert_close(encoder(x, drop_path_scale=none), encoder.norm(encoder.tokens(x)))
    torch.testing.assert_close(encoder(x, drop_path_scale=torch.ones(6, 2, 3)), encoder(x))


def test_no_two_draws_of_random_weights_are_the_same_whatever_their_seeds() -> None:
    """Runs of seeds 42, 43 and 44 with three draws each have nine encoders; the first of each begins pre-training."""
    section = config.Encoder(size="micro", patch_frames=16, patch_mels=16)
    drawn = [untrained(section, seed, draw).embed.weight for seed in (42, 43, 44) for draw in range(3)]
    assert len({tuple(weight[0].tolist()) for weight in drawn}) == 9
    assert torch.equal(drawn[3], untrained(section, 43).embed.weight)


def test_weights_have_an_address() -> None:
    a, b = mae(5), mae(5)
    torch.rand(100)
    other = mae(6)
    for (name, p), q, r in zip(a.named_parameters(), b.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
        if p.std() > 0:
            assert not torch.equal(p, r), name
    bound = (6 / (128 + 384)) ** 0.5
    weight = a.encoder.blocks[0].qkv.weight
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
