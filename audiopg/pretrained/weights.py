"""Where a pre-trained encoder comes from: a checkpoint with its run card, an exported folder, or this package."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError

from audiopg import config, storage, tensors
from audiopg.audio.files import check_names
from audiopg.errors import AudiopgError
from audiopg.file_kind import unlike_tensors
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import Encoder

SHIPPED = Path(__file__).parent / "shipped"
CHECKPOINT = "encoder.safetensors"
RUN_CARD = "run.json"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
MODEL_TYPE = "audiopg"
REMEDY = "`audiopg export` writes such a folder"


class Weights(NamedTuple):
    """An encoder in evaluation mode on the CPU, the features that it takes, and the length of what it learnt from."""

    encoder: Encoder
    features: config.Features
    clip_s: float
    """A whole number of patches."""


def load(path: Path) -> Weights:
    """Read a checkpoint that pre-training wrote, or a folder that `audiopg export` wrote: no network, no pickle.

    Raises:
        AudiopgError: as `checkpoint` or `exported`.
    """
    return checkpoint(path) if path.is_file() or path.suffix == ".safetensors" else exported(path)


def checkpoint(path: Path) -> Weights:
    """Read a checkpoint, and the length of its clips from the run card next to it.

    Raises:
        AudiopgError: as `read_checkpoint`, or the card is missing, or is of another run.
    """
    encoder, features = read_checkpoint(path)
    return Weights(encoder, features, _clip_s(path, encoder.config, features))


def read_checkpoint(path: Path) -> tuple[Encoder, config.Features]:
    """Read the weights that pre-training wrote, with the sizes and features in their header.

    Returns:
        The encoder, in evaluation mode on the CPU, and the features that it takes.

    Raises:
        AudiopgError: no such file, damaged, not an encoder's, or of another version.
    """
    check_names([path])
    kind = unlike_tensors(path) if path.exists() else ""
    if kind:
        msg = (
            f"{path}: is {kind}, not the weights of an audiopg encoder; `audiopg pretrain` writes those as {CHECKPOINT}"
        )
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
    return _filled(path, encoder, features), features


def exported(folder: Path) -> Weights:
    """Read an exported folder: no network, no pickle.

    Raises:
        AudiopgError: there is no such folder, a file is missing or damaged, the configuration is not of an audiopg
            encoder, or the weights are not those that it describes.
    """
    check_names([folder])
    if not folder.exists():
        msg = f"{folder}: no such folder; {REMEDY}"
        raise AudiopgError(msg)
    if not (folder / CONFIG).exists() and (folder / CHECKPOINT).exists():
        msg = f"{folder}: is the folder of a checkpoint, not of an export; name {folder / CHECKPOINT}"
        raise AudiopgError(msg)
    facts = _facts(folder / CONFIG)
    encoder, features, clip_s = _sections(facts, folder / CONFIG)
    weights = folder / WEIGHTS
    if not weights.is_file():
        msg = f"{weights}: no such file; {REMEDY}"
        raise AudiopgError(msg)
    if storage.file_digest(weights) != facts.get("weights_sha256"):
        msg = f"{weights}: damaged, or not the weights that {CONFIG} describes; copy the folder again"
        raise AudiopgError(msg)
    try:
        return Weights(_filled(weights, encoder, features), features, clip_s)
    except AudiopgError:  # the file is whole, so it is for another encoder, or for other features
        msg = f"{weights}: not made for the encoder and features of {CONFIG}; copy the folder again"
        raise AudiopgError(msg) from None


def _filled(path: Path, encoder: config.Encoder, features: config.Features) -> Encoder:
    """Build the encoder, and replace its first weights, which torch draws, without a trace in torch's generator."""
    with torch.random.fork_rng(devices=[]):
        return load_encoder(path, encoder, features).eval()


def _clip_s(path: Path, encoder: config.Encoder, features: config.Features) -> float:
    """Return the length of the clips that an encoder was pre-trained on, in s, by the run card next to it."""
    card_path = path.with_name(RUN_CARD)
    if not card_path.exists():
        msg = f"{card_path}: no run card next to {path.name}; it gives the length of the clips, keep the two together"
        raise AudiopgError(msg)
    card = storage.read_json(card_path)
    try:
        clip_s = float(card["params"]["synth"]["clip_s"])
        known = storage.file_digest(path) in card["outputs"].values() and _is_whole(clip_s, encoder, features)
    except (KeyError, TypeError, ValueError, AttributeError):
        known = False
    if not known:
        msg = f"{card_path}: not the run card of {path.name}; keep the files of one pre-training together"
        raise AudiopgError(msg)
    return clip_s


def _is_whole(clip_s: float, encoder: config.Encoder, features: config.Features) -> bool:
    return clip_s > 0 and features.n_frames(clip_s) % encoder.patch_frames == 0


def _facts(path: Path) -> dict[str, Any]:
    """Read the configuration. It was copied or downloaded, so that no run here can make it again."""
    try:
        return storage.read_json(path)
    except AudiopgError:
        problem = "not a JSON mapping; copy the folder again" if path.is_file() else f"no such file; {REMEDY}"
        msg = f"{path}: {problem}"
        raise AudiopgError(msg) from None


def _sections(facts: dict[str, Any], path: Path) -> tuple[config.Encoder, config.Features, float]:
    """Check the configuration and return what it says of the encoder."""
    try:
        if facts["model_type"] != MODEL_TYPE:
            msg = f"{path}: model_type is {facts['model_type']!r}, not '{MODEL_TYPE}'; {REMEDY}"
            raise AudiopgError(msg)
        encoder = config.Encoder.model_validate(facts["encoder"])
        features = config.Features.model_validate(facts["features"])
        clip_s = float(facts["clip_s"])
        if _is_whole(clip_s, encoder, features):
            return encoder, features, clip_s
        msg = f"{path}: clip_s: {clip_s:g} s are no whole number of patches; {REMEDY}"
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(str(part) for part in mistake["loc"])
        msg = f"{path}: {error.title.lower()}.{place}: {mistake['msg']}; {REMEDY}"
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path}: not the configuration of an encoder ({error}); {REMEDY}"
    raise AudiopgError(msg)
