"""Pre-training in other ways than its own: compiled, with larger batches, without a wait, by two processes."""

import os
import subprocess
import sys
import traceback
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from audiopg import compute, config, gpus, storage
from audiopg.errors import AudiopgError
from audiopg.rehearse.setting import NO_CUDA, Figures, Setting
from audiopg.rehearse.steps import Fixed, pretraining, timed
from audiopg.train.feed import check_division
from audiopg.train.loop import READ_EVERY

SHARE = 0.25  # of the time in which other rates are measured: these are compared with each other, and with no run
FACTORS = {"cpu": (1, 2), "cuda": (1, 4, 16)}
"""Batches that are tried on a device, over that of the parameters."""
N_PROCESSES = 2


def compiled(setting: Setting) -> Figures:
    """Time steps as torch runs them and compiled, on a batch that lies ready, and the compiling."""
    if not compute.has_compiler():
        return {"left_out": "there is no C++ compiler"}
    found: Figures = {}
    for name, compiles in (("eager", False), ("compiled", True)):
        backend = replace(setting.backend, compiles=compiles)
        one = replace(setting, backend=backend, seconds=SHARE * setting.seconds)
        training, corpus, loss_of = pretraining(one)
        with warnings.catch_warnings(), torch.compiler.config.patch(force_disable_caches=True):  # type: ignore[attr-defined]
            # an earlier rehearsal may have left its code; torch warns that it compiles anew
            warnings.simplefilter("ignore")
            times = timed(one, training, Fixed.of(corpus, one), loss_of)
        found[f"{name}_step_s"] = times["step_s"]
    torch.compiler.reset()
    return found | {"compiling_s": times["first_steps_s"]}


def batches(setting: Setting) -> Figures:
    """Time steps with larger batches that lie ready: clips/s, and on a GPU the memory that they take."""
    found: Figures = {}
    for factor in FACTORS[setting.backend.device.type]:
        n_clips = factor * setting.cfg.pretrain.batch_size
        one = replace(setting, cfg=_changed(setting.cfg, batch_size=n_clips), seconds=SHARE * setting.seconds)
        try:
            training, corpus, loss_of = pretraining(one)
            times = timed(one, training, Fixed.of(corpus, one), loss_of)
        except torch.OutOfMemoryError:
            found[f"clips_per_s_{n_clips}"] = "more than the memory holds"
            break
        assert isinstance(times["step_s"], float)
        found[f"clips_per_s_{n_clips}"] = n_clips / times["step_s"]
        if "peak_memory_gb" in times:
            found[f"peak_memory_gb_{n_clips}"] = times["peak_memory_gb"]
    return found


def waits(setting: Setting) -> Figures:
    """Take steps in which CUDA refuses to be waited for: those between two looks at the losses, after the first look.

    Returns:
        ``hidden_wait``: the line that waits, or ``none``.
    """
    if setting.backend.device.type != "cuda":
        return {"left_out": NO_CUDA}
    n_looks = READ_EVERY["cuda"]
    training, corpus, loss_of = pretraining(setting, 3 * n_looks)

    def after_step(step: int) -> None:
        # a look comes after each of the multiples
        torch.cuda.set_sync_debug_mode("error" if step > n_looks and step % n_looks else "default")

    wait = "none"
    try:
        training.fit(corpus, loss_of, setting.backend, "rehearsal: no wait", after_step=after_step)
    except RuntimeError as error:
        if "synchronizing CUDA operation" not in str(error):
            raise
        lines = [
            frame for frame in traceback.extract_tb(error.__traceback__) if "audiopg" in Path(frame.filename).parts
        ]
        wait = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"n_steps": training.step, "hidden_wait": wait}


def processes(setting: Setting) -> Figures:
    """Pre-train by one process and, on two GPUs, by two that torchrun starts: the losses are the same but for rounding.

    Raises:
        AudiopgError: a process does not end well.
    """
    if len(setting.gpus) < N_PROCESSES:
        return {"left_out": "there are no two GPUs"}
    recipe, n_together = setting.cfg.pretrain, setting.cfg.synth.identity.n_clips
    try:
        several = replace(setting.backend, world_size=N_PROCESSES)
        check_division("pretrain", recipe, several, n_together if recipe.objectives.twins else 1)
    except AudiopgError as error:
        return {"left_out": str(error)}
    n_steps = 2 * READ_EVERY[setting.backend.device.type]
    params = setting.folder / "params.yaml"
    few = _changed(setting.cfg, n_steps=n_steps, budget_min=None)
    storage.write_json(params, few.model_dump(mode="json"))  # which is YAML too
    one, two = (_losses(setting, params, number) for number in (1, N_PROCESSES))
    return {"n_steps": n_steps, "largest_difference": float(np.abs(two / one - 1).max())}


def _losses(setting: Setting, params: Path, n_processes: int) -> "pd.Series[float]":
    """Pre-train by some processes, each on a GPU of its own, and return the loss of each step."""
    out = setting.folder / f"processes{n_processes}"
    files = {"encoder": "encoder.safetensors", "state": "state.safetensors", "loss": "loss.csv", "card": "run.json"}
    options = [f"--{option}={out / file}" for option, file in files.items()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    command = [*torchrun, "-m", "audiopg", "pretrain", f"--params={params}", *options]
    done = subprocess.run(
        [*command, f"--resume={out / 'resume'}", f"--curves={out / 'curves'}"],
        env=os.environ | {gpus.VISIBLE: ",".join(setting.gpus[:n_processes])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("audiopg: ")] or done.stderr.splitlines()
        msg = f"torchrun with {n_processes} processes does not work: {lines[-1]}"
        raise AudiopgError(msg)
    losses: pd.Series[float] = pd.read_csv(out / "loss.csv")["loss"]
    return losses


def _changed(cfg: config.Config, **changes: int | None) -> config.Config:
    """Return the parameters with another pre-training."""
    return cfg.model_copy(update={"pretrain": cfg.pretrain.model_copy(update=changes)})
