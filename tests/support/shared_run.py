"""What each of several processes runs in a test: regressions of every kind, and what came of them."""

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiopg import compute, config
from audiopg.cli import app as cli
from audiopg.config import profile
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.models.classifier import Classifier
from audiopg.models.vit import initialise
from audiopg.train import classify
from audiopg.train.batches import Batches
from audiopg.train.checkpoints import Checkpoints
from support.regression import EveryFive, Killed, Line, flat, loss_of, training, weights

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "parts": {"accumulate": 2},
    "averaged": {"ema_decay": 0.9},
    "skipping": {"on_non_finite": "skip"},
    "half": {"on_non_finite": "skip"},
}
BROKEN = {"skipping": [4, 9], "half": [4, 9]}
SIZES = (16, 7, 1)  # the last leaves a process without a clip
KILL_AT = 7


def fine_tuning(backend: compute.Backend) -> dict[str, Any]:
    """What comes of a small fine-tuning with drop-path, whose last batches have one clip each."""
    cfg = profile.load("test")
    noise = np.random.Generator(np.random.Philox(1))
    clips = Clips(noise.standard_normal((9 * 32, 128)).astype(np.float32), np.arange(10) * 32, 32, LogMel(cfg.features))
    changes = {"n_epochs": 2, "batch_size": 4, "drop_path": 0.3, "layer_decay": 0.7}
    recipe = cfg.finetune.model_copy(update=changes)
    targets = np.eye(3, dtype=np.float32)[np.arange(9) % 3]
    batches = Batches(clips, targets, np.arange(9), recipe, 0, "x", multi_label=False)
    model = Classifier(cfg.encoder, 3)
    initialise(model, 0)
    losses = classify.train(model, batches, backend, "fine-tuning", None)[0].losses
    return {"losses": list(map(repr, losses)), "weights": model.head.weight.flatten().tolist()}


def run(folder: Path, what: str) -> None:
    """Fit every regression, or do what else is asked for; the first process writes what came of it."""
    backend = compute.backend(
        config.Compute(device="cpu", precision="float32", compile=False, synth_device="auto"), 1, trains=True
    )
    if what == "stop":
        training().fit(Line(broken=[3]), loss_of, backend, "label")
    if what == "lose" and backend.rank == 1:
        training(2).fit(Line(SIZES), loss_of, backend, "label", EveryFive(folder / "resume-alone", "run", 0))
        msg = "this one fails alone"
        raise AudiopgError(msg)
    if what == "long":
        training(10**9).fit(Line(), loss_of, backend, "long", Checkpoints(folder / "resume", "run", 10**9))
    if what == "apart":
        own = Checkpoints(folder / f"resume-{backend.rank}", "run", 10**9)
        if backend.is_main_process:
            own.save(5, training(5)._state() | {"losses": torch.zeros(5)}, {"elapsed_s": "0", "waited_s": "0"})
            own.finish()
        training().fit(Line(), loss_of, backend, "apart", own)
    if what == "clock":
        timed = training(None, budget_s=0.5)
        timed.fit(Line(), loss_of, backend, "timed")
        n_steps, elapsed_s = (backend.all_reduce_sum([value])[0] / 2 for value in (timed.step, timed.elapsed_s))
        assert (n_steps, elapsed_s) == (timed.step, timed.elapsed_s)
    found = {}
    for name, changes in RUNS.items():
        fitted = training(12, **changes)
        kept = EveryFive(folder / f"resume-{name}", "run", 0)
        data = Line(SIZES, KILL_AT if what == "kill" else None, BROKEN.get(name, ()))
        half = name == "half"
        precise = replace(backend, autocast_dtype=torch.float16 if half else None)
        with contextlib.suppress(Killed):
            fitted.fit(data, flat if half else loss_of, precise, name, kept)
        fitted.ema.settle()
        found[name] = {
            "losses": list(map(repr, fitted.losses)),
            "weights": weights(fitted).tolist(),
            "scale": fitted.scaler.get_scale(),
        }
    found["fine-tuning"] = fine_tuning(backend)
    if backend.is_main_process:
        (folder / "found.json").write_text(json.dumps(found))


def app() -> None:
    """Stand for the subcommands; as typer does, leave KeyboardInterrupt with the code that the shell has for it."""
    try:
        run(Path(sys.argv[1]), sys.argv[2])
    except KeyboardInterrupt:
        sys.exit(cli.INTERRUPTED)


if __name__ == "__main__":
    cli.app = app  # type: ignore[assignment]
    cli.main()
