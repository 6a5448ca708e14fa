"""How much work a training step starts on a CUDA device, and how often it waits for it: exact numbers of a tiny run.

The device is simulated: an operator of torch counts as one launch. Each number is the difference between a longer and a
shorter run, so that what happens once cancels out. Whoever changes a step changes the numbers here: downwards.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from simulated_cuda import Counts, Kind, Thread, simulation
from support.finetuning import separable_task
from support.pretraining import changed, run

from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained
from audiopg.train import finetune

MADE_WITH = "2.14"  # the torch of the launches; the waits are the same with any
N_SHORT, N_LONG = 2, 4  # steps: both multiples of how often a step waits for the log, and of an epoch's steps

# Where a step waits, and how often; all kinds of steps have the first two.
LOSS_AND_NORM = {"train/loop.py Training._gradient": Fraction(2)}  # `loss.item()`, `norm.item()`
SCALE = {"train/loop.py Training._problem": Fraction(1)}  # `scaler.get_scale()`
AVERAGE = {"train/loop.py Training._n_updates": Fraction(1)}  # `int(moments["step"])`, on the device as AdamW is fused
TWINS = {  # indexing by a mask, and the gradient of that
    "train/twins.py _loss": Fraction(1),
    "train/loop.py Training._gradient": Fraction(3),
}

DATA = ("synth/", "features/", "data/", "train/batches.py", "train/feed.py", "rng.py", "compute.py")
"""What makes the data of a step, which must not be done in the thread of the training."""


@dataclass(frozen=True)
class Step:
    """A kind of step, and what it costs."""

    launches: int
    """In the thread of the training."""
    waits: dict[str, Fraction]
    changes: dict[str, Any] = field(default_factory=dict)
    """Parameters of the stage."""


HALF = {"compute": {"device": "cuda", "precision": "bfloat16"}}
FLOAT16 = {"compute": {"device": "cuda", "precision": "float16"}}
WHOLE = {"compute": {"device": "cuda", "precision": "float32"}}

PRETRAINING = {
    "float32": Step(310, LOSS_AND_NORM, WHOLE),
    "bfloat16": Step(491, LOSS_AND_NORM, HALF),
    "float16": Step(504, LOSS_AND_NORM | SCALE, FLOAT16),
    "average": Step(405, LOSS_AND_NORM | AVERAGE, WHOLE | {"ema_decay": 0.9}),
    "accumulate": Step(702, LOSS_AND_NORM, WHOLE | {"accumulate": 2}),
    "drop path": Step(334, LOSS_AND_NORM, WHOLE | {"drop_path": 0.2}),
    "physics": Step(344, LOSS_AND_NORM, WHOLE | {"objectives": {"physics": 0.5}}),
    "twins": Step(288, TWINS, WHOLE | {"objectives": {"reconstruction": 0.0, "twins": 1.0}}),
}
FINETUNING = {
    "float32": Step(238, LOSS_AND_NORM, WHOLE),
    "bfloat16": Step(384, LOSS_AND_NORM, HALF),
    "float16": Step(397, LOSS_AND_NORM | SCALE, FLOAT16),
    "average": Step(316, LOSS_AND_NORM | AVERAGE, WHOLE | {"ema_decay": 0.9}),
    "patches and paths dropped": Step(264, LOSS_AND_NORM, WHOLE | {"patch_drop": 0.5, "drop_path": 0.2}),
}


def pretraining(tiny: Config, changes: dict[str, Any], folder: Path, n_steps: int) -> None:
    """Pre-train, two clips of an identity beside each other."""
    cfg = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    run(changed(cfg, n_steps=n_steps, save_every=1000, **changes), folder)


def finetuning(tiny: Config, changes: dict[str, Any], folder: Path, n_steps: int) -> None:
    """Fine-tune on three folds of four: 18 recordings."""
    folder.mkdir()
    cfg = changed(tiny, compute=changes["compute"])
    given = {name: value for name, value in changes.items() if name != "compute"}
    optimizer = {name: given.pop(name) for name in list(given) if name in type(cfg.finetune.optimizer).model_fields}
    given["optimizer"] = cfg.finetune.optimizer.model_copy(update=optimizer)
    recipe = cfg.finetune.model_copy(update={"n_epochs": n_steps // 2, "batch_size": 9, "save_every": 1000} | given)
    paths, encoder = separable_task(cfg, folder), folder / "encoder.safetensors"
    save_encoder(encoder, untrained(cfg.encoder, 1), cfg.features)
    cfg = cfg.model_copy(update={"finetune": recipe})
    finetune.run(cfg, "drums", 1, "pretrained", *paths, encoder, resume=folder / "resume", out=folder / "out")


DATA_COSTS = {pretraining: (Fraction(39, 2), 1, 443), finetuning: (0, 2, 0)}
"""Waits, copies and launches of the thread that makes the next part, per step: a renderer on the device has many."""

Read = Callable[[Counts], Counter[str]]


def per_step(stage: Callable[[Path, int], None], folder: Path, *reads: Read) -> list[dict[str, Fraction]]:
    """Read some counts of a stage, per step and by name."""
    found = []
    for n_steps in (N_SHORT, N_LONG):
        with simulation() as counts:
            stage(folder / str(n_steps), n_steps)
            found.append([read(counts) for read in reads])
    few, many = found
    return [
        {name: Fraction(after[name] - before[name], N_LONG - N_SHORT) for name in after if after[name] != before[name]}
        for before, after in zip(few, many, strict=True)
    ]


def by(what: Any, kind: Kind, thread: Thread = Thread.MAIN) -> Read:
    """Read the counts of a kind, in the thread of the training."""
    return lambda counts: counts.by(what, kind, thread)


def check(stage: Callable[..., None], step: Step, tiny: Config, folder: Path) -> None:
    """Compare a step with what it may cost."""
    reads = (by("function", Kind.SYNC), by("file", Kind.LAUNCH))
    waits, launches = per_step(partial(stage, tiny, step.changes), folder, *reads)
    assert waits == step.waits
    total = sum(launches.values())
    if torch.__version__.startswith(MADE_WITH):
        assert total == step.launches, launches


@pytest.mark.parametrize("kind", PRETRAINING)
def test_a_step_of_pretraining(tiny: Config, tmp_path: Path, kind: str) -> None:
    check(pretraining, PRETRAINING[kind], tiny, tmp_path)


@pytest.mark.parametrize("kind", FINETUNING)
def test_a_step_of_finetuning(tiny: Config, tmp_path: Path, kind: str) -> None:
    check(finetuning, FINETUNING[kind], tiny, tmp_path)


@pytest.mark.parametrize("stage", DATA_COSTS)
def test_the_data_is_made_in_another_thread(tiny: Config, tmp_path: Path, stage: Callable[..., None]) -> None:
    kinds = (Kind.SYNC, Kind.LAUNCH, Kind.COPY)
    reads = [by("file", kind, thread) for thread in Thread for kind in kinds]
    found = per_step(partial(stage, tiny, WHOLE), tmp_path, *reads)
    here, there = found[: len(kinds)], found[len(kinds) :]
    assert not [name for names in here for name in names if name.startswith(DATA)]
    waits, launches, copies = (sum(names.values()) for names in there)
    assert (waits, copies) == DATA_COSTS[stage][:2]
    if torch.__version__.startswith(MADE_WITH):
        assert launches == DATA_COSTS[stage][2]
