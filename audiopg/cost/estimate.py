"""What each stage of a configuration will take, before it runs: FLOPs, memory, data rate and time."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from audiopg import config
from audiopg.analysis import activations
from audiopg.cost import flops
from audiopg.cost.flops import Flops
from audiopg.cost.saves import Saves
from audiopg.cost.speed import FLOAT32_SHARE, Rates, Speed
from audiopg.evaluate import embeddings
from audiopg.evaluate.protocol import N_DRAWS
from audiopg.tasks.card import Card
from audiopg.tasks.registry import find
from audiopg.tasks.task import Download

WRITTEN = (
    "Written GB counts the states of pre-training and fine-tuning, and the weights that pre-training keeps; not "
    "recordings, spectrograms, tables and pictures. A state has 12 bytes per weight, 4 more for the best epoch's "
    "weights, 4 more for averaged weights. "
    "One is saved when save_every_min has passed and at least as much time is left."
)
SEARCHING = (
    "A search trains every candidate with what is left of the training recordings, and then the best one with all of "
    "them; that is taken to be one of most epochs."
)


@dataclass(frozen=True)
class Row:
    """What one stage takes, for one task where it has several, over all its folds."""

    stage: str
    task: str
    """Empty where the stage has none."""
    n_runs: int
    n_parameters: int
    flops: Flops
    """Of one clip."""
    memory_bytes: int
    """Of the device, the largest of a run."""
    rates: Rates
    """What the device sustains."""
    clips_trained: int = 0
    clips_evaluated: int = 0
    """Windows of recordings, or clips of the probe corpus, times the encoders that see them."""
    saves: Saves | None = None
    """What each run writes while it trains; None where nothing is trained."""

    @property
    def device_flops(self) -> int:
        """FLOPs on the device."""
        return self.flops.training * self.clips_trained + self.flops.forward * self.clips_evaluated

    @property
    def clips_per_s(self) -> float:
        """Data rate that keeps the device busy, in training where there is any."""
        if self.clips_trained:
            return self.rates.training / self.flops.training
        return self.rates.evaluation / self.flops.forward

    @property
    def train_s(self) -> float:
        """Expected time of all trainings in s."""
        return self.flops.training * self.clips_trained / self.rates.training

    @property
    def time_s(self) -> float:
        """Expected time in s: training, then evaluation."""
        return self.train_s + self.flops.forward * self.clips_evaluated / self.rates.evaluation

    def written_bytes(self, train_s: float) -> int:
        """Return the bytes that all runs write, if their trainings take so many seconds together."""
        return 0 if self.saves is None else self.n_runs * self.saves.written_bytes(train_s / self.n_runs)


def n_used(card: Card, n_clips: int, share: float) -> int:
    """Recordings that a share of some training recordings is, one of each class at least, give or take the rounding."""
    return max(round(share * n_clips), 1 if card.multi_label else card.n_classes)


def is_reduced(cfg: config.Config) -> bool:
    """Tell whether training is in 16 bits; ``auto`` is in bfloat16, on the devices that this is about."""
    return cfg.compute.precision != "float32"


def rows(cfg: config.Config, speed: Speed) -> list[Row]:
    """Tell what each stage takes that learns or embeds: pretrain; finetune, scratch and probe of each task; latent.

    Raises:
        AudiopgError: unknown task, or own recordings whose list is wrong.
    """
    return [
        _pretrain(cfg, speed),
        *(_finetune(cfg, stage, task, speed) for stage in ("finetune", "scratch") for task in cfg.tasks),
        *(_probe(cfg, task, speed) for task in cfg.tasks),
        _latent(cfg, speed),
    ]


def _pretrain(cfg: config.Config, speed: Speed) -> Row:
    reduced, n_parameters, clip = is_reduced(cfg), flops.parameters(cfg).pretrain, flops.autoencoder_flops(cfg)
    kept, rates = flops.autoencoder_activations(cfg, reduced=reduced), _rates(cfg, speed)
    if cfg.pretrain.n_steps is None:
        assert cfg.pretrain.budget_min is not None  # one of both is set
        clips_trained = round(60 * cfg.pretrain.budget_min * rates.training / clip.training)
    else:
        clips_trained = cfg.pretrain.n_steps * cfg.pretrain.batch_size
    return Row(
        stage="pretrain",
        task="",
        n_runs=1,
        n_parameters=n_parameters,
        flops=clip,
        memory_bytes=_training_memory(n_parameters, kept, cfg.pretrain, reduced=reduced, selects=False),
        rates=rates,
        clips_trained=clips_trained,
        # the whole model, and its encoder once more
        saves=Saves.of(n_parameters, cfg.pretrain, selects=False, n_kept=n_parameters + flops.parameters(cfg).encoder),
    )


def _finetune(cfg: config.Config, stage: str, task: str, speed: Speed) -> Row:
    """Fine-tuning on all folds; with a split there is a validation after each epoch.

    The clips that are evaluated are also those that a standardised head takes its statistics from. A search trains all
    candidates with what is left of the training recordings, and scores each of them once; the last training is counted
    with most epochs.
    """
    recipe, reduced, (card, windows) = cfg.recipe(task), is_reduced(cfg), _card(cfg, task)
    share = cfg.task(task).train_share
    n_time, n_bands = cfg.grid(cfg.task(task).clip_s)
    n_parameters = flops.classifier_parameters(cfg.encoder, card.n_classes, recipe.pooling, n_bands)
    n_kept = config.n_visible(n_time, recipe.patch_drop) * n_bands
    kept = flops.encoder_activations(cfg.encoder, n_kept, reduced=reduced)
    selects = card.protocol == "split"
    searched = recipe.candidates if len(recipe.candidates) > 1 else []
    tried, last = sum(n_epochs for _, n_epochs in searched), max(n_epochs for _, n_epochs in recipe.candidates)
    if selects:
        n_train = n_learns = n_used(card, card.sizes[0], share)
        n_compared, n_evaluated = card.sizes[1], last * card.sizes[1] + card.sizes[2]
    else:
        n_train, n_evaluated = sum(n_used(card, card.n_clips - size, share) for size in card.sizes), card.n_clips
        n_parts = min(recipe.search.n_folds, card.n_folds - 1)
        n_compared = round(n_parts * n_train / (card.n_folds - 1))
        n_learns = n_parts * n_train - n_compared
    n_evaluated += len(searched) * n_compared
    n_standardising = n_train + len(searched) * n_learns if recipe.standardise else 0
    return Row(
        stage=stage,
        task=task,
        n_runs=card.n_folds,
        n_parameters=n_parameters,
        flops=flops.classifier_flops(cfg.encoder, (n_time, n_bands), card.n_classes, recipe),
        memory_bytes=_training_memory(n_parameters, kept, recipe, reduced=reduced, selects=selects),
        rates=_rates(cfg, speed, reduced=is_reduced(cfg)),
        clips_trained=last * n_train + tried * n_learns,
        clips_evaluated=round(windows * (n_evaluated + n_standardising)),
        saves=Saves.of(n_parameters, recipe, selects=selects),
    )


def _training_memory(
    n_parameters: int, kept: int, steps: config.Pretrain | config.Finetune, *, reduced: bool, selects: bool
) -> int:
    """Return the bytes of training: what is kept for the gradient is that of one part of a batch."""
    averaged = 4 * n_parameters if steps.optimizer.ema_decay else 0
    n_clips = steps.batch_size // steps.accumulate
    return averaged + flops.training_memory(n_parameters, kept, n_clips, reduced=reduced, selects=selects)


def _probe(cfg: config.Config, task: str, speed: Speed) -> Row:
    """Embedding of all recordings by the pre-trained and the untrained encoders."""
    card, windows = _card(cfg, task)
    return Row(
        stage="probe",
        task=task,
        n_runs=card.n_folds,
        **_embedding(cfg, cfg.task(task).clip_s, embeddings.BATCH_SIZE["cuda"], n_encoders=1),
        rates=_rates(cfg, speed, reduced=is_reduced(cfg)),
        clips_evaluated=round((1 + N_DRAWS) * windows * card.n_clips),
    )


def _latent(cfg: config.Config, speed: Speed) -> Row:
    """Embedding of the probe corpora by the pre-trained and an untrained encoder."""
    return Row(
        stage="latent",
        task="",
        n_runs=1,
        **_embedding(cfg, cfg.synth.clip_s, activations.BATCH_SIZE, n_encoders=2),
        rates=_rates(cfg, speed),
        clips_evaluated=2 * len(cfg.latent.corpora) * cfg.latent.n_clips,
    )


def _embedding(cfg: config.Config, clip_s: float, batch_size: int, n_encoders: int) -> dict[str, Any]:
    """Return the fields of a row that embeds, with so many encoders on the device."""
    n_patches, n_parameters = math.prod(cfg.grid(clip_s)), flops.encoder_parameters(cfg.encoder)
    return {
        "n_parameters": n_parameters,
        "flops": Flops(flops.encoder_flops(cfg.encoder, n_patches).forward, 0),
        "memory_bytes": flops.evaluation_memory(cfg.encoder, n_patches, batch_size, n_encoders),
    }


def _rates(cfg: config.Config, speed: Speed, *, reduced: bool = False) -> Rates:
    """Return the rates of a stage, whose evaluation is in 16 bits if ``reduced``."""
    return Rates(speed.sustained(reduced=is_reduced(cfg)), speed.sustained(reduced=reduced))


def _card(cfg: config.Config, task: str) -> tuple[Card, float]:
    """Return a task's card, and how many windows its mean recording has, at least one."""
    found = find(task, cfg.task(task))
    hours = found.source.hours if isinstance(found.source, Download) else 0.0
    return found.card, max(1.0, hours * 3600 / found.card.n_clips / cfg.task(task).clip_s)


def estimate(cfg: config.Config, name: str, speed: Speed) -> dict[str, Any]:
    """Return all figures of a configuration as data; the units are in the names, FLOP/s in ``sustained_flops``.

    Args:
        cfg: all parameters.
        name: what to call them.
        speed: how fast the device is.

    Raises:
        AudiopgError: as `rows`.
    """
    found = rows(cfg, speed)
    derived = ("device_flops", "clips_per_s", "time_s")
    return {
        "profile": name,
        "sustained_flops": asdict(_rates(cfg, speed)),
        "parameters": asdict(flops.parameters(cfg)),
        "rows": [
            asdict(row)
            | {key: getattr(row, key) for key in derived}
            | {"written_bytes": row.written_bytes(row.train_s)}
            for row in found
        ],
        "time_s": sum(row.time_s for row in found),
        "written_bytes": sum(row.written_bytes(row.train_s) for row in found),
        "assumptions": assumptions(cfg, speed),
    }


def assumptions(cfg: config.Config, speed: Speed) -> list[str]:
    """List what the figures rest on, one sentence or two each."""
    reduced = is_reduced(cfg)
    rates = _rates(cfg, speed)
    half = "float16" if cfg.compute.precision == "float16" else "bfloat16"
    precision = f"{half} autocast" if reduced else "float32"
    rule = f", and {FLOAT32_SHARE:g} of that in float32" if speed.float32_peak is None else ""
    attended = (
        "FLOPs are those of matrix products alone, a multiplication and its addition as two; backward is twice "
        "forward, but the patches need no gradient. An attention that computes its scores again in the backward pass "
        "does a few per cent more."
    )
    return [
        f"Training, validation, test and probe in {precision} sustain {rates.training / 1e12:.4g} TFLOP/s, "
        f"the latent analysis, always in float32, {rates.evaluation / 1e12:.4g}: "
        f"{speed.utilisation:g} of a peak of {speed.peak / 1e12:g} TFLOP/s (--utilisation, --flops; 312 is the data "
        f"sheet of an A100 80 GB in bfloat16){rule}. The share is assumed, not measured; times are as 1 / these rates.",
        attended,
        "Memory is 16 bytes per weight (float32 weight, gradient, AdamW's two moments), 2 more for bfloat16 copies, 4 "
        "more for the best epoch's weights where there is a validation split, 4 more for averaged weights, and what a "
        "part of a batch keeps for its gradient: "
        "per block and token 36 D bytes in bfloat16, 64 D in float32, and 4 per head and 16 for the norms. The CUDA "
        "context (about 0.5 GB), temporary tensors and the allocator's gaps come on top.",
        WRITTEN,
        "clips/s is the data rate that keeps the device busy. On CUDA a batch is prepared beside the step "
        "before it: at that rate it takes no time of its own, but for what the device itself does.",
        "A recording has one window for evaluation, or mean length / clip_s if that is more. Where recordings are of "
        "unequal length, long ones take more: at most one more per recording.",
        *([SEARCHING] if any(len(cfg.recipe(task).candidates) > 1 for task in cfg.tasks) else []),
        "Not counted: the probes' regressions, what runs on the CPU (the latent analysis of what was embedded, "
        "fetching, decoding) and start-up. Folds run one after another.",
    ]
