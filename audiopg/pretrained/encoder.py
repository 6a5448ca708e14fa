"""A pre-trained encoder without params.yaml: its checkpoint, and an exported folder, which takes waveforms."""

import math
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from audiopg import config, storage, tensors
from audiopg.audio.files import check_names
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.file_kind import unlike_tensors
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import Encoder
from audiopg.pretrained.hub.client import local_folder
from audiopg.pretrained.waveforms import as_tensor, check_level

CHECKPOINT = "encoder.safetensors"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
MODEL_TYPE = "audiopg"
REMEDY = "`audiopg export` writes such a folder"


def load_checkpoint(path: Path) -> tuple[Encoder, config.Features]:
    """Read the weights that pre-training wrote, with the sizes and features in their header.

    Returns:
        The encoder, in evaluation mode on the CPU, and the features that it takes.

    Raises:
        AudiopgError: no such file, damaged, not an encoder's, or of another version.
    """
    check_names([path])
    kind = unlike_tensors(path) if path.exists() else ""
    if kind:
        inside = next((path / name for name in (CHECKPOINT, WEIGHTS) if (path / name).is_file()), None)
        remedy = f"name {inside}" if inside else f"`audiopg pretrain` writes those as {CHECKPOINT}"
        msg = f"{path}: is {kind}, not the weights of an audiopg encoder; {remedy}"
        raise AudiopgError(msg)
    header = tensors.read(path)[1]
    if not {"encoder", "features"} <= header.keys():
        msg = f"{path}: not the weights of an encoder; `audiopg pretrain` writes them as {CHECKPOINT}"
        raise AudiopgError(msg)
    try:
        encoder = config.Encoder.model_validate_json(header["encoder"])
        features = config.Features.model_validate_json(header["features"])
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        msg = f"{path}: written by another version, or not the weights of an encoder ({reason}); pre-train again"
        raise AudiopgError(msg) from None
    return load_encoder(path, encoder, features).eval(), features


class AudioEncoder(nn.Module):
    """The log-mel front end and the encoder behind it.

    ``AudioEncoder.from_pretrained(folder)`` reads what ``audiopg export`` wrote, here or on a model hub. The embedding
    of a clip is the mean of its tokens: ``model(waveform).mean(dim=1)``.

    >>> from audiopg.config.profile import load
    >>> cfg = load("quick")
    >>> model = AudioEncoder(Encoder(cfg.encoder), cfg.features).eval()  # without from_pretrained: random weights
    >>> model(torch.zeros(1, 16000)).shape  # a second of sound: 13 x 8 patches of width 128
    torch.Size([1, 104, 128])
    """

    def __init__(self, encoder: Encoder, features: config.Features) -> None:
        """Put the front end of the ``features`` section before an encoder."""
        super().__init__()
        self.log_mel = LogMel(features)
        self.encoder = encoder

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the waveforms, in Hz."""
        return self.log_mel.features.sample_rate_hz

    def forward(self, waveform: Tensor | ArrayLike) -> Tensor:
        """Encode waveforms of one length.

        Args:
            waveform: mono at `sample_rate_hz`, shape (B, T), float32, full scale is 1. Silence fills the last patch. An
                array or nested lists of floating-point numbers are taken to the device of the weights.

        Returns:
            Tokens, time-major, shape (B, L, D), float32: one per patch of the spectrogram.

        Raises:
            ValueError: another shape or type, no samples, or some that are not finite or far beyond full scale.
        """
        if not isinstance(waveform, Tensor):
            waveform = as_tensor(waveform).to(self.encoder.embed.weight.device)
        if waveform.ndim != 2 or not waveform.numel() or waveform.dtype != torch.float32:  # noqa: PLR2004
            msg = f"waveform: float32 of shape (B, T) is needed, found {waveform.dtype} {tuple(waveform.shape)}"
            raise ValueError(msg)
        check_level(waveform)
        patch = self.encoder.config.patch_frames * self.log_mel.hop
        missing = math.ceil(waveform.shape[1] / patch) * patch - waveform.shape[1]
        tokens: Tensor = self.encoder(self.log_mel(functional.pad(waveform, (0, missing))))
        return tokens

    @classmethod
    def from_checkpoint(cls, path: Path) -> "AudioEncoder":
        """Read the weights that pre-training wrote; returns and errors as `load_checkpoint`."""
        return cls(*load_checkpoint(path))

    @classmethod
    def from_pretrained(cls, path: str | Path, revision: str | None = None) -> "AudioEncoder":
        """Read an exported folder, in evaluation mode on the CPU: no pickle, no code, and no network for a folder here.

        Args:
            path: the folder, or ``"user/repo"`` on a model hub where there is no folder of that name.
            revision: branch, tag or commit of the repository.

        Raises:
            AudiopgError: there is no such folder or repository, a file is missing or damaged, the configuration is not
                of an audiopg encoder, or the weights are not those that it describes.
        """
        folder = local_folder(path, (CONFIG, WEIGHTS), revision)
        check_names([folder])
        if not folder.is_dir():
            problem = f"is {unlike_tensors(folder) or 'a file'}, not a folder" if folder.exists() else "no such folder"
            msg = f"{folder}: {problem}; {REMEDY}"
            raise AudiopgError(msg)
        facts = _facts(folder / CONFIG)
        encoder, features = _sections(facts, folder / CONFIG)
        weights = folder / WEIGHTS
        if not weights.is_file():
            msg = f"{weights}: no such file; {REMEDY}"
            raise AudiopgError(msg)
        if storage.file_digest(weights) != facts.get("weights_sha256"):
            msg = f"{weights}: damaged, or not the weights that {CONFIG} describes; copy the folder again"
            raise AudiopgError(msg)
        try:
            return cls(load_encoder(weights, encoder, features), features).eval()
        except AudiopgError:  # the file is whole, so it is for another encoder, or for other features
            msg = f"{weights}: not made for the encoder and features of {CONFIG}; copy the folder again"
            raise AudiopgError(msg) from None


def _facts(path: Path) -> dict[str, Any]:
    """Read the configuration. It was copied or downloaded, so that no run here can make it again."""
    try:
        return storage.read_json(path)
    except AudiopgError:
        problem = "not JSON; copy the folder again" if path.is_file() else f"no such file; {REMEDY}"
        msg = f"{path}: {problem}"
        raise AudiopgError(msg) from None


def _sections(facts: dict[str, Any], path: Path) -> tuple[config.Encoder, config.Features]:
    """Check the configuration and return its two sections."""
    try:
        if facts["model_type"] != MODEL_TYPE:
            msg = f"{path}: model_type is {facts['model_type']!r}, not '{MODEL_TYPE}'; {REMEDY}"
            raise AudiopgError(msg)
        return config.Encoder.model_validate(facts["encoder"]), config.Features.model_validate(facts["features"])
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(str(part) for part in mistake["loc"])
        msg = f"{path}: {error.title.lower()}.{place}: {mistake['msg']}; {REMEDY}"
    except (KeyError, TypeError) as error:
        msg = f"{path}: not the configuration of an encoder ({error}); {REMEDY}"
    raise AudiopgError(msg)
