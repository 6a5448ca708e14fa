"""After `kill -9` one documented command line brings everything: no wrong number, no whole fold done again."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

TASK = "drums"
LINE = "drums: {clip_s: 0.32}"
CHANGED = "drums: {clip_s: 0.32, finetune: {drop_path: 0.2}}"
# as in docs/troubleshooting.md
RECOVERY = {
    "snakemake": "snakemake --unlock && snakemake && audiopg track",
    "dvc": "snakemake --unlock && dvc repro",
}
STARTS = {"snakemake": "snakemake", "dvc": "dvc repro"}
PAUSE_S = "0.15"  # before each file, so that a kill finds a job's outputs half there
PATIENCE_S = 120
ENDS_S = 4.0  # half a second to notice it and to clean up; more on a busy machine, where all else takes longer too
START, COMMIT = 0, -1
# the victim, what was started, and when the kills come, up to ``LATER_S`` later: after so many calls of a run, from its
# very start, or while `dvc commit` writes dvc.lock
KILLS = [
    ("snakemake", "snakemake", (1, START, 3, 1, COMMIT)),
    ("snakemake", "dvc", (2, 1, 2)),
    ("worker", "snakemake", (2, 1, 1)),
    ("worker", "dvc", (1, 3)),
    ("dvc", "dvc", (1, START, 2, 2)),
    ("dvc", "dvc", (3, 1, 1)),
]
LATER_S = {START: 3.0, COMMIT: 0.3}
# each call that the edited parameter asks for: its stage, and an output of its job
JOBS = {
    f"finetune {TASK} {init}{fold}": (f"{stage}@{TASK}", f"results/finetune/{TASK}/{init}/fold{fold}/metrics.json")
    for init, stage in (("pretrained", "finetune"), ("scratch", "scratch"))
    for fold in (1, 2)
} | {
    f"aggregate {TASK}": (f"aggregate@{TASK}", f"results/metrics/{TASK}.json"),
    "table": ("table", "results/table.md"),
}


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The process and all that it started, the process first."""
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def runs(process: psutil.Process, name: str) -> bool:
    """Whether a process is this program of the environment, or this command of DVC."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return any(Path(word).name == name for word in words[:2]) or (words[1:3] == ["-m", "dvc"] and name in words)


def works(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Run:
    """A command line at work in a project."""

    def __init__(self, project: Any, command: str, pause_s: str = PAUSE_S) -> None:
        """Start it."""
        self.project = project
        self.log = project.root / "calls.log"
        self.seen = len(self.calls())
        self.output = project.root.with_name("output.txt")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=project.root,
                env={**project.environment(), "STUB_PAUSE": pause_s},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for(self, there: Callable[[], Any]) -> Any:
        """Return what comes to be there, or None once the run is over."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = there()
            if found:
                return found
            if self.process.poll() is not None:
                return None
            time.sleep(0.02)
        raise AssertionError(self.output.read_text())

    def finish(self) -> str:
        code = self.process.wait(PATIENCE_S)
        assert code == 0, self.output.read_text()
        return self.output.read_text()

    def kill(self, victim: str, moment: int, later: float) -> None:
        """Kill the victim ``later`` seconds after a moment of the run.

        A killed worker ends the run, a killed Snakemake inside `dvc repro` the stage and so `dvc repro`.
        """
        if moment == COMMIT:
            assert self.wait_for(lambda: any(runs(process, "commit") for process in family(self.process)))
        elif moment != START:
            assert self.wait_for(lambda: len(self.calls()) >= self.seen + moment), self.output.read_text()
        time.sleep(later)
        name = {"worker": "audiopg"}.get(victim, victim)

        def there() -> list[psutil.Process]:
            processes = family(self.process)
            return processes if any(runs(process, name) for process in processes) else []

        processes = self.wait_for(there)
        assert processes, self.output.read_text()
        next(process for process in processes if runs(process, name)).kill()
        self.process.wait(PATIENCE_S)
        # what is left ends by itself before the next command line could do anything; DVC may finish its record
        end = time.monotonic() + ENDS_S
        while left := [process for process in processes if works(process) and not runs(process, "commit")]:
            assert time.monotonic() < end, left
            time.sleep(0.05)


def results(root: Path) -> dict[str, bytes]:
    """All files of the results and dvc.lock, without what is neither tracked nor read."""
    files = [path for path in (root / "results").rglob("*") if path.is_file() and ".part" not in path.suffixes]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in [*files, root / "dvc.lock"]}


def complete(project: Any, before: Any, started: str) -> set[str]:
    """The calls that are over for the tool that was started: jobs for Snakemake, stages for DVC."""
    if started == "snakemake":
        notes, old = project.records(), before.records()
        # of a job that failed Snakemake removes the outputs, not the note
        new = {output for output in notes if notes[output] != old[output] and (project.root / output).exists()}
        return {call for call, (_, output) in JOBS.items() if output in new - project.incomplete()}
    lock, old = (yaml.safe_load((where.root / "dvc.lock").read_text())["stages"] for where in (project, before))
    return {call for call, (stage, _) in JOBS.items() if lock[stage] != old[stage]}


@pytest.fixture(scope="module")
def expected(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nobody killed."""
    project = finished.copy(tmp_path_factory.mktemp("expected"))
    project.edit("params.yaml", LINE, CHANGED)
    project.run("snakemake")
    assert set(project.calls()) == set(JOBS)
    return project


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "started", "moments"), KILLS)
def test_one_command_line_repairs_what_kills_broke_off(
    finished: Any, project: Any, expected: Any, victim: str, started: str, moments: tuple[int, ...]
) -> None:
    project.edit("params.yaml", LINE, CHANGED)
    draw = random.Random(f"{victim} {started} {moments}")
    command = STARTS[started]
    done: set[str] = set()
    for moment in [*moments, None]:
        run = Run(project, command)
        if moment is None:
            run.finish()
        else:
            run.kill(victim, moment, draw.uniform(0, LATER_S.get(moment, 0.8)))
        made = run.calls()[run.seen :]
        assert not done & set(made), "done twice"
        assert set(made) <= set(JOBS)
        done |= complete(project, finished, started)
        command = RECOVERY[started]
    assert done == set(JOBS)
    assert results(project.root) == results(expected.root)
    assert project.stale() == set()
    if started == "dvc":
        project.run("audiopg", "sync")
    assert project.pending() == set()
    assert ".part" not in project.run("git", "status", "--short")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["snakemake", "bash"])
def test_a_job_ends_with_its_snakemake_and_with_its_shell(project: Any, victim: str) -> None:
    project.edit("params.yaml", LINE, CHANGED)
    Run(project, "snakemake --cores 1", pause_s=str(PATIENCE_S)).kill(victim, 1, 0)


def test_the_command_line_ends_when_its_snakemake_is_gone() -> None:
    sleeps = f"import time; from audiopg.cli import app; app.app = lambda: time.sleep({PATIENCE_S}); app.main()"
    environment = {**os.environ, "AUDIOPG_RUN": str(2**30)}
    done = subprocess.run(
        [sys.executable, "-c", sleeps], env=environment, stderr=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode != 0
    assert b"KeyboardInterrupt" in done.stderr  # the way that removes temporary files


def test_twenty_processes_are_killed() -> None:
    assert sum(len(moments) for *_, moments in KILLS) == 20
    assert {victim for victim, *_ in KILLS} == {"snakemake", "worker", "dvc"}
