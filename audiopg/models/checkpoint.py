"""Encoder weights on disk: safetensors, with the sizes they belong to in the header."""

from pathlib import Path
from typing import TYPE_CHECKING

from audiopg import tensors
from audiopg.errors import AudiopgError
from audiopg.models.vit import Encoder

if TYPE_CHECKING:
    from audiopg import config


def save_encoder(path: Path, encoder: Encoder, features: "config.Features") -> None:
    """Write an encoder's weights and the features that it takes."""
    header = {"encoder": encoder.config.model_dump_json(), "features": features.model_dump_json()}
    tensors.write(path, encoder.state_dict(), header)


def load_encoder(path: Path, encoder: "config.Encoder", features: "config.Features") -> Encoder:
    """Read the weights that `save_encoder` wrote.

    Raises:
        AudiopgError: no such file, damaged, or made for another size or other features; the message names both.
    """
    weights, header = tensors.read(path)
    for name, wanted in (("encoder", encoder.model_dump_json()), ("features", features.model_dump_json())):
        found = header.get(name, "nothing")
        if found != wanted:
            msg = f"{path}: made for {name} {found}, but params.yaml has {wanted}; pre-train again"
            raise AudiopgError(msg)
    model = Encoder(encoder)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        msg = f"{path}: {' '.join(str(error).split())}; pre-train again"
        raise AudiopgError(msg) from None
    return model
