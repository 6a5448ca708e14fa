"""The stage that trains an encoder on the synthetic corpus, made on the fly."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from audiopg import compute, config, rng, storage, tensors
from audiopg.compute import Backend
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.checkpoint import save_encoder
from audiopg.models.mae import Found, MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.philox import uniforms
from audiopg.provenance import run_cards, stages
from audiopg.synth.physics import Physics
from audiopg.synth.score import clip_name
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.curves import Curves
from audiopg.train.drop import drop_path
from audiopg.train.feed import Batch, check_division
from audiopg.train.loop import Training
from audiopg.train.physics import PhysicsLoss
from audiopg.train.twins import twins_loss

LAST_STEPS = 50  # the final loss is their mean


@dataclass(frozen=True)
class Outputs:
    """Files that the stage writes."""

    encoder: Path
    """Weights of the encoder."""
    model: Path
    """Weights of encoder, decoder and heads."""
    loss: Path
    """Loss of each step, CSV."""
    card: Path
    """Run card, JSON."""


class Corpus:
    """Steps through the synthetic corpus: each sees the clips after those of the step before."""

    def __init__(self, cfg: config.Config, backend: Backend) -> None:
        """Take all parameters, and what makes the clips."""
        self.cfg = cfg
        n_threads = None if backend.n_feeders == 1 else 1  # feeders have a core each
        self.clips = SyntheticClips(cfg.synth, cfg.features, cfg.seed, backend.device, backend.synth_device, n_threads)
        self.n_patches = math.prod(cfg.grid(cfg.synth.clip_s))
        self.physics = Physics(cfg.synth) if cfg.pretrain.objectives.physics else None

    def n_clips(self, step: int) -> int:  # noqa: ARG002  (all steps have as many)
        """Count the clips of a step."""
        return self.cfg.pretrain.batch_size

    def part(self, step: int, places: range) -> Batch:
        """Return spectrograms (B, F, M), mask noise (B, L) and drop-path factors (depth, 2, B) of some clips.

        With a weight of the physics, its targets follow, as `Physics.targets`.
        """
        recipe = self.cfg.pretrain
        first = step * recipe.batch_size
        indices = range(first + places.start, first + places.stop)
        noise = torch.from_numpy(uniforms(self.cfg.seed, "pretrain/mask", indices, self.n_patches))
        draw = rng.generator(self.cfg.seed, "pretrain/drop_path", step)
        drop_path_scale = drop_path(recipe.drop_path, self.cfg.encoder.shape.depth, recipe.batch_size, draw)
        drop_path_scale = None if drop_path_scale is None else drop_path_scale[:, :, places.start : places.stop]
        if self.physics is None:
            return self.clips.batch(indices), noise, drop_path_scale
        spectrograms, score = self.clips.with_score(indices)
        return spectrograms, noise, drop_path_scale, torch.from_numpy(self.physics.targets(score))

    def names(self, step: int) -> str:
        """Name the first and the last clip of a step."""
        size = self.cfg.pretrain.batch_size
        return f"clips {clip_name(self.cfg.seed, step * size)}..{clip_name(self.cfg.seed, (step + 1) * size - 1)}"


def objective(corpus: Corpus, device: torch.device) -> Callable[[nn.Module, Batch], Tensor]:
    """Return the loss of a part of a step: that of each objective times its weight, added up.

    Args:
        corpus: makes the parts.
        device: what the loss is computed on.
    """
    weights, n_clips = corpus.cfg.pretrain.objectives, corpus.cfg.synth.identity.n_clips
    physics_loss = None if corpus.physics is None else PhysicsLoss(corpus.physics, device)

    def loss_of(run: nn.Module, batch: Batch) -> Tensor:
        spectrograms, noise, *others = batch
        drop_path_scale, targets = others[0], others[-1]
        found: Found = run(spectrograms, noise, drop_path_scale)
        losses = []
        if found.loss is not None:
            losses.append(weights.reconstruction * found.loss)
        if physics_loss is not None:
            assert found.physics is not None  # the model has a head
            assert targets is not None  # and the corpus targets
            losses.append(weights.physics * physics_loss(found.physics, targets))
        if found.identity is not None:
            losses.append(weights.twins * twins_loss(found.identity, n_clips))
        return torch.stack(losses).sum()

    return loss_of


def model_of(cfg: config.Config) -> MaskedAutoencoder:
    """Build the model that the objectives of the parameters need, its weights not set."""
    recipe = cfg.pretrain
    return MaskedAutoencoder(
        cfg.encoder,
        recipe.decoder if recipe.objectives.reconstruction else None,
        recipe.mask_ratio,
        Physics(cfg.synth).n_outputs if recipe.objectives.physics else 0,
        twins=recipe.objectives.twins > 0,
    )


def run(cfg: config.Config, resume: Path, curves: Path, outputs: Outputs) -> None:
    """Pre-train an encoder; continue exactly where an interrupted run with the same parameters stopped.

    Args:
        cfg: all parameters.
        resume: folder for the state while the run lasts.
        curves: folder for the curves, which stay.
        outputs: where the results go.

    Raises:
        AudiopgError: no such device, a loss that is not finite, a full disk, physics asked for where nothing varies.
    """
    recipe = cfg.pretrain
    backend = compute.backend(cfg.compute, recipe.n_threads, trains=True)
    check_division("pretrain", recipe, backend, cfg.synth.identity.n_clips if recipe.objectives.twins else 1)
    reads = stages.reads(cfg, "pretrain")
    run_digest = run_cards.run_digest("pretrain", reads, [], backend.name)
    corpus = Corpus(cfg, backend)
    model = model_of(cfg)
    initialise(model, cfg.seed)
    model.to(backend.device)
    training = Training(
        model,
        recipe.optimizer,
        recipe.n_steps,
        budget_s=math.inf if recipe.budget_min is None else 60 * recipe.budget_min,
        accumulate=recipe.accumulate,
    )
    checkpoints = Checkpoints(resume, run_digest, 60 * recipe.save_every_min)
    training.fit(
        corpus,
        objective(corpus, backend.device),
        backend,
        "pretrain",
        checkpoints,
        curves=Curves(curves) if backend.is_main_process else None,
    )
    if not backend.is_main_process:
        return
    training.ema.settle()
    tensors.write(outputs.model, model.state_dict(), {"run": run_digest})
    losses = training.loss_table()
    storage.write_table(outputs.loss, losses)
    save_encoder(outputs.encoder, model.encoder, cfg.features)
    n_clips = training.step * recipe.batch_size
    final_loss = losses["loss"].tail(LAST_STEPS).mean()
    run_cards.write_card(
        outputs.card,
        "pretrain",
        reads,
        [],
        [outputs.encoder, outputs.model, outputs.loss],
        device=backend.name,
        first_clip=clip_name(cfg.seed, 0),
        last_clip=clip_name(cfg.seed, n_clips - 1),
        clips_seen=n_clips,
        final_loss=None if math.isnan(final_loss) else round(final_loss, 6),
    )
    checkpoints.clear()
