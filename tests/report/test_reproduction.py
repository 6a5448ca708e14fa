"""The verdict on a second run: figure by figure, with what may explain a difference."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiopg import storage
from audiopg.cli import app
from audiopg.errors import AudiopgError
from audiopg.report.reproduction import verdict

VERSIONS = {"python": "3.11.7", "torch": "2.14.1"}
Edit = Callable[[pd.DataFrame, dict[str, Any]], object]


def write(folder: Path, edit: Edit = lambda *_: None) -> Path:
    """Results of two tasks, one with four folds and one with a split, after an edit."""
    rows = [
        ("drums", "pretrained", "accuracy", 0.60, 0.03, 4),
        ("drums", "scratch", "accuracy", 0.50, 0.04, 4),
        ("words", "pretrained", "accuracy", 0.80, 0.0, 1),
    ]
    table = pd.DataFrame(rows, columns=["task", "row", "metric", "mean", "std", "n"])
    stage = {"code": "c0de", "device": "cpu float32", "machine": "Linux x86_64", "versions": dict(VERSIONS)}
    card: dict[str, Any] = {
        "params": {"seed": 42, "pretrain": {"n_steps": 1000}},
        "stages": {"pretrain": stage, "finetune drums": json.loads(json.dumps(stage))},
    }
    edit(table, card)
    (folder / "metrics").mkdir(parents=True)
    table.to_csv(folder / "table.csv", index=False)
    card["outputs"] = {"results/table.csv": storage.file_digest(folder / "table.csv")}
    (folder / "run.json").write_text(json.dumps(card))
    for task in ("drums", "words"):
        (folder / "metrics" / f"{task}.json").write_text(json.dumps({"n_test": [100] if task == "words" else [48] * 4}))
    return folder


def moved(row: int, by: float) -> Edit:
    """Move one figure of the table."""

    def edit(table: pd.DataFrame, _: dict[str, Any]) -> None:
        table.loc[row, "mean"] += by

    return edit


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return write(tmp_path / "there")


def judged(tmp_path: Path, there: Path, edit: Edit = lambda *_: None) -> tuple[str, bool]:
    return verdict(str(there), write(tmp_path / "here", edit))


def test_the_same_figures_are_reproduced(tmp_path: Path, there: Path) -> None:
    text, reproduced = judged(tmp_path, there)
    assert reproduced
    assert "3 of 3 figures are within the spread of folds (largest difference 0.000)." in text
    assert text.endswith("Reproduced. Every figure is the same.")


def test_what_git_has_is_not_compared_with_itself(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fresh clone: none of the run cards behind the table is there."""

    def behind(_: pd.DataFrame, card: dict[str, Any]) -> None:
        card["inputs"] = {"results/pretrain/run.json": "0"}

    monkeypatch.chdir(tmp_path)
    here, there = write(tmp_path / "results", behind), write(tmp_path / "same", behind)
    with pytest.raises(AudiopgError, match="results: nothing was made here yet; git has the tables and pictures"):
        verdict(str(there), here)
    assert verdict(str(write(tmp_path / "other", moved(0, 0.01))), here)[1]  # two revisions
    (here / "pretrain").mkdir()
    (here / "pretrain" / "run.json").write_text("{}")
    assert verdict(str(there), here)[1]


@pytest.mark.parametrize(
    ("row", "by", "within"),
    [(0, 0.029, True), (0, -0.031, False), (1, 0.039, True), (2, 0.079, True), (2, 0.081, False)],
)
def test_a_figure_may_move_by_its_spread(row: int, by: float, within: bool, tmp_path: Path, there: Path) -> None:
    """The deviation over folds; for the 100 test clips of a split 2 √(0.8 · 0.2 / 100) = 0.08."""
    text, reproduced = judged(tmp_path, there, moved(row, by))
    assert reproduced == within
    assert f"{2 + within} of 3 figures are within the spread of folds (largest difference {abs(by):.3f})" in text
    assert ("OUTSIDE" in text) != within
    assert text.endswith("Reproduced." if within else "Nothing that the run cards know of explains it.")


@pytest.mark.parametrize(("by", "within"), [(0.51, True), (-0.51, True), (0.53, False)])
def test_a_distance_may_move_as_far_as_its_area(by: float, within: bool, tmp_path: Path) -> None:
    """At d' = 2 the area is 0.921, its spread over 100 clips 0.054, and a d' is 0.104 of area: 0.519."""

    def edit(table: pd.DataFrame, _: dict[str, Any]) -> None:
        table.loc[2, ["metric", "mean"]] = ["d_prime", 2.0]

    def moved_edit(table: pd.DataFrame, card: dict[str, Any]) -> None:
        edit(table, card)
        table.loc[2, "mean"] += by

    assert verdict(str(write(tmp_path / "there", edit)), write(tmp_path / "here", moved_edit))[1] == within


def test_what_may_explain_a_difference_is_named(tmp_path: Path, there: Path) -> None:
    def edit(table: pd.DataFrame, card: dict[str, Any]) -> None:
        table.loc[1, "mean"] += 0.1
        for stage in card["stages"].values():
            stage["device"] = "cpu bfloat16"
            stage["versions"]["torch"] = "2.15.0"
        card["stages"]["pretrain"]["code"] = "other"

    text, reproduced = judged(tmp_path, there, edit)
    assert not reproduced
    assert "device: here cpu bfloat16, there cpu float32" in text
    assert "version of torch = 2.15.0 (there: 2.14.1)" in text
    assert "code of pretrain" in text
    assert text.endswith("Not reproduced.")


def test_both_runs_are_named_by_all_their_devices(tmp_path: Path, there: Path) -> None:
    """A device that both have had is left out for neither: some stages compute in float32 everywhere."""

    def edit(_: pd.DataFrame, card: dict[str, Any]) -> None:
        card["stages"]["pretrain"]["device"] = "cpu bfloat16"

    text, _ = judged(tmp_path, there, edit)
    assert "device: here cpu bfloat16 and cpu float32, there cpu float32" in text


def test_other_parameters_are_no_reproduction_and_no_failure(tmp_path: Path, there: Path) -> None:
    def edit(table: pd.DataFrame, card: dict[str, Any]) -> None:
        table.loc[1, "mean"] += 0.1
        card["params"]["pretrain"]["n_steps"] = 10

    text, fine = judged(tmp_path, there, edit)
    assert fine
    assert text.endswith("Not a reproduction: the parameters differ, pretrain.n_steps = 10 (there: 1000).")


def test_a_figure_that_only_one_run_has_is_outside(tmp_path: Path, there: Path) -> None:
    def edit(table: pd.DataFrame, _: dict[str, Any]) -> None:
        table.loc[1, "row"] = "probe_knn"

    text, reproduced = judged(tmp_path, there, edit)
    assert not reproduced
    assert "2 of 4 figures" in text


def test_a_revision_is_read_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=x"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)
    shutil.rmtree("results")
    write(tmp_path / "results", moved(0, 0.5))
    assert "2 of 3 figures" in verdict("HEAD")[0]
    with pytest.raises(AudiopgError, match="nothing: neither a folder nor a revision that holds results/run.json"):
        verdict("nothing")


def test_the_command_has_an_exit_code_for_it(tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "results", moved(0, 0.1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["audiopg", "verify", "--against", str(there)])
    with pytest.raises(SystemExit) as stopped:
        app.app()
    assert stopped.value.code == 3


def test_results_that_are_damaged_are_named(tmp_path: Path, there: Path) -> None:
    (there / "run.json").write_text("{}")
    with pytest.raises(
        AudiopgError, match=r"there: results that cannot be read \(run\.json has no params, stages, outputs\)"
    ):
        judged(tmp_path, there)


def test_a_table_that_was_edited_is_named(tmp_path: Path, there: Path) -> None:
    text = (there / "table.csv").read_text()
    (there / "table.csv").write_text(text.replace("0.6", "0.61", 1))
    with pytest.raises(AudiopgError, match=r"there: table\.csv is not the one that run\.json describes"):
        judged(tmp_path, there)
