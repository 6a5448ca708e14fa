"""The stage that trains a masked autoencoder on the synthetic corpus, made on the fly."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiopg import closure, compute, config, params, provenance, storage
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.checkpoint import save_encoder
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.philox import uniforms
from audiopg.synth.score import clip_name
from audiopg.train.loop import Resume, Training


@dataclass(frozen=True)
class Outputs:
    """Files that the stage leaves."""

    encoder: Path
    """Weights of the encoder."""
    state: Path
    """Weights of encoder and decoder, optimiser, losses."""
    loss: Path
    """Loss of each step, CSV."""
    card: Path
    """Run card, JSON."""


def run(cfg: config.Config, resume: Path, outputs: Outputs) -> None:
    """Pre-train an encoder; continue exactly where an interrupted run with the same parameters stopped.

    Args:
        cfg: all parameters.
        resume: file for the state while the run lasts.
        outputs: where the results go.

    Raises:
        AudiopgError: no such device, a loss that is not finite, a full disk.
    """
    backend = compute.backend(cfg.compute, cfg.pretrain.n_threads)
    reads, code = params.reads(cfg, "pretrain"), closure.digest(__name__)
    run_digest = hashlib.sha256((params.canonical(reads) + code + backend.name).encode()).hexdigest()
    clips = SyntheticClips(cfg.synth, cfg.features, cfg.seed, backend.device)
    model = MaskedAutoencoder(cfg.encoder, cfg.pretrain.decoder, cfg.pretrain.mask_ratio)
    initialise(model, cfg.seed)
    model.to(backend.device)
    n_time, n_frequency = cfg.grid(cfg.synth.clip_s)
    batch_size = cfg.pretrain.batch_size

    def batch_of(step: int) -> tuple[Tensor, Tensor]:
        indices = range(step * batch_size, (step + 1) * batch_size)
        noise = torch.from_numpy(uniforms(cfg.seed, "pretrain/mask", indices, n_time * n_frequency))
        return clips.batch(indices), noise.to(backend.device)

    training = Training(model, cfg.pretrain.optimizer, cfg.pretrain.n_steps)
    training.fit(
        batch_of,
        lambda batch: model(*batch).loss,
        backend,
        "pretrain",
        batch_size,
        Resume(resume, run_digest, cfg.pretrain.save_every),
    )
    training.save(outputs.state, {"run": run_digest})
    losses = training.loss_table()
    storage.write_table(outputs.loss, losses)
    save_encoder(outputs.encoder, model.encoder, cfg.features)
    n_clips = cfg.pretrain.n_steps * batch_size
    provenance.write_card(
        outputs.card,
        "pretrain",
        reads,
        [],
        [outputs.encoder, outputs.state, outputs.loss],
        device=backend.name,
        first_clip=clip_name(cfg.seed, 0),
        last_clip=clip_name(cfg.seed, n_clips - 1),
        clips_seen=n_clips,
        final_loss=round(losses["loss"].tail(50).mean(), 6),
    )
    resume.unlink(missing_ok=True)
