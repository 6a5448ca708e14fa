"""The files of a new project are those of this repository."""

from pathlib import Path

import pytest
from support.places import ROOT
from typer.testing import CliRunner

from audiopg.cli import new_project
from audiopg.cli.app import app
from audiopg.config import profile
from audiopg.errors import AudiopgError


def test_the_files_are_those_of_the_repository_but_for_one_line() -> None:
    texts = new_project.files()
    assert texts.pop("params.yaml") == profile.text("quick")
    here = {place: (ROOT / place).read_text(encoding="utf-8") for place in texts}
    differ = [place for place in texts if texts[place] != here[place]]
    assert differ == ["dvc.yaml"]
    pairs = zip(texts["dvc.yaml"].splitlines(), here["dvc.yaml"].splitlines(), strict=True)
    assert [(new.strip(), old.partition(" #")[0].strip()) for new, old in pairs if new != old] == [
        ("deps: [workflow, Snakefile] # lists of your own recordings lie in workflow/recordings", new_project.DEPS[0])
    ]


def test_no_file_of_the_workflow_is_left_out() -> None:
    for folder, pattern in (
        ("workflow", "[!.]*/[!.]*"),
        ("profiles", "*/[!.]*"),
        (".dvc", "config"),
        (".", ".dvcignore"),
    ):
        for path in (ROOT / folder).glob(pattern):
            if path.is_file() and path.parent.name != "recordings":  # which are a user's own
                assert path.relative_to(ROOT).as_posix() in new_project.files()


@pytest.mark.parametrize("name", ["Snakefile", "workflow/rules/table.smk", ".gitignore", "params.yaml"])
def test_a_file_that_is_there_is_kept_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(AudiopgError, match=rf"{name}: is there already; choose another folder$"):
        new_project.write(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_a_link_to_nothing_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AudiopgError, match=r"dvc\.yaml: is there already"):
        new_project.write(tmp_path)


def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    other = tmp_path / "a project"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    shown = CliRunner().invoke(app, ["init", str(other)], catch_exceptions=False).stdout.splitlines()
    assert [line.strip().partition("    ")[0] for line in shown[1:]] == [
        f"cd '{other}'",
        "pip install --no-deps --require-hashes -r requirements-data.txt",
        "git init",
        "snakemake --cores all",
    ]
    assert (other / "Snakefile").is_file()
    assert (other / "notes.txt").read_text() == "mine"
