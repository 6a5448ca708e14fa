"""Several runs as one table: figures over folds and seeds, tests of their differences, curves over a parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.provenance import verify
from audiopg.report.rows import TITLES, mean_and_std, with_spread
from audiopg.report.significance import NO_TESTS, Tests, tests

# The questions: does pre-training help, and does the frozen encoder know more than simple features or chance do?
PAIRS = (("pretrained", "scratch"), ("probe_linear", "logmel_stats"), ("probe_linear", "probe_random"))
DECIMALS = 6  # of the scores; further ones of a difference are rounding error
LEAST_SHOWN = 0.001

LEGEND = """\
Mean ± standard deviation over folds × seeds; a difference is taken within a fold and seed. The tests ask whether the
mean difference is 0. In them a fold counts once, by its mean over the seeds, as a seed adds no recordings: J is the
number of folds. *t* and *Wilcoxon* are p of the paired t test and of the signed-rank test, two-sided, as if folds were
independent. They are not: the training parts of two folds share recordings, so that both are optimistic. *corrected t*
is p of the corrected resampled t test (Nadeau and Bengio, 2003), which takes (1/J + n_test/n_train) s² instead of s²/J
for the variance of the mean of J differences; n_train is that of all training recordings, also where a share is used.
Where a task has a split in place of folds, J is the number of seeds, and no test tells of other recordings.
Nothing is corrected for the number of comparisons."""


COLUMNS = ["task", "train_share", "row", "metric", "mean", "std", "n_folds", "n_seeds", "test_to_train", *Tests._fields]


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        folder: where it lies.
        seed: its seed.
        facts: everything else that it was made from, by dotted name.
        shares: ``train_share`` of each task.
        metrics: ``metrics/<task>.json`` of each task.
    """

    folder: Path
    seed: int
    facts: Mapping[str, object]
    shares: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read ``run.json`` and the ``metrics/<task>.json`` that it names.

        Raises:
            AudiopgError: a file is missing, damaged, of a former version, or not the one that ``run.json`` describes.
        """
        path = folder / "run.json"
        card = storage.read_json(path)
        if card.get("stage") != "table" or "stages" not in card:
            msg = f"{path}: not the run card of a results table of this version; make the run again"
            raise AudiopgError(msg)
        given, metrics = dict(card["params"]), {}
        for task in given["tasks"]:
            file = folder / "metrics" / f"{task}.json"
            metrics[task] = storage.read_json(file)
            if storage.file_digest(file) != card["inputs"][f"results/metrics/{task}.json"]:
                msg = f"{file}: is not what {path} describes"
                raise AudiopgError(msg)
        seed = given.pop("seed")
        recordings = {file: digest for file, digest in card["inputs"].items() if file.startswith("results/tasks/")}
        facts = dict(verify.leaves({**given, "stages": card["stages"], "inputs": recordings}))
        shares = {task: section["train_share"] for task, section in given["tasks"].items()}
        return cls(folder, seed, facts, shares, metrics)


def check(runs: Sequence[Run], along: str | None = None) -> None:
    """Refuse runs that differ in anything but their seed and one parameter, or in neither.

    Raises:
        AudiopgError: names both runs, and the first key that they differ in; or a run that has no such parameter.
    """
    first = runs[0]
    may_differ = "the seed" if along is None else f"the seed and {along}"
    for run in runs:
        if along is not None and along not in run.facts:
            msg = f"{run.folder}: has no parameter {along}"
            raise AudiopgError(msg)
        for key in [*first.facts, *run.facts]:
            here, there = run.facts.get(key), first.facts.get(key)
            if here != there and key != along:
                msg = f"{run.folder}: has {key} = {here}, but {first.folder} has {there}; only {may_differ} may differ"
                raise AudiopgError(msg)
    for _, pooled in groups(runs, along):
        seeds: dict[int, Path] = {}
        for run in pooled:
            if run.seed in seeds:
                msg = f"{run.folder}: has seed = {run.seed}, as {seeds[run.seed]} has; each run needs its own"
                raise AudiopgError(msg)
            seeds[run.seed] = run.folder


def groups(runs: Sequence[Run], along: str | None) -> list[tuple[Any, list[Run]]]:
    """Group runs by their value of a parameter: numbers in ascending order, others as they come.

    Without a parameter all are together, with None as its value.
    """
    found: dict[str, tuple[Any, list[Run]]] = {}
    for run in runs:
        value = None if along is None else run.facts[along]
        found.setdefault(storage.canonical(value), (value, []))[1].append(run)
    each = list(found.values())
    return sorted(each, key=lambda group: group[0]) if _are_numbers([value for value, _ in each]) else each


def _are_numbers(values: Sequence[object]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Pool runs in the columns ``COLUMNS``, the figures of a task and then their differences, ``<row> - <row>``."""
    found = []
    for task, share in runs[0].shares.items():
        metrics = [run.metrics[task] for run in runs]
        n_test, n_train = (np.array([metric[name] for metric in metrics]) for name in ("n_test", "n_train"))
        n_folds = n_test.shape[1]
        # the term is for recordings that the training parts of two folds share: no share has more of them
        n_all = n_test.sum(axis=1, keepdims=True) - n_test if n_folds > 1 else n_train / share
        ratio = float((n_test / n_all).mean())
        for metric in metrics[0]["pretrained"]:
            scores = {row: np.concatenate([each[row][metric]["scores"] for each in metrics]) for row in TITLES}
            pairs = {f"{a} - {b}": np.round(scores[a] - scores[b], DECIMALS) for a, b in PAIRS}
            for row, values in (scores | pairs).items():
                figure = mean_and_std(values.tolist())
                # a seed adds no recordings: it makes the figure of a fold more exact
                units = values.reshape(len(runs), n_folds).mean(axis=0) if n_folds > 1 else values
                tested = tests(np.round(units, DECIMALS), ratio) if row in pairs else NO_TESTS
                place = (task, share, row, metric)
                found.append((*place, figure["mean"], figure["std"], n_folds, len(runs), ratio, *tested))
    return pd.DataFrame(found, columns=COLUMNS)


def markdown(frame: pd.DataFrame, seeds: Sequence[int], along: str | None = None) -> str:
    """Return the table as Markdown, with legend and seeds below.

    Args:
        frame: as `table`; with ``along``, a column of that name goes before.
        seeds: of all runs.
        along: the parameter that differs, if one does.
    """
    lines, keys = [], [] if along is None else [along]
    for row in frame.to_dict("records"):
        difference = " - " in row["row"]
        sign = "+" if difference else ""
        lines.append(
            [
                *(str(row[key]) for key in keys),
                row["task"],
                f"{row['train_share']:g}",
                " − ".join(TITLES[name] for name in row["row"].split(" - ")),  # noqa: RUF001  (a minus)
                row["metric"],
                with_spread(f"{row['mean']:{sign}.3f}", row["std"], row["n_folds"] * row["n_seeds"]),
                f"{row['n_folds']}",
                f"{row['n_seeds']}",
                *(_p(row[name]) for name in ("p_t", "p_wilcoxon", "p_corrected")),
                f"{row['test_to_train']:.3g}" if difference else "–",
            ]
        )
    headers = ["task", "train_share", "row", "metric", "mean ± std", "folds", "seeds", "t", "Wilcoxon", "corrected t"]
    shown = tabulate(lines, [*keys, *headers, "n_test/n_train"], "github", disable_numparse=True)
    return "\n\n".join([shown, LEGEND, f"Seeds: {', '.join(map(str, seeds))}."]) + "\n"


def _check_places(folders: Sequence[Path], out: Path | None, page: Path | None, curve: Path | None) -> None:
    """Refuse names of other kinds of files, and places inside the runs that are compared."""
    for option, path, suffix in (("out", out, ".csv"), ("markdown", page, ".md"), ("picture", curve, ".png")):
        if path is not None and path.suffix != suffix:
            msg = f"--{option}: a name that ends in {suffix} is needed, found '{path}'"
            raise AudiopgError(msg)
    for folder in folders:
        for made in (out, page, curve):
            if made is not None and made.resolve().is_relative_to(folder.resolve()):
                msg = f"{made}: is inside {folder}, which is compared; choose a place outside"
                raise AudiopgError(msg)


def _p(p: float) -> str:
    if np.isnan(p):
        return "–"
    return f"{p:.3f}" if p >= LEAST_SHOWN else f"< {LEAST_SHOWN:g}"


def run(
    folders: Sequence[Path], out: Path | None, page: Path | None, along: str | None = None, curve: Path | None = None
) -> str:
    """Pool runs and return the table as Markdown.

    Args:
        folders: ``results`` of each run, or a folder with its ``run.json`` and ``metrics/``.
        out: where the table goes as CSV, if anywhere.
        page: where the Markdown table goes, if anywhere.
        along: dotted name of a parameter that may differ as well; runs are pooled for each of its values.
        curve: where the figures over that parameter are drawn, if anywhere.

    Raises:
        AudiopgError: as `Run.read` and `check`; a name of another kind of file, or inside one of the runs; or a
            curve along nothing.
    """
    _check_places(folders, out, page, curve)
    if curve is not None and along is None:
        msg = "--picture draws figures over a parameter: name it with --along"
        raise AudiopgError(msg)
    if curve is not None:
        from audiopg.report import curves  # noqa: PLC0415  (needs the extra `workflow`)

    runs = [Run.read(folder) for folder in folders]
    check(runs, along)
    frames = []
    for value, pooled in groups(runs, along):
        found = table(pooled)
        if along is not None:
            found.insert(0, along, [value] * len(found))
        frames.append(found)
    frame = pd.concat(frames, ignore_index=True)
    text = markdown(frame, list(dict.fromkeys(each.seed for each in runs)), along)
    if out is not None:
        storage.write_table(out, frame)
    if page is not None:
        storage.write_text(page, text)
    if curve is not None and along is not None:
        curves.draw(frame, along, curve)
    return text
