"""Fixtures for the tests of the tasks."""

from pathlib import Path
from typing import NamedTuple

import pytest
from support.miniatures import MINIATURES, TOP_FOLDERS

from audiopg.fetch.store import fetch
from audiopg.tasks.registry import TASKS
from audiopg.tasks.task import Download, Task


class Present(NamedTuple):
    """A registered task with recordings: its own, or a miniature of them."""

    name: str
    task: Task
    root: Path


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for all tests of the tasks, so that everything is fetched and rendered once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session", params=list(TASKS))
def present(request: pytest.FixtureRequest, data_dir: Path) -> Present:
    """Every registered task in turn."""
    name = request.param
    if name in MINIATURES:
        folder = data_dir / "miniatures" / name
        return Present(name, MINIATURES[name](folder), folder / TOP_FOLDERS.get(name, ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOPG_DATA", str(data_dir))
        if isinstance(TASKS[name].source, Download):
            patch.setenv("AUDIOPG_MIRROR", str(request.getfixturevalue("mirror")))
        return Present(name, TASKS[name], fetch(TASKS[name]))
