"""The README tells the truth about the repository."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from support.places import ROOT


def tree() -> set[str]:
    """Paths of the annotated tree; an entry's comment stands two spaces or more behind it."""
    block = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The tree")[2].split("```")[1]
    paths: set[str] = set()
    folder = ""
    for line in block.strip("\n").splitlines():
        names = line.strip().split("  ")[0].split()
        if not line.startswith(" "):
            folder = names[0] if names[0].endswith("/") else ""
        paths |= {(folder if line.startswith(" ") else "") + name for name in names}
    return paths


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.split()


def test_everything_in_the_tree_exists(tracked: list[str]) -> None:
    for path in tree():
        assert any(file == path or (path.endswith("/") and file.startswith(path)) for file in tracked), path


def test_everything_that_exists_is_in_the_tree(tracked: list[str]) -> None:
    known = tree()
    with_children = {path for path in known if any(other != path and other.startswith(path) for other in known)}
    for file in tracked:
        parents = [f"{parent.as_posix()}/" for parent in Path(file).parents if parent != Path()]
        assert file in known or (set(parents) & known) - with_children, file


def test_the_shown_table_is_the_committed_one() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in (ROOT / "results" / "table.md").read_text(encoding="utf-8").splitlines():
        assert line.startswith("# ") or line in readme, line


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    for requirement in project["dependencies"]:
        assert re.search(rf"\b{re.split('[<>=]', requirement)[0]}\b", readme), requirement
