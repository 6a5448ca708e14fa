"""Several runs that differ in their seed as one table: figures over folds and seeds, and tests of their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from audiopg import storage, verification
from audiopg.errors import AudiopgError
from audiopg.evaluate.metrics import mean_and_std
from audiopg.report import TITLES

# What is asked: does pre-training help, and does the frozen encoder know more than simple features or chance do?
PAIRS = (("pretrained", "scratch"), ("probe_linear", "logmel_stats"), ("probe_linear", "probe_random"))
DECIMALS = 6  # of the scores; what a difference has beyond them is rounding
LEAST_SHOWN = 0.001

LEGEND = """\
Mean ± standard deviation over folds × seeds; a difference is taken within a fold and seed. *t* and *Wilcoxon* are p of
the paired t test and of the signed-rank test, two-sided, as if all pairs were independent. They are not: the training
parts of two folds share recordings, and a fold is the same for all seeds, so that both are optimistic. *corrected t*
is p of the corrected resampled t test (Nadeau and Bengio, 2003), which takes (1/J + n_test/n_train) s² instead of s²/J
for the variance of the mean of J differences. Where a task has a split in place of folds, pairs differ in their seed
only, and no test tells of other recordings. Nothing is corrected for the number of comparisons."""


class Tests(NamedTuple):
    """What tests say about the mean of some differences; NaN where there is one, or all are equal."""

    t: float
    p_t: float
    p_wilcoxon: float
    t_corrected: float
    p_corrected: float


NO_TESTS = Tests(*[float("nan")] * len(Tests._fields))
COLUMNS = ["task", "train_share", "row", "metric", "mean", "std", "n_folds", "n_seeds", "test_to_train", *Tests._fields]


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        folder: where it lies.
        seed: its seed.
        facts: all else that it was made from, by dotted name.
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
        params, metrics = dict(card["params"]), {}
        for task in params["tasks"]:
            file = folder / "metrics" / f"{task}.json"
            metrics[task] = storage.read_json(file)
            if storage.file_digest(file) != card["inputs"][f"results/metrics/{task}.json"]:
                msg = f"{file}: is not what {path} describes"
                raise AudiopgError(msg)
        seed = params.pop("seed")
        recordings = {file: digest for file, digest in card["inputs"].items() if file.startswith("results/tasks/")}
        facts = dict(verification.leaves({**params, "stages": card["stages"], "inputs": recordings}))
        shares = {task: section["train_share"] for task, section in params["tasks"].items()}
        return cls(folder, seed, facts, shares, metrics)


def check(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in anything but their seed, or that have the same one.

    Raises:
        AudiopgError: names both runs, and the first key that they differ in.
    """
    first, seeds = runs[0], {runs[0].seed: runs[0].folder}
    for run in runs[1:]:
        for key in [*first.facts, *run.facts]:
            here, there = run.facts.get(key), first.facts.get(key)
            if here != there:
                msg = f"{run.folder}: has {key} = {here}, but {first.folder} has {there}; only the seed may differ"
                raise AudiopgError(msg)
        if run.seed in seeds:
            msg = f"{run.folder}: has seed = {run.seed}, as {seeds[run.seed]} has; each run needs one of its own"
            raise AudiopgError(msg)
        seeds[run.seed] = run.folder


def corrected_t_test(differences: NDArray[np.float64], test_to_train: float) -> tuple[float, float]:
    """Corrected resampled t test of a mean of 0, t and two-sided p.

    ``t = mean / √((1/J + n_test / n_train) s²)`` with ``J - 1`` degrees of freedom, where s² is the variance of the J
    differences: J training sets that overlap tell less than J that do not.

    Args:
        differences: two or more, not all equal, shape (J,).
        test_to_train: n_test / n_train of a fold.

    Source: Nadeau and Bengio (2003), Inference for the generalization error, section 5.1.
    """
    n = len(differences)
    t = differences.mean() / np.sqrt((1 / n + test_to_train) * differences.var(ddof=1))
    return float(t), float(2 * stats.t.sf(abs(t), n - 1))


def tests(differences: NDArray[np.float64], test_to_train: float) -> Tests:
    """Test whether the mean of paired differences is 0.

    Args:
        differences: one for each fold and seed, shape (J,).
        test_to_train: n_test / n_train of a fold.
    """
    if np.ptp(differences) == 0:
        return NO_TESTS
    plain, ranks = stats.ttest_1samp(differences, 0), stats.wilcoxon(differences)
    return Tests(
        float(plain.statistic),
        float(plain.pvalue),
        float(ranks.pvalue),
        *corrected_t_test(differences, test_to_train),
    )


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """Pool runs in the columns ``COLUMNS``, the figures of a task and then their differences, ``<row> - <row>``."""
    found = []
    for task, share in runs[0].shares.items():
        metrics = [run.metrics[task] for run in runs]
        n_test, n_train = (np.array([metric[name] for metric in metrics]) for name in ("n_test", "n_train"))
        ratio, n_folds = float((n_test / n_train).mean()), n_test.shape[1]
        for metric in metrics[0]["pretrained"]:
            scores = {row: np.concatenate([each[row][metric]["scores"] for each in metrics]) for row in TITLES}
            pairs = {f"{a} - {b}": np.round(scores[a] - scores[b], DECIMALS) for a, b in PAIRS}
            for row, values in (scores | pairs).items():
                figure = mean_and_std(values.tolist())
                tested = tests(values, ratio) if row in pairs else NO_TESTS
                place = (task, share, row, metric)
                found.append((*place, figure["mean"], figure["std"], n_folds, len(runs), ratio, *tested))
    return pd.DataFrame(found, columns=COLUMNS)


def markdown(frame: pd.DataFrame, seeds: Sequence[int]) -> str:
    """Return the table for the eye, and below it what it rests on."""
    lines = []
    for row in frame.to_dict("records"):
        difference = " - " in row["row"]
        sign = "+" if difference else ""
        lines.append(
            [
                row["task"],
                f"{row['train_share']:g}",
                " − ".join(TITLES[name] for name in row["row"].split(" - ")),  # noqa: RUF001  (a minus)
                row["metric"],
                f"{row['mean']:{sign}.3f} ± {row['std']:.3f}",
                f"{row['n_folds']}",
                f"{row['n_seeds']}",
                *(_p(row[name]) for name in ("p_t", "p_wilcoxon", "p_corrected")),
                f"{row['test_to_train']:.3g}" if difference else "–",
            ]
        )
    headers = ["task", "train_share", "row", "metric", "mean ± std", "folds", "seeds", "t", "Wilcoxon", "corrected t"]
    shown = tabulate(lines, [*headers, "n_test/n_train"], "github", disable_numparse=True)
    return "\n\n".join([shown, LEGEND, f"Seeds: {', '.join(map(str, seeds))}."]) + "\n"


def _p(p: float) -> str:
    if np.isnan(p):
        return "–"
    return f"{p:.3f}" if p >= LEAST_SHOWN else f"< {LEAST_SHOWN:g}"


def run(folders: Sequence[Path], out: Path | None, page: Path | None) -> str:
    """Pool runs and return the table for the eye.

    Args:
        folders: ``results`` of each run, or a folder with its ``run.json`` and ``metrics/``.
        out: where the table goes as CSV, if anywhere.
        page: where the table for the eye goes, if anywhere.

    Raises:
        AudiopgError: as `Run.read` and `check`.
    """
    runs = [Run.read(folder) for folder in folders]
    check(runs)
    frame = table(runs)
    text = markdown(frame, [each.seed for each in runs])
    if out is not None:
        storage.write_table(out, frame)
    if page is not None:
        storage.write_text(page, text)
    return text
