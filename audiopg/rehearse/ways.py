"""Pre-training in other ways than its own: compiled, larger batches, no wait, another precision, two processes."""

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

import audiopg
from audiopg import compute, config, gpus, storage
from audiopg.errors import AudiopgError
from audiopg.rehearse.setting import NO_CUDA, SHARE, Figures, Setting
from audiopg.rehearse.steps import Fixed, pretraining, timed
from audiopg.train.feed import check_division
from audiopg.train.loop import READ_EVERY

FACTORS = {"cpu": (1, 2), "cuda": (1, 4, 16)}
"""Batches that are tried on a device, over that of the parameters."""
NO_WAIT = "none"
N_PROCESSES = 2
LONGEST_S = 300  # how long torchrun may take; GPUs that do not reach each other make it hang


def compiled(setting: Setting) -> Figures:
    """Time steps as torch runs them and compiled, on a batch that lies ready, and the compiling."""
    if not compute.has_compiler():
        return {"left_out": "there is no C++ compiler"}
    found: Figures = {}
    for name, compiles in (("eager", False), ("compiled", True)):
        one = replace(setting, backend=replace(setting.backend, compiles=compiles))
        with warnings.catch_warnings(), torch.compiler.config.patch(force_disable_caches=True):  # type: ignore[attr-defined]
            # an earlier rehearsal may have left its code; torch warns that it compiles anew
            warnings.simplefilter("ignore")
            try:
                times = _short(one)
            finally:
                torch.compiler.reset()
        found[f"{name}_step_s"] = times["step_s"]
    return found | {"compiling_s": times["first_steps_s"]}


def batches(setting: Setting) -> Figures:
    """Time steps with larger batches that lie ready: clips/s, and on a GPU the memory that they take."""
    found: Figures = {}
    for factor in FACTORS[setting.backend.device.type]:
        n_clips = factor * setting.cfg.pretrain.batch_size
        try:
            times = _short(replace(setting, cfg=_changed(setting.cfg, batch_size=n_clips)))
        except torch.OutOfMemoryError:
            found[f"clips_per_s_{n_clips}"] = "more than the memory holds"
            break
        finally:
            setting.free()
        found[f"clips_per_s_{n_clips}"] = times["clips_per_s"]
        if "peak_memory_gb" in times:
            found[f"peak_memory_gb_{n_clips}"] = times["peak_memory_gb"]
    return found


def precision(setting: Setting) -> Figures:
    """Time steps in the other reduced precision, float16 where bfloat16 is in use, on a batch that lies ready.

    Returns:
        ``precision``, its ``clips_per_s``, and whether all ``losses_finite``.
    """
    if setting.backend.device.type != "cuda":
        return {"left_out": NO_CUDA}
    other = torch.float16 if setting.backend.autocast_dtype is torch.bfloat16 else torch.bfloat16
    goes_on = setting.cfg.pretrain.optimizer.model_copy(update={"on_non_finite": "skip"})
    cfg = _changed(setting.cfg, optimizer=goes_on)
    times = _short(replace(setting, cfg=cfg, backend=replace(setting.backend, autocast_dtype=other)))
    return {
        "precision": str(other).removeprefix("torch."),
        "clips_per_s": times["clips_per_s"],
        "losses_finite": "no" if times["n_skipped"] else "yes",
    }


def _short(setting: Setting) -> Figures:
    """Time steps on a batch that lies ready, for a share of the time: as `timed`, ``clips_per_s`` and ``n_skipped``."""
    short = replace(setting, seconds=SHARE * setting.seconds)
    training, corpus, loss_of = pretraining(short)
    times = timed(short, training, Fixed.of(corpus, short), loss_of)
    assert isinstance(times["step_s"], float)
    rate = setting.cfg.pretrain.batch_size / times["step_s"]
    return times | {"clips_per_s": rate, "n_skipped": training.n_skipped}


def waits(setting: Setting) -> Figures:
    """Take steps in which CUDA refuses to be waited for.

    Of 24 steps with a look at the losses after each 8, these are the 10th to 16th and the 18th to 24th. The first 8 are
    not watched, as they set up what later ones use, nor are the looks, which wait, and the step after each.

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

    wait, package = NO_WAIT, Path(audiopg.__file__).parent
    try:
        training.fit(corpus, loss_of, setting.backend, "rehearsal: no wait", after_step=after_step)
    except RuntimeError as error:
        if "synchronizing CUDA operation" not in str(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
        wait = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"n_steps": training.step, "hidden_wait": wait}


def processes(setting: Setting) -> Figures:
    """Pre-train by one process and, on two GPUs, by two that torchrun starts: the losses are the same but for rounding.

    Raises:
        AudiopgError: a process does not end well, or not in time.
    """
    if len(setting.gpus) < N_PROCESSES:
        return {"left_out": f"{gpus.VISIBLE} names no two GPUs, and other jobs may use those that it does not name"}
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
    """Pre-train by some processes, each on a GPU of its own, and return the loss of each step.

    Raises:
        AudiopgError: they fail, or take longer than `LONGEST_S`.
    """
    out = setting.folder / f"processes{n_processes}"
    files = {"encoder": "encoder.safetensors", "model": "model.safetensors", "loss": "loss.csv", "card": "run.json"}
    options = [f"--{option}={out / file}" for option, file in files.items()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n_processes}"]
    command = [*torchrun, "-m", "audiopg", "pretrain", f"--params={params}", *options]
    log = setting.folder / f"processes{n_processes}.txt"
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            [*command, f"--resume={out / 'resume'}", f"--curves={out / 'curves'}"],
            env=os.environ | {gpus.VISIBLE: ",".join(setting.gpus[:n_processes])},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        ) as started,
    ):
        try:
            started.wait(LONGEST_S)
        except subprocess.TimeoutExpired as error:
            msg = f"torchrun --nproc-per-node={n_processes} takes longer than {LONGEST_S} s"
            raise AudiopgError(msg) from error
        finally:
            started.terminate()  # if it still runs; a kill would leave its processes behind
    if started.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in lines if line.startswith("audiopg: ")] or lines or ["no message"]
        msg = f"torchrun --nproc-per-node={n_processes}: {lines[-1]}"
        raise AudiopgError(msg)
    losses: pd.Series[float] = pd.read_csv(out / "loss.csv")["loss"]
    return losses


def _changed(cfg: config.Config, **changes: object) -> config.Config:
    """Return the parameters with another pre-training."""
    return cfg.model_copy(update={"pretrain": cfg.pretrain.model_copy(update=changes)})
