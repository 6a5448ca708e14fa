"""Curves while a run lasts: what they hold, what they leave alone, and that DVC shows them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from support.places import ROOT
from support.regression import CPU, EveryFive, Line, loss_of, training

from audiopg.train import curves
from audiopg.train.curves import Curves

CURVES = ("loss", "learning_rate", "clips_per_s", "waiting_share")


def curve(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "plots" / "metrics" / f"{name}.tsv", sep="\t")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that git and DVC know."""
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, check=True)
    shutil.copy(ROOT / ".dvc" / "config", ".dvc/config")
    return tmp_path


def files(folder: Path) -> set[str]:
    every = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {path for path in every if not path.startswith((".git/", ".dvc/"))}


def test_the_curves_are_those_of_the_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "EVERY_S", 0.0)
    before, run, rates = files(project), training(12), []
    run.fit(
        Line(), loss_of, CPU, "x", after_step=lambda _: rates.append(run.optimizer.param_groups[0]["lr"]),
        curves=Curves(project / "curves"),
    )  # fmt: skip
    assert files(project) - before == {"curves/metrics.json", *(f"curves/plots/metrics/{name}.tsv" for name in CURVES)}
    for name in CURVES:
        assert curve(project / "curves", name)["step"].tolist() == list(range(12))
    assert curve(project / "curves", "loss")["loss"].tolist() == pytest.approx(run.losses)
    assert curve(project / "curves", "learning_rate")["learning_rate"].tolist() == pytest.approx(rates)
    assert curve(project / "curves", "clips_per_s")["clips_per_s"].min() > 0
    share = curve(project / "curves", "waiting_share")["waiting_share"]
    assert 0 < share.min() <= share.max() < 1
    assert subprocess.run(["git", "log"], capture_output=True, check=False).returncode != 0  # nothing was committed


def test_a_point_a_second_and_the_last(project: Path) -> None:
    training(30).fit(Line(), loss_of, CPU, "x", curves=Curves(project / "curves"))
    assert curve(project / "curves", "loss")["step"].tolist() == [29]
    assert json.loads((project / "curves" / "metrics.json").read_text())["step"] == 29


def test_a_resumed_run_goes_on_where_its_state_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "EVERY_S", 0.0)
    folder = project / "curves"

    def fail(step: int) -> None:
        if step == 8:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        training(12).fit(Line(), loss_of, CPU, "x", EveryFive(project / "resume", "run", 0), fail, Curves(folder))
    assert curve(folder, "loss")["step"].tolist() == list(range(7))
    run = training(12)
    run.fit(Line(), loss_of, CPU, "x", EveryFive(project / "resume", "run", 0), curves=Curves(folder))
    assert curve(folder, "loss")["step"].tolist() == list(range(12))
    assert curve(folder, "loss")["loss"].tolist() == pytest.approx(run.losses)
    other = training(12)
    other.fit(Line(), loss_of, CPU, "x", EveryFive(project / "resume", "other", 0), curves=Curves(folder))
    assert curve(folder, "loss")["step"].tolist() == list(range(12))


def test_curves_that_a_kill_has_left_half_written_end_no_run(project: Path) -> None:
    folder = project / "curves"
    training(3).fit(Line(), loss_of, CPU, "x", curves=Curves(folder))
    (folder / "metrics.json").write_text('{"loss"')
    (folder / "plots" / "metrics" / "loss.tsv").write_text("")
    (folder / "plots" / "metrics" / "learning_rate.tsv").write_text("ste")
    training(5).fit(Line(), loss_of, CPU, "x", curves=Curves(folder))
    assert curve(folder, "loss")["step"].tolist() == [4]


@pytest.mark.slow
def test_dvc_shows_the_curves_that_the_rule_asks_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    assert "--curves logs/pretrain " in (ROOT / "workflow/rules/pretrain.smk").read_text()
    (project / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    (project / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    monkeypatch.setattr(curves, "EVERY_S", 0.0)
    training(12).fit(Line(), loss_of, CPU, "x", curves=Curves(project / "logs" / "pretrain"))
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--json"],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    assert len(plots) == len(CURVES)
    for name in CURVES:
        assert f"logs/pretrain/plots/metrics/{name}.tsv" in shown.stdout
    assert shown.stdout.count('"step": "11"') + shown.stdout.count('"step": 11') >= len(CURVES)
    ignored = subprocess.run(["git", "check-ignore", "logs/pretrain/metrics.json"], check=False)
    assert ignored.returncode == 0
