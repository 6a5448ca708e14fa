"""Encoders on disk, as pre-training leaves them, without pre-training."""

from pathlib import Path

from audiopg import params, storage
from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained


def checkpoint(folder: Path, cfg: Config) -> Path:
    """Write the weights that pre-training starts from, and what a run card says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "encoder.safetensors"
    save_encoder(path, untrained(cfg.encoder, cfg.seed), cfg.features)
    storage.write_json(
        folder / "run.json",
        {"params": params.reads(cfg, "pretrain"), "outputs": {path.as_posix(): storage.file_digest(path)}},
    )
    return path
