"""All parts of a rehearsal, one after another; their figures go into a file for `audiopg cost` and into a report."""

import contextlib
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from audiopg import compute, config, gpus, storage
from audiopg.cost import forecast, measured
from audiopg.errors import AudiopgError
from audiopg.progress import say
from audiopg.rehearse import evaluation, machine, report, sound, states, steps, ways
from audiopg.rehearse.setting import Figures, Setting

SECONDS = 8.0  # how long each rate is measured
LIMITS = {
    "renderers": ("largest_difference", 1e-4, "the two renderers do not play the same clips"),
    "resume": ("largest_difference", 1e-2, "a continued run has other losses than a whole one"),
    "processes": ("largest_difference", 5e-2, "two processes have other losses than one"),
}
"""Figures that say whether the machine computes right: the largest that is allowed, and what a larger one means."""
TO_THE_BIT = 0.0  # of a continued run on a CPU


def parts(cfg: config.Config) -> Iterator[tuple[str, Callable[[Setting], Figures]]]:
    """Yield the name of each part, and what does it; last those that try what the run itself does not use."""
    yield "machine", machine.machine
    yield "start", machine.start
    yield "renderers", sound.renderers
    yield "clips", sound.clips
    yield "fixed step", steps.fixed
    yield "pretrain", steps.real
    yield "trace", steps.traced
    yield "save", states.saving
    yield "resume", states.resuming
    for task in cfg.tasks:
        yield f"finetune {task}", partial(evaluation.finetuning, task=task)
        yield f"embed {task}", partial(evaluation.embedding, task=task)
        yield f"regression {task}", partial(evaluation.regression, task=task)
    yield "latent", evaluation.physics
    yield "batches", tried(ways.batches)
    yield "waits", tried(ways.waits)
    yield "precision", tried(ways.precision)
    yield "tf32", tried(partial(evaluation.tf32, task=next(iter(cfg.tasks))))
    yield "compiled", ways.compiled if cfg.compute.compile else tried(ways.compiled)
    yield "processes", tried(ways.processes)


def tried(part: Callable[[Setting], Figures]) -> Callable[[Setting], Figures]:
    """Return a part whose errors are a finding, not the end of the rehearsal; the log has all of each error."""

    def work(setting: Setting) -> Figures:
        try:
            return part(setting)
        except Exception as error:  # compilers, drivers and torchrun have all kinds
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return {"left_out": f"does not work: {lines[0]}"}

    return work


def run(cfg: config.Config, out: Path, seconds: float = SECONDS) -> str:
    """Rehearse a run on this machine, and write ``rehearsal.json``, ``report.md``, ``trace.json`` and ``log.txt``.

    ``rehearsal.json`` has the figures of each part as soon as the part ends.

    Args:
        cfg: all parameters.
        out: folder for them.
        seconds: how long each rate is measured.

    Returns:
        The forecast of each stage, for the eye.

    Raises:
        AudiopgError: no such device, a part of the run that cannot be done, or something that is wrong, as
            `problems`; in the latter case after all is written.
    """
    out.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    named = tuple(gpus.visible()) if gpus.VISIBLE in os.environ else ()
    found: dict[str, Figures] = {}
    file, shapes = out / "rehearsal.json", measured.shapes(cfg)
    with (
        tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=out) as folder,
        (out / "log.txt").open("w", encoding="utf-8") as log,
    ):
        for name, part in parts(cfg):
            say(f"rehearsal: {name}")
            with contextlib.redirect_stderr(log):  # what each part says of its progress
                backend = compute.backend(cfg.compute, cfg.pretrain.n_threads, trains=True)
                setting = Setting(cfg, backend, Path(folder), out, seconds, named)
                found[name] = part(setting)
                setting.free()
            storage.write_json(file, {"shapes": shapes, "parts": found})
    found["rehearsal"] = {"took_s": time.monotonic() - began_s}
    storage.write_json(file, {"shapes": shapes, "parts": found})
    shown = forecast.table(cfg, measured.read(file, cfg))
    failed = problems(found)
    storage.write_text(out / "report.md", report.page(found, shown, failed))
    if failed:
        msg = f"{out / 'report.md'}: {'; '.join(failed)}"
        raise AudiopgError(msg)
    return shown


def problems(found: dict[str, Figures]) -> list[str]:
    """Say what is wrong: figures beyond `LIMITS`, a run that does not end when asked, a step that waits for the GPU."""
    on_cpu = str(found["machine"]["device"]).startswith("cpu")
    wrong = []
    for part, (figure, limit, meaning) in LIMITS.items():
        if "left_out" in found[part]:
            continue
        most = TO_THE_BIT if part == "resume" and on_cpu else limit
        value = found[part][figure]
        if not float(value) <= most:
            wrong.append(f"{meaning} ({part}: {figure} = {value:g}, at most {most:g} is allowed)")
    if not found["resume"]["killed_at"]:
        wrong.append("a run that was asked to end did not end")
    wait = found["waits"].get("hidden_wait", ways.NO_WAIT)
    if wait != ways.NO_WAIT:
        wrong.append(f"a step of pre-training waits for the GPU at {wait}")
    return wrong
