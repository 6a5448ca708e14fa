"""A small project with a stand-in command line, in which both tools have recorded one run."""

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT, TESTS

from audiopg.config import profile

PARTS = ("Snakefile", "dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore", "audiopg", "workflow", "profiles")
TWO_FOLDS = """
from dataclasses import replace

for _name, _task in TASKS._entries.items():
    TASKS._entries[_name] = replace(_task, card=replace(_task.card, sizes=(1, 1)))
"""
PREFLIGHT = "audiopg/cli/preflight.py"
# the real one takes seconds, as it loads torch
NO_CHECK = "def check(cfg, *, computes_here): pass\n"
# every stage as DVC resolves it
STAGES = """
import json
from dvc.repo import Repo

print(json.dumps({
    stage.addressing: {
        "cmd": stage.cmd,
        "deps": [dep.def_path for dep in stage.deps if not hasattr(dep, "params")],
        "params": {dep.def_path: sorted(dep.params) for dep in stage.deps if hasattr(dep, "params")},
        "outs": {out.def_path: out.use_cache for out in stage.outs},
    }
    for stage in Repo(".").index.stages
}))
"""


@dataclass(frozen=True)
class Project:
    """A checkout in a temporary folder, with what the tools say about it."""

    root: Path

    def run(self, *command: str, code: int = 0, **env: str) -> str:
        """Run a program of the environment and return what it writes; its exit code must be ``code``."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.environment(), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return the variables with which programs of the environment work on this checkout."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**os.environ, **identity, "PATH": path, "PYTHONPATH": str(self.root)}

    def copy(self, folder: Path) -> "Project":
        target = Project(folder / "project")
        shutil.copytree(self.root, target.root)
        target.calls()
        return target

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "x")

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def append(self, path: str, line: str) -> None:
        with (self.root / path).open("r+") as file:  # which must exist
            file.seek(0, os.SEEK_END)
            file.write(line + "\n")

    def calls(self) -> list[str]:
        """Return the commands since the last call, sorted."""
        log = self.root / "calls.log"
        lines = sorted(log.read_text().splitlines()) if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def pending(self) -> set[str]:
        """Return the outputs that Snakemake would make, were there no guard."""
        out = self.run("snakemake", "--summary", AUDIOPG_DVC_SYNC="off")
        return {line.split("\t")[0] for line in out.splitlines() if line.endswith("\tupdate pending")}

    def stale(self) -> set[str]:
        """Return the stages that DVC would run."""
        return set(json.loads(self.run("dvc", "status", "--json")))

    def stages(self) -> dict[str, Any]:
        """Return DVC's stages with the foreach resolved."""
        out: dict[str, Any] = json.loads(self.run(sys.executable, "-c", STAGES))
        return out

    def records(self) -> dict[str, Any]:
        """Return what Snakemake recorded of the making of each output."""
        return {output: json.loads(path.read_text()) for output, path in self._notes("metadata").items()}

    def incomplete(self) -> set[str]:
        """Return the outputs of jobs that began and did not end."""
        return set(self._notes("incomplete"))

    def _notes(self, kind: str) -> dict[str, Path]:
        folder = self.root / ".snakemake" / kind
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "migration_underway"]
        names = ["".join(part.lstrip("@") for part in path.relative_to(folder).parts) for path in files]
        return {base64.urlsafe_b64decode(name).decode(): path for name, path in zip(names, files, strict=True)}


def made(project: Project, folder: Path) -> Project:
    """Make everything in a copy by one `snakemake`, and commit it."""
    copy = project.copy(folder)
    assert "results recorded in dvc.lock" in copy.run("snakemake")
    copy.commit()
    return copy


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project itself with profile `test` and nothing made yet, committed; not to be changed."""
    project = Project(tmp_path_factory.mktemp("checkout"))
    for part in PARTS:
        target = project.root / part
        target.parent.mkdir(exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__", "*.part*"))
        else:
            shutil.copy(ROOT / part, target)
    (project.root / "params.yaml").write_text(profile.text("test"))
    project.run("git", "init", "--quiet")
    project.commit()
    return project


@pytest.fixture(scope="session")
def plain(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same for the CPU and with one task, which is enough for the real stages; not to be changed."""
    project = checkout.copy(tmp_path_factory.mktemp("plain"))
    project.edit("params.yaml", "  instruments: {clip_s: 0.32}", "  ")
    project.edit("params.yaml", "  device: auto", "  device: cpu")
    project.commit()
    return project


@pytest.fixture(scope="session")
def real(plain: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything made by the real stages, committed; not to be changed."""
    return made(plain, tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="session")
def fresh(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with the stand-in command line and two folds."""
    project = checkout.copy(tmp_path_factory.mktemp("fresh"))
    shutil.copy(TESTS / "support" / "stub_cli.py", project.root / "audiopg" / "cli" / "app.py")
    project.append("audiopg/tasks/registry.py", TWO_FOLDS)
    (project.root / PREFLIGHT).write_text(NO_CHECK)
    project.append(".gitignore", "calls.log")
    project.commit()
    return project


@pytest.fixture(scope="session")
def finished(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything made by one `snakemake`, committed; not to be changed."""
    return made(fresh, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project to play with."""
    return finished.copy(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here: they start Snakemake or DVC."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)
