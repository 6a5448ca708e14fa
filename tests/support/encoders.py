"""Encoders on disk, as pre-training leaves them, without pre-training."""

from pathlib import Path

from audiopg import storage
from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained
from audiopg.provenance import stages


def checkpoint(folder: Path, cfg: Config) -> Path:
    """Write the weights that pre-training starts from, and what a run card says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "encoder.safetensors"
    save_encoder(path, untrained(cfg.encoder, cfg.seed), cfg.features)
    storage.write_json(
        folder / "run.json",
        {"params": stages.reads(cfg, "pretrain"), "outputs": {path.as_posix(): storage.file_digest(path)}},
    )
    return path
