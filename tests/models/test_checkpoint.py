"""Encoders on disk."""

from pathlib import Path

import pytest
import torch
from support.models import MICRO, mae, spectrograms

from audiopg import config, tensors
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.models.checkpoint import load_encoder, save_encoder


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
