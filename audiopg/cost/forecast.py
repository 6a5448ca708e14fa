"""The time of each stage from measured rates: start, steps with their launches and waiting, saves, evaluation."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from audiopg import config
from audiopg.cost.estimate import Row, rows
from audiopg.cost.measured import Measured
from audiopg.cost.speed import Speed
from audiopg.cost.table import time_text, written_text
from audiopg.evaluate.protocol import N_DRAWS
from audiopg.models.readout import usual_layers
from audiopg.tasks.registry import find

UNUSED = Speed(1.0, 1.0)  # the estimate counts clips; its times are not looked at
LEFT_OUT = (
    "Left out: fetching, decoding, tables and pictures, what is compiled once for this machine, and all that jobs take "
    "from each other: each is counted as if it were alone, one after another. Recordings were made up and in memory; "
    "a disk that gives them more slowly makes a fine-tuning wait."
)


@dataclass(frozen=True)
class Stage:
    """The time of a stage, over all its folds, in s."""

    stage: str
    task: str
    """Empty where the stage has none."""
    n_runs: int
    start_s: float
    """Python, its packages, and what the first steps take beyond the others."""
    train_s: float = 0.0
    """Steps as they are, with waiting for data."""
    save_s: float = 0.0
    """What a training stops for during the copies of its states, and the files at its end."""
    written_bytes: int = 0
    """Of states and weights."""
    evaluate_s: float = 0.0
    """Windows and clips that an encoder only sees."""
    analyse_s: float = 0.0
    """Regressions and analyses on the CPU."""

    @property
    def time_s(self) -> float:
        """All of it."""
        return self.start_s + self.train_s + self.save_s + self.evaluate_s + self.analyse_s


def stages(cfg: config.Config, measured: Measured) -> list[Stage]:
    """Forecast each stage that learns or embeds.

    Args:
        cfg: all parameters.
        measured: the rates, of the same shapes.

    Raises:
        AudiopgError: as `rows`, or a figure is missing.
    """
    makers = {"pretrain": _pretrain, "finetune": _finetune, "scratch": _finetune, "probe": _probe, "latent": _latent}
    return [makers[row.stage](cfg, row, measured) for row in rows(cfg, UNUSED)]


def _pretrain(cfg: config.Config, row: Row, measured: Measured) -> Stage:
    recipe = cfg.pretrain
    if recipe.n_steps is None:
        assert recipe.budget_min is not None  # one of both is set
        train_s = 60 * recipe.budget_min
    else:
        train_s = recipe.n_steps * measured.figure("pretrain", "step_s")
    return Stage(
        row.stage,
        row.task,
        row.n_runs,
        start_s=measured.figure("start", "start_s") + measured.figure("pretrain", "first_steps_s"),
        train_s=train_s,
        save_s=_save_s(row, measured, train_s),
        written_bytes=row.written_bytes(train_s),
    )


def _finetune(cfg: config.Config, row: Row, measured: Measured) -> Stage:
    recipe, part = cfg.recipe(row.task), f"finetune {row.task}"
    train_s = row.clips_trained / recipe.batch_size * measured.figure(part, "step_s")
    return Stage(
        row.stage,
        row.task,
        row.n_runs,
        start_s=row.n_runs * (measured.figure("start", "start_s") + measured.figure(part, "first_steps_s")),
        train_s=train_s,
        save_s=_save_s(row, measured, train_s),
        written_bytes=row.written_bytes(train_s),
        evaluate_s=row.clips_evaluated / measured.rate(part, "windows_per_s"),
    )


def _probe(cfg: config.Config, row: Row, measured: Measured) -> Stage:
    """Embeddings, and for each run, layer and encoder a regression; the log-mel statistics count as one layer more."""
    part = f"regression {row.task}"
    n_layers = len(usual_layers(cfg.encoder.shape.depth))
    linear = (n_layers * (1 + N_DRAWS) + 1) * measured.figure(part, "linear_s")
    once = linear + n_layers * measured.figure(part, "nearest_s")
    return Stage(
        row.stage,
        row.task,
        row.n_runs,
        start_s=measured.figure("start", "start_s"),
        evaluate_s=row.clips_evaluated / measured.rate(f"embed {row.task}", "windows_per_s"),
        analyse_s=row.n_runs * once * _more(cfg, row.task, measured.rate(part, "n_recordings")),
    )


def _latent(cfg: config.Config, row: Row, measured: Measured) -> Stage:
    """One corpus first, then the others, so many at a time; their time is proportional to their clips."""
    in_turn = 1 + math.ceil((len(cfg.latent.corpora) - 1) / cfg.latent.n_threads)
    larger = cfg.latent.n_clips / measured.rate("latent", "n_clips")
    return Stage(
        row.stage,
        row.task,
        row.n_runs,
        start_s=measured.figure("start", "start_s"),
        analyse_s=in_turn * larger * measured.figure("latent", "corpora_s"),
    )


def _more(cfg: config.Config, task: str, n_measured: float) -> float:
    """Multiplications of a regression on the recordings of a task, over those on as many as were measured.

    With N recordings, P features and A penalties these are N P min(N, P) and A min(N, P)³.
    """
    card = find(task, cfg.task(task)).card
    n_used = card.sizes[0] + card.sizes[1] if card.protocol == "split" else card.n_clips * (1 - 1 / card.n_folds)
    _, n_bands = cfg.grid(cfg.task(task).clip_s)
    n_features = 5 * n_bands * cfg.encoder.shape.width

    def multiplications(n: float) -> float:
        smaller = min(n, n_features)
        return n * n_features * smaller + len(cfg.probe.ridge_alphas) * smaller**3

    return multiplications(cfg.task(task).train_share * n_used) / multiplications(n_measured)


def _save_s(row: Row, measured: Measured, train_s: float) -> float:
    """Time that the trainings of a stage stop for what they write.

    That is the copy of each state, what its write takes beyond the time between two, and the write of what is kept.
    """
    assert row.saves is not None  # it trains
    state_gb, write_gb_per_s = row.saves.state_bytes / 1e9, measured.rate("save", "write_gb_per_s")
    beyond_s = max(0.0, state_gb / write_gb_per_s - row.saves.every_s)
    of_a_state = state_gb / measured.rate("save", "copy_gb_per_s") + beyond_s
    n_states = row.saves.n_states(train_s / row.n_runs)
    return row.n_runs * (n_states * of_a_state + row.saves.result_bytes / 1e9 / write_gb_per_s)


def data(cfg: config.Config, name: str, measured: Measured) -> dict[str, Any]:
    """Return the forecast as data, times in s.

    Args:
        cfg: all parameters.
        name: what to call them.
        measured: the rates.

    Raises:
        AudiopgError: as `stages`.
    """
    found = stages(cfg, measured)
    return {
        "profile": name,
        "device": measured.device,
        "stages": [asdict(stage) | {"time_s": stage.time_s} for stage in found],
        "time_s": sum(stage.time_s for stage in found),
        "written_bytes": sum(stage.written_bytes for stage in found),
        "left_out": LEFT_OUT,
    }


def table(cfg: config.Config, measured: Measured) -> str:
    """Write the forecast for the eye, and what it leaves out.

    Args:
        cfg: all parameters.
        measured: the rates.

    Raises:
        AudiopgError: as `stages`.
    """
    found = stages(cfg, measured)
    lines = [
        [
            stage.stage,
            stage.task or "–",
            str(stage.n_runs),
            *(
                time_text(value) if value else "–"
                for value in (stage.start_s, stage.train_s, stage.save_s, stage.evaluate_s, stage.analyse_s)
            ),
            written_text(stage.written_bytes),
            time_text(stage.time_s),
        ]
        for stage in found
    ]
    written, time_s = sum(stage.written_bytes for stage in found), sum(stage.time_s for stage in found)
    lines.append(["all", *[""] * 7, written_text(written), time_text(time_s)])
    headers = ["stage", "task", "runs", "start", "steps", "saves", "evaluation", "analysis", "written GB", "time"]
    align = ("left", "left", *["right"] * 8)
    shown = tabulate(lines, headers, "github", disable_numparse=True, colalign=align)
    waiting = measured.figure("pretrain", "waiting")
    head = f"Measured on {measured.device}; pre-training waits for its clips {waiting:.0%} of the time."
    return f"{head}\n\n{shown}\n\n{LEFT_OUT}"
