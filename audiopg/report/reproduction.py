"""Whether a run reproduced another one: each figure of the table beside the other's, and what may explain it."""

import hashlib
import io
import json
import math
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import norm
from tabulate import tabulate

from audiopg.errors import AudiopgError
from audiopg.provenance import verify


@dataclass(frozen=True)
class Results:
    """The results table of a run, and what it was made from."""

    name: str
    table: pd.DataFrame
    """``table.csv``."""
    card: Mapping[str, Any]
    """Run card of the table."""
    metrics: Mapping[str, Mapping[str, Any]]
    """``metrics/<task>.json`` of each task."""

    @classmethod
    def read(cls, place: str) -> "Results":
        """Read results from a folder, or from a revision of the git repository in the current folder.

        Raises:
            AudiopgError: there is no such folder or revision, or a file is missing or damaged.
        """
        text = _of_folder(Path(place)) if Path(place).is_dir() else _of_revision(place)
        try:
            card, listed = json.loads(text("run.json")), text("table.csv")
            table = pd.read_csv(io.StringIO(listed))
            metrics = {task: json.loads(text(f"metrics/{task}.json")) for task in table["task"].unique()}
        except (ValueError, KeyError) as error:
            msg = f"{place}: results that cannot be read ({error})"
            raise AudiopgError(msg) from error
        missing = [name for name in ("params", "stages", "outputs") if name not in card]
        if missing:
            msg = f"{place}: results that cannot be read (run.json has no {', '.join(missing)})"
            raise AudiopgError(msg)
        if hashlib.sha256(listed.encode()).hexdigest() != card["outputs"].get(
            (verify.RESULTS / "table.csv").as_posix()
        ):
            msg = f"{place}: table.csv is not the one that run.json describes; take it from where it was made"
            raise AudiopgError(msg)
        return cls(place, table, card, metrics)


def _of_folder(folder: Path) -> Callable[[str], str]:
    def text(name: str) -> str:
        try:
            return (folder / name).read_text(encoding="utf-8")
        except OSError as error:
            msg = f"{folder / name}: {error.strerror}; a folder of results holds it"
            raise AudiopgError(msg) from error

    return text


def _of_revision(revision: str) -> Callable[[str], str]:
    def text(name: str) -> str:
        path = f"{revision}:./{(verify.RESULTS / name).as_posix()}"
        try:
            done = subprocess.run(["git", "show", path], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            msg = f"{revision}: no such folder, and git is not installed to look for a revision of that name"
            raise AudiopgError(msg) from None
        if done.returncode:
            msg = f"{revision}: neither a folder nor a revision that holds {verify.RESULTS / name}"
            raise AudiopgError(msg)
        return done.stdout

    return text


def compare(here: Results, there: Results) -> pd.DataFrame:
    """Put the figures of two runs side by side.

    The spread of a figure is its standard deviation over folds, the larger one of the two runs. Where a task has one
    run and so no deviation, it is twice the standard error of a share of the test clips, ``2 √(p (1 - p) / n)``; that
    of d' is what the same spread of its area under the ROC curve makes of it.

    Returns:
        Columns ``task, row, metric, here, there, difference, spread, within``; figures that only one run has are NaN
        in the other, and not within.
    """
    keys = ["task", "row", "metric"]
    rows = pd.concat([here.table[keys], there.table[keys]]).drop_duplicates()
    both = rows.merge(here.table, "left", keys).merge(there.table, "left", keys, suffixes=("", "_there"))
    found = both[keys].assign(here=both["mean"], there=both["mean_there"], difference=both["mean"] - both["mean_there"])
    spreads = []
    for row in both.to_dict("records"):
        spread = max(row["std"], row["std_there"])
        if row["n"] == row["n_there"] == 1:
            spread = _spread_of_one(row["metric"], row["mean_there"], sum(there.metrics[row["task"]]["n_test"]))
        spreads.append(spread)
    found["spread"] = spreads
    return found.assign(within=found["difference"].abs() <= found["spread"])


def _spread_of_one(metric: str, figure: float, n_clips: int) -> float:
    """Twice the standard error of a figure of one run, as `compare`."""
    quantile = figure / math.sqrt(2)  # of the area, if the figure is d'
    share, slope = (norm.cdf(quantile), norm.pdf(quantile) / math.sqrt(2)) if metric == "d_prime" else (figure, 1.0)
    return float(2 * math.sqrt(share * (1 - share) / n_clips) / slope)


def parameters_that_differ(here: Results, there: Results) -> list[str]:
    """List the parameters in which two runs differ, as ``name = here (there: value)``."""
    return _differences(here.card["params"], there.card["params"])


def circumstances(here: Results, there: Results) -> list[str]:
    """List in what else two runs differ: devices and precision, versions, code; what may explain other figures."""
    found = []
    ours, theirs = (_made_by(results.card["stages"]) for results in (here, there))
    for key in ("device", "machine"):
        if ours[key] != theirs[key]:
            mine, other = (" and ".join(sorted(each[key])) for each in (ours, theirs))
            found.append(f"{key}: here {mine}, there {other}")
    found += [f"version of {text}" for text in _differences(ours["versions"], theirs["versions"])]
    stages = [stage for stage, code in ours["code"].items() if theirs["code"].get(stage, code) != code]
    return found + ([f"code of {', '.join(stages)}"] if stages else [])


def _made_by(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what the stages of a run say of the place where they ran."""
    return {
        "device": {stage["device"] for stage in stages.values()},
        "machine": {stage["machine"] for stage in stages.values()},
        "versions": {name: number for stage in stages.values() for name, number in stage["versions"].items()},
        "code": {name: stage["code"] for name, stage in stages.items()},
    }


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    here, there = dict(verify.leaves(ours)), dict(verify.leaves(theirs))
    names = [*here, *(name for name in there if name not in here)]
    return [
        f"{name} = {here.get(name)} (there: {there.get(name)})" for name in names if here.get(name) != there.get(name)
    ]


def verdict(against: str, folder: Path = verify.RESULTS) -> tuple[str, bool]:
    """Say whether the results in a folder reproduce others.

    Args:
        against: folder of the others, or a git revision.
        folder: the results.

    Returns:
        What to print, and False where the parameters are the same and a figure is outside the spread all the same.

    Raises:
        AudiopgError: as `Results.read`; or nothing was made here, and the results in git would be compared with
            themselves.
    """
    here, there = Results.read(folder.as_posix()), Results.read(against)
    if here.card == there.card:
        verify.refuse_fresh({(folder / "run.json").as_posix(): dict(here.card)})
    table = compare(here, there)
    shown = tabulate(
        [
            [row["task"], row["row"], row["metric"], *(f"{row[key]:.3f}" for key in ("here", "there"))]
            + [f"{row['difference']:+.3f}", f"{row['spread']:.3f}", "" if row["within"] else "OUTSIDE"]
            for row in table.to_dict("records")
        ],
        ["task", "row", "metric", "here", against, "difference", "spread", ""],
        "github",
        disable_numparse=True,
    )
    n_within, n_all = int(table["within"].sum()), len(table)
    largest = table["difference"].abs().max()
    line = f"{n_within} of {n_all} figures are within the spread of folds (largest difference {largest:.3f})"
    why = circumstances(here, there)
    lines = [shown, "", line + ("." if not why else f"; {verify.some(why, '; ')}.")]
    changed = parameters_that_differ(here, there)
    if changed:
        lines.append(f"Not a reproduction: the parameters differ, {verify.some(changed, '; ')}.")
    elif n_within < n_all:
        lines.append("Not reproduced." + ("" if why else " Nothing that the run cards know of explains it."))
    else:
        lines.append("Reproduced." + (" Every figure is the same." if largest == 0 else ""))
    return "\n".join(lines), bool(changed) or n_within == n_all
