"""Embeddings of any sound by a pre-trained encoder, with the interface of the HEAR benchmark (Turian et al., 2022)."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from audiopg.models.readout import USUAL, ReadOut
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.waveforms import as_tensor
from audiopg.pretrained.weights import SHIPPED


class Model(nn.Module):
    """An encoder with the attributes that the benchmark asks for."""

    def __init__(self, encoder: AudioEncoder) -> None:
        """Take the encoder; its weights are never changed here."""
        super().__init__()
        self.encoder = encoder
        self.sample_rate = encoder.sample_rate_hz
        self.scene_embedding_size = encoder.embedding_size
        self.timestamp_embedding_size = encoder.timestamp_embedding_size


def load_model(model_file_path: str = "", readout: ReadOut = USUAL) -> Model:
    """Load a pre-trained encoder, onto the CPU.

    Args:
        model_file_path: as for `AudioEncoder.from_pretrained`; if empty, the encoder that comes with this package.
        readout: what an embedding is, as for `AudioEncoder`.

    Raises:
        AudiopgError: as `AudioEncoder.from_pretrained`.
        ValueError: the encoder has no such layer.
    """
    return Model(AudioEncoder.from_pretrained(model_file_path or SHIPPED, readout))


def get_scene_embeddings(audio: Tensor | ArrayLike, model: Model) -> Tensor:
    """Embed whole sounds.

    Args:
        audio: mono waveforms at the model's sample rate, shape (n_sounds, n_samples), in [-1, 1]: a tensor, an array
            or nested lists.
        model: of `load_model`.

    Returns:
        Shape (n_sounds, scene_embedding_size), float32, on the model's device, without gradient.

    Raises:
        ValueError: the audio is not of that shape, not floating-point, has no samples, or any that are not finite or
            far beyond full scale.
    """
    return model.encoder.embed(_several(audio), model.sample_rate)


def get_timestamp_embeddings(audio: Tensor | ArrayLike, model: Model) -> tuple[Tensor, Tensor]:
    """Embed sounds at regular times, at most 50 ms apart where a patch can be divided so.

    Args:
        audio: mono waveforms at the model's sample rate, shape (n_sounds, n_samples), in [-1, 1]: a tensor, an array
            or nested lists.
        model: of `load_model`.

    Returns:
        Embeddings, shape (n_sounds, n_timestamps, timestamp_embedding_size), and the times that they are centred on, in
        ms from the beginning, shape (n_sounds, n_timestamps); float32, on the model's device, without gradient.

    Raises:
        ValueError: as for `get_scene_embeddings`.
    """
    sounds = _several(audio)
    embeddings, times_ms = model.encoder.embed_over_time(sounds, model.sample_rate)
    return embeddings, times_ms.to(embeddings.device, torch.float32).expand(len(sounds), -1)


def _several(audio: Tensor | ArrayLike) -> Tensor:
    """Return a batch of waveforms as a tensor, and refuse a single one, whose samples would count as sounds."""
    audio = as_tensor(audio)
    if audio.ndim != 2:  # noqa: PLR2004  (sounds and samples)
        msg = f"audio: shape (n_sounds, n_samples) is needed, found {tuple(audio.shape)}"
        raise ValueError(msg)
    return audio
