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
from audiopg.train import finetune, loop
from audiopg.train.checkpoints import Checkpoints

MADE_WITH = "2.14"  # the torch of the launches; the waits are the same with any
READ_EVERY = 2  # steps between two looks, fewer than in earnest, so that a short run has some
N_SHORT, N_LONG = 2, 4  # steps: multiples of that, and of an epoch's steps

# Where the thread of the training waits, and how often per step: nowhere, but for a look at the losses.
LOOK = {"train/look.py Unread.read": Fraction(1, READ_EVERY)}

DATA = ("synth/", "features/", "data/", "train/batches.py", "train/feed.py", "rng.py", "compute.py")
"""What makes the data of a step, which must not be done in the thread of the training."""


@dataclass(frozen=True)
class Step:
    """A kind of step, and what it costs."""

    launches: float
    """In the thread of the training, the half one at a look included."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Parameters of the stage."""


HALF = {"compute": {"device": "cuda", "precision": "bfloat16"}}
FLOAT16 = {"compute": {"device": "cuda", "precision": "float16"}}
WHOLE = {"compute": {"device": "cuda", "precision": "float32"}}

PRETRAINING = {
    "float32": Step(291.5, WHOLE),
    "bfloat16": Step(472.5, HALF),
    "float16": Step(490.5, FLOAT16),
    "average": Step(300.5, WHOLE | {"ema_decay": 0.9}),
    "accumulate": Step(653.5, WHOLE | {"accumulate": 2}),
    "drop path": Step(315.5, WHOLE | {"drop_path": 0.2}),
    "physics": Step(325.5, WHOLE | {"objectives": {"physics": 0.5}}),
    "twins": Step(285.5, WHOLE | {"objectives": {"reconstruction": 0.0, "twins": 1.0}}),
}
FINETUNING = {
    "float32": Step(234.5, WHOLE),
    "bfloat16": Step(372.5, HALF),
    "float16": Step(390.5, FLOAT16),
    "average": Step(243.5, WHOLE | {"ema_decay": 0.9}),
    "patches and paths dropped": Step(260.5, WHOLE | {"patch_drop": 0.5, "drop_path": 0.2}),
}


@pytest.fixture(autouse=True)
def _looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loop.READ_EVERY["cuda"] >= 8
    monkeypatch.setitem(loop.READ_EVERY, "cuda", READ_EVERY)


def pretraining(tiny: Config, changes: dict[str, Any], folder: Path, n_steps: int) -> None:
    """Pre-train, two clips of an identity beside each other."""
    cfg = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    run(changed(cfg, n_steps=n_steps, save_every_min=1000, **changes), folder)


def finetuning(tiny: Config, changes: dict[str, Any], folder: Path, n_steps: int) -> None:
    """Fine-tune on three folds of four: 18 recordings."""
    folder.mkdir()
    cfg = changed(tiny, compute=changes["compute"])
    given = {name: value for name, value in changes.items() if name != "compute"}
    optimizer = {name: given.pop(name) for name in list(given) if name in type(cfg.finetune.optimizer).model_fields}
    given["optimizer"] = cfg.finetune.optimizer.model_copy(update=optimizer)
    recipe = cfg.finetune.model_copy(update={"n_epochs": n_steps // 2, "batch_size": 9, "save_every_min": 1000} | given)
    paths, encoder = separable_task(cfg, folder), folder / "encoder.safetensors"
    save_encoder(encoder, untrained(cfg.encoder, 1), cfg.features)
    cfg = cfg.model_copy(update={"finetune": recipe})
    finetune.run(cfg, "drums", 1, "pretrained", *paths, encoder, resume=folder / "resume", out=folder / "out")


DATA_COSTS = {pretraining: (0, 2, 16), finetuning: (0, 2, 0)}
"""Waits, copies and launches of the thread that makes the next part, per step; the launches are the spectrogram's."""

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
    assert waits == LOOK
    total = sum(launches.values())
    if torch.__version__.startswith(MADE_WITH):
        assert total == step.launches, launches


@pytest.mark.parametrize("kind", PRETRAINING)
def test_a_step_of_pretraining(tiny: Config, tmp_path: Path, kind: str) -> None:
    check(pretraining, PRETRAINING[kind], tiny, tmp_path)


@pytest.mark.parametrize("kind", FINETUNING)
def test_a_step_of_finetuning(tiny: Config, tmp_path: Path, kind: str) -> None:
    check(finetuning, FINETUNING[kind], tiny, tmp_path)


def test_a_save_waits_once_for_all_its_copies(tmp_path: Path, simulated_cuda: Counts) -> None:
    expected = {str(number): torch.arange(6.0).reshape(2, 3).t() + number for number in range(5)}
    state = {name: tensor.to("cuda") for name, tensor in expected.items()} | {"losses": torch.ones(2)}
    simulated_cuda.clear()
    with Checkpoints(tmp_path, "run", 0) as checkpoints:
        checkpoints.save(1, state, {})
        state["0"].zero_()  # what follows is not in it
    assert simulated_cuda.by("function", Kind.SYNC) == {"train/checkpoints.py Checkpoints.save": 1}
    assert simulated_cuda.total(Kind.COPY) == len(expected)
    found = Checkpoints(tmp_path, "run", 0).newest()
    assert found is not None
    assert all(torch.equal(found[0][name], tensor) for name, tensor in expected.items())


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
