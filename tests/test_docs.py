"""The documentation is true of the repository, and its site is whole."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.browser import chromium
from support.places import ROOT
from typer.main import get_command

from audiopg.cli.app import app

README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "architecture.md"
README_BYTES = 7000
SITE = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", str(ROOT / "mkdocs.yml")]


def tree() -> set[str]:
    """Paths of the annotated tree; an entry's comment stands two spaces or more behind it."""
    block = ARCHITECTURE.read_text(encoding="utf-8").partition("## The tree")[2].split("```")[1]
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


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_readme_shows_committed_figures() -> None:
    """Its table has fewer columns than ``results/table.md``, and no other figure."""
    committed = [cells(line) for line in (ROOT / "results" / "table.md").read_text(encoding="utf-8").splitlines()]
    names, rows = committed[2], {row[0]: row for row in committed[4:] if len(row) == len(committed[2])}
    lines = [cells(line) for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    head = next(number for number, line in enumerate(lines) if line[0] == "task")
    shown = [line for line in lines[head + 1 :] if len(line) == len(lines[head]) and line[0] in rows]
    assert [line[0] for line in shown] == [row[0] for row in committed[4 : 4 + len(shown)]]
    for line in shown:
        for name, cell in zip(lines[head][1:], line[1:], strict=True):
            assert cell == rows[line[0]][names.index(name)], (line[0], name)


def test_the_shown_table_is_the_committed_one() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for line in (ROOT / "results" / "table.md").read_text(encoding="utf-8").splitlines():
        assert line.startswith("# ") or line in page, line


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    extras = [name for listed in project["optional-dependencies"].values() for name in listed]
    for requirement in [*project["dependencies"], *extras]:
        assert re.search(rf"\b{re.split('[<>=[]', requirement)[0]}\b", page), requirement


def test_the_readme_is_a_door() -> None:
    assert len(README.read_bytes()) <= README_BYTES


def test_no_relative_link_of_the_front_pages_is_dead() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)|src=\"([^\"]+)\"", text):
            target = "".join(link)
            assert "://" in target or (ROOT / target).exists(), f"{name}: {target}"


def test_the_make_targets_that_the_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pages = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {target for page in pages for target in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_commands_that_the_pages_and_the_makefile_name_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    options = {name: {option for p in command.params for option in p.opts} for name, command in commands.items()}
    pages = [README, ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")]
    texts = {str(page.relative_to(ROOT)): re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8")) for page in pages}
    named = [
        (name, *found)
        for name, text in texts.items()
        for found in re.findall(r"\baudiopg ([a-z]+)((?: +[^`\n|&;#]+)?)", text)
        if found[0] in options or found[1].lstrip().startswith("--")
    ]
    users = {
        "init",
        "profile",
        "list",
        "cost",
        "fetch",
        "render",
        "compare",
        "verify",
        "track",
        "sync",
        "embed",
        "export",
    }
    assert {name for _, name, _ in named} >= users
    for page, name, rest in named:
        assert name in options, f"{page}: audiopg {name}"
        for option in re.findall(r"(?<!\S)--[a-z0-9-]+", rest):
            assert option in options[name] | {"--help"}, f"{page}: audiopg {name} {option}"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the workers of data loaders
@pytest.mark.parametrize("name", ["sound", "embeddings", "suites"])
def test_the_python_of_a_page_runs(name: str) -> None:
    """Each block after the others, with what the page takes for granted."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    known: dict[str, Any] = {"waveform": torch.zeros(66_150)}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if "read_parquet" not in block:  # of a file that the command line writes
            exec(compile(block, name, "exec"), known)  # noqa: S102


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a dead link is an error."""
    pytest.importorskip("mkdocs", reason="needs mkdocs-material (extra `dev`)")
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [*SITE, "--site-dir", str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_has_all_pages(site: Path) -> None:
    pages = sorted(page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").glob("*.md"))
    assert all((site / page).is_file() for page in pages)
    assert (site / "results" / "small" / "index.html").is_file()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """An installed Chromium."""
    with chromium() as found:
        yield found


@pytest.mark.slow
def test_the_start_page_opens_without_a_network(browser: Any, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    assert page.locator("h1").first.inner_text().startswith("audiopg")
    assert page.locator("article img").first.evaluate("image => image.naturalWidth") > 0
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.get_by_role("link", name="Architecture").first.click()
    page.get_by_role("heading", name="The tree").wait_for()
