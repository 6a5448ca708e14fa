"""Encoder, positions, masked autoencoder, classifier, checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audiopg import config, tensors
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.models.checkpoint import load_encoder, save_encoder
from audiopg.models.classifier import AttentionPooling, Classifier
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.positions import sincos_2d
from audiopg.models.vit import Encoder, initialise, untrained

MICRO = config.Encoder(size="micro", patch_frames=16, patch_mels=16)


def spectrograms(batch: int = 3, n_frames: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, n_frames, 128, generator=torch.Generator().manual_seed(seed))


def mae(seed: int = 0) -> MaskedAutoencoder:
    model = MaskedAutoencoder(MICRO, config.Decoder(width=32, depth=1, n_heads=2), 0.75)
    initialise(model, seed)
    return model


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


def test_the_untrained_control_is_the_start_of_pre_training() -> None:
    for ours, theirs in zip(untrained(MICRO, 3).parameters(), mae(3).encoder.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_positions_by_hand() -> None:
    positions = sincos_2d(3, 2, 8).numpy()
    rates = [1.0, 1 / 100.0]
    for time in range(3):
        for frequency in range(2):
            expected = [f(axis * rate) for axis in (time, frequency) for f in (np.sin, np.cos) for rate in rates]
            np.testing.assert_allclose(positions[time * 2 + frequency], expected, atol=1e-6)
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_2d(1, 1, 6)


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


def test_the_model_sees_only_visible_patches() -> None:
    model = mae()
    x = spectrograms()
    noise = torch.rand(3, 32, generator=torch.Generator().manual_seed(1))
    first = model(x, noise)
    assert first.masked.sum(dim=1).tolist() == [24, 24, 24]
    hidden = first.masked.view(3, 4, 8).repeat_interleave(16, 1).repeat_interleave(16, 2)
    second = model(torch.where(hidden == 1, torch.full_like(x, 7.0), x), noise)
    torch.testing.assert_close(first.prediction, second.prediction)
    # the smallest numbers stay visible
    assert torch.equal(noise.argsort(dim=1)[:, :8].sort(dim=1).values, (first.masked == 0).nonzero()[:, 1].view(3, 8))


def test_loss_is_the_squared_error_over_hidden_patches() -> None:
    model = mae()
    x = spectrograms()
    out = model(x, torch.rand(3, 32, generator=torch.Generator().manual_seed(1)))
    patches = Encoder(MICRO).patches(x).double()
    target = (patches - patches.mean(-1, keepdim=True)) / patches.var(-1, keepdim=True).add(1e-6).sqrt()
    errors = (out.prediction.double() - target)[out.masked == 1].square()
    assert out.loss.item() == pytest.approx(errors.mean().item(), rel=1e-5)


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


def test_the_classifier_averages_tokens() -> None:
    model = Classifier(MICRO, 7)
    initialise(model, 0)
    x = spectrograms()
    torch.testing.assert_close(model(x), model.head(model.encoder(x).mean(dim=1)))
    assert model(x).shape == (3, 7)


def test_pooling_by_attention_starts_as_the_mean() -> None:
    mean, attention = Classifier(MICRO, 7), Classifier(MICRO, 7, "attention")
    initialise(mean, 0)
    initialise(attention, 0)
    x = spectrograms()
    torch.testing.assert_close(attention(x), mean(x), atol=1e-5, rtol=1e-4)
    attention(x).sum().backward()
    assert attention.pooling is not None
    assert attention.pooling.query.grad is not None
    assert attention.pooling.query.grad.abs().sum() > 0


def test_pooling_by_attention_by_hand() -> None:
    pooling = AttentionPooling(8, 2)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 5, 8, generator=generator)
    with torch.no_grad():
        pooling.query.copy_(torch.randn(2, 8, generator=generator))
    found = pooling(tokens).detach().numpy()
    for clip, x in enumerate(tokens.double().numpy()):
        for head, query in enumerate(pooling.query.detach().double().numpy()):
            scores = np.exp(x @ query / np.sqrt(8))
            part = slice(4 * head, 4 * head + 4)
            np.testing.assert_allclose(found[clip, part], scores @ x[:, part] / scores.sum(), atol=1e-6)


def test_the_classifier_sees_only_visible_patches() -> None:
    for pooling in ("mean", "attention"):
        model = Classifier(MICRO, 7, pooling)  # type: ignore[arg-type]
        initialise(model, 0)
        x = spectrograms()
        visible = torch.tensor([[0, 3], [9, 31], [8, 16]])
        shown = torch.zeros(3, 32).scatter_(1, visible, 1).view(3, 4, 8)
        hidden = shown.repeat_interleave(16, 1).repeat_interleave(16, 2) == 0
        torch.testing.assert_close(model(x, visible), model(x.masked_fill(hidden, 7.0), visible))
        assert not torch.allclose(model(x, visible), model(x))
        everything = torch.arange(32).repeat(3, 1)
        torch.testing.assert_close(model(x, everything), model(x), atol=1e-5, rtol=1e-4)


def test_checkpoints_round_trip_and_refuse_other_sizes(tmp_path: Path, quick: Config) -> None:
    encoder = mae(3).encoder
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, quick.features)
    loaded = load_encoder(path, MICRO, quick.features)
    x = spectrograms()
    assert torch.equal(loaded(x), encoder(x))
    tiny = config.Encoder(size="tiny", patch_frames=16, patch_mels=16)
    with pytest.raises(
        AudiopgError, match=r"encoder\.safetensors: made for encoder .*micro.*but params.yaml has .*tiny"
    ):
        load_encoder(path, tiny, quick.features)
    with pytest.raises(AudiopgError, match="no such checkpoint"):
        load_encoder(tmp_path / "other", MICRO, quick.features)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AudiopgError, match="damaged checkpoint"):
        load_encoder(path, MICRO, quick.features)


def test_a_missing_weight_is_an_error(tmp_path: Path, quick: Config) -> None:
    encoder = mae(3).encoder
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, quick.features)
    weights, header = tensors.read(path)
    weights.pop("norm.bias")
    tensors.write(path, weights, header)
    with pytest.raises(AudiopgError, match=r"encoder\.safetensors: .*norm\.bias"):
        load_encoder(path, MICRO, quick.features)
