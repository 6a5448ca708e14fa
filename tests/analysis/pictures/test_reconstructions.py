"""Reconstructions: the weights of a pre-training as their source, the model's own loss, decibels by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from audiopg import tensors
from audiopg.analysis.pictures import reconstructions
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.philox import uniforms

INDICES = [3, 1 << 40, 8]


def autoencoder(cfg: Config) -> MaskedAutoencoder:
    model = MaskedAutoencoder(cfg.encoder, cfg.pretrain.decoder, cfg.pretrain.mask_ratio)
    initialise(model, 1)
    return model


def spectrograms() -> torch.Tensor:
    return torch.randn(3, 96, 128, generator=torch.Generator().manual_seed(1))


def test_what_a_pre_training_has_written_is_read_without_its_heads(tiny: Config, tmp_path: Path) -> None:
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, tiny.pretrain.mask_ratio, 5, twins=True)
    initialise(model, 1)
    tensors.write(tmp_path / "model.safetensors", model.state_dict(), {})
    found = reconstructions.load(tmp_path / "model.safetensors", tiny.encoder, tiny.pretrain)
    assert found is not None
    weights = model.state_dict()
    assert {name.partition(".")[0] for name in weights.keys() - found.state_dict().keys()} == {"physics", "projection"}
    assert all(torch.equal(weight, weights[name]) for name, weight in found.state_dict().items())


def test_a_model_without_a_weight_is_an_error_of_one_line(tiny: Config, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    weights = autoencoder(tiny).state_dict()
    del weights["decoder.predict.bias"]
    tensors.write(path, weights, {})
    with pytest.raises(AudiopgError, match=r"model\.safetensors: .*predict\.bias.*; pre-train again") as caught:
        reconstructions.load(path, tiny.encoder, tiny.pretrain)
    assert "\n" not in str(caught.value)


def test_unpatch_undoes_patches(tiny: Config) -> None:
    encoder = autoencoder(tiny).encoder
    assert torch.equal(reconstructions.unpatch(encoder.patches(spectrograms()), encoder, 128), spectrograms())


@torch.no_grad()
def test_the_error_is_the_loss_of_the_model_and_is_seen_in_the_picture(tiny: Config) -> None:
    model = autoencoder(tiny)
    found = reconstructions.reconstruct(model, spectrograms(), INDICES, 7)
    noise = torch.from_numpy(uniforms(7, "latent/mask", INDICES, 48))
    for clip in range(3):
        own = model(spectrograms()[clip : clip + 1], noise[clip : clip + 1]).loss
        assert found.loss[clip].item() == pytest.approx(own.item(), rel=1e-5)
    # the same from the spectrograms that are shown
    original, pasted, masked = (
        model.encoder.patches(part.double()) for part in (found.original, found.pasted, found.masked)
    )
    error = ((pasted - original) ** 2 / (original.var(dim=-1, keepdim=True) + 1e-6)).mean(dim=-1)
    shown = (error * masked[..., 0]).sum(dim=1) / masked[..., 0].sum(dim=1)
    torch.testing.assert_close(shown.float(), found.loss, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.pasted[~found.masked], found.original[~found.masked])
    assert masked[..., 0].sum(dim=1).tolist() == [36] * 3


def test_a_mask_belongs_to_its_clip(tiny: Config) -> None:
    model = autoencoder(tiny)
    together = reconstructions.reconstruct(model, spectrograms(), INDICES, 7)
    alone = reconstructions.reconstruct(model, spectrograms()[1:2], INDICES[1:2], 7)
    assert torch.equal(alone.masked[0], together.masked[1])
    assert not torch.equal(together.masked[0], together.masked[1])


def test_decibels_by_hand(tiny: Config) -> None:
    """Ten times the power is 10 dB more."""
    log_power = torch.tensor([math.log(1e-3), math.log(1e-2)])
    value = (log_power - tiny.features.norm_mean) / (2 * tiny.features.norm_std)
    original = value.view(1, 1, 2).expand(1, 4, 2)
    masked = torch.zeros(1, 4, 2, dtype=torch.bool)
    found = reconstructions.Reconstruction(original, original.flip(2), masked, torch.zeros(1))
    table = reconstructions.table(found, [5], tiny.features)
    assert table.columns.tolist() == ["clip", "frame", "mel", "original_db", "reconstructed_db", "masked"]
    assert table["original_db"].tolist() == [-30, -20] * 4
    assert table["reconstructed_db"].tolist() == [-20, -30] * 4
    assert set(table["clip"]) == {5}
    assert table["frame"].tolist() == np.repeat(range(4), 2).tolist()


def test_the_picture_has_two_themes(tiny: Config, tmp_path: Path) -> None:
    found = reconstructions.reconstruct(autoencoder(tiny), spectrograms()[:1], INDICES[:1], 7)
    table = reconstructions.table(found, INDICES[:1], tiny.features)
    reconstructions.picture(table, tiny.features, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "a-dark.png").read_bytes()


def test_where_nothing_was_reconstructed_the_picture_says_so(tiny: Config, tmp_path: Path) -> None:
    objectives = tiny.pretrain.objectives.model_copy(update={"reconstruction": 0.0, "physics": 1.0})
    pretrain = tiny.pretrain.model_copy(update={"objectives": objectives})
    assert reconstructions.load(tmp_path / "none.safetensors", tiny.encoder, pretrain) is None
    table = reconstructions.table(None, range(2), tiny.features)
    assert list(table) == reconstructions.COLUMNS
    assert table.empty
    reconstructions.picture(table, tiny.features, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size < (50 << 10)
