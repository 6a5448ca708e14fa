"""The forecast of each stage against what a run took: reads a project's rehearsal and Snakemake's times of its jobs.

    python benchmarks/forecast.py PROJECT            # after the commands of benchmarks/README.md

Jobs have to run one after another (`snakemake --cores 1`), as the forecast counts them.
"""

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from audiopg.config import params
from audiopg.cost import forecast, measured
from audiopg.errors import AudiopgError
from audiopg.storage import write_table

OUT = Path(__file__).parent / "results" / "forecast.csv"
ALLOWED = 0.25  # of what a stage took


class Job(NamedTuple):
    """One output of a job of the workflow."""

    path: str
    rule: str
    began_s: float
    ended_s: float


def jobs(project: Path) -> list[Job]:
    """Read when the job behind each file began and ended; a file is named in base64, in folders if it is long.

    Raises:
        AudiopgError: there is no finished run.
    """
    folder, found = project / ".snakemake" / "metadata", []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = "".join(part.removeprefix("@") for part in file.relative_to(folder).parts)
        known = json.loads(file.read_text(encoding="utf-8"))
        path = base64.b64decode(name).decode()
        found.append(Job(path, known["rule"], known["starttime"], known["endtime"]))
    if not found:
        msg = f"{folder}: no times of jobs; run `snakemake --cores 1` in {project} first"
        raise AudiopgError(msg)
    return found


def took(found: Iterable[Job]) -> Counter[tuple[str, str]]:
    """Add up the times of the jobs of each stage and task, in s.

    All files of a job have its times to some milliseconds; its run card stands for it.
    """
    times: Counter[tuple[str, str]] = Counter()
    for job in found:
        folders = Path(job.path).parts
        if folders[-1] != "run.json":
            continue
        stage, task = job.rule, folders[2] if job.rule in {"finetune", "probe"} else ""
        if job.rule == "finetune" and folders[3] == "scratch":
            stage = "scratch"
        times[stage, task] += job.ended_s - job.began_s
    return times


def compared(project: Path) -> pd.DataFrame:
    """Return columns ``stage, task, forecast_s, measured_s, error``: the share of the measured time that is wrong.

    Raises:
        AudiopgError: there is no rehearsal of the project's parameters, or no run.
    """
    cfg = params.load(project / "params.yaml")
    rates = measured.read(project / "rehearsal" / "rehearsal.json", cfg)
    times = took(jobs(project))
    rows = [
        (stage.stage, stage.task, stage.time_s, times[stage.stage, stage.task])
        for stage in forecast.stages(cfg, rates)
        if times[stage.stage, stage.task]
    ]
    table = pd.DataFrame(rows, columns=["stage", "task", "forecast_s", "measured_s"])
    table["error"] = table["forecast_s"] / table["measured_s"] - 1
    return table


def main() -> None:
    """Print the comparison, and write it beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path, help="folder with params.yaml, rehearsal/ and .snakemake/")
    try:
        table = compared(parser.parse_args().project)
    except AudiopgError as error:
        parser.exit(2, f"{error}\n")
    write_table(OUT, table.round({"forecast_s": 1, "measured_s": 1, "error": 3}))
    shown = table.assign(error=table["error"].map("{:+.0%}".format))
    print(tabulate(shown, list(shown), "github", showindex=False, floatfmt=".1f"))
    far = table[table["error"].abs() > ALLOWED]
    if len(far):
        sys.exit(f"{len(far)} of {len(table)} stages are off by more than {ALLOWED:.0%}")


if __name__ == "__main__":
    main()
