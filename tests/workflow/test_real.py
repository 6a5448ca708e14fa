"""The graph with its real stages, on one task and by profile `test`: figures, run cards, a second run elsewhere."""

import json
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow
FOLD = "results/finetune/drums/scratch/fold2"


def test_every_number_is_explained_and_nothing_lies_there_unexplained(real: Any) -> None:
    lines = [line for line in real.run("audiopg", "verify").splitlines() if line]
    table = (real.root / "results/table.csv").read_text().splitlines()
    assert [line.split()[:3] for line in lines[:-1]] == [row.split(",")[:3] for row in table[1:]]
    assert lines[-1].endswith("run cards, with params.yaml and with the code")
    traced = real.run("audiopg", "verify", "results/metrics/drums.json")
    assert all(
        name in traced for name in ("encoder.safetensors", "fold4/metrics.json", "results/tasks/drums/source.json")
    )


def test_a_new_clone_makes_the_same_bytes(real: Any, tmp_path: Any) -> None:
    clone = type(real)(tmp_path / "clone")
    real.run("git", "clone", "--quiet", str(real.root), str(clone.root))
    assert "results recorded in dvc.lock" in clone.run("snakemake")
    assert clone.run("git", "status", "--short") == ""  # which covers dvc.lock and so the weights, too


def test_a_fold_of_other_parameters_reaches_no_average(real: Any, tmp_path: Any) -> None:
    project = real.copy(tmp_path)
    project.edit("params.yaml", "label_smoothing: 0.1", "label_smoothing: 0.2")
    project.run("snakemake", "--touch", "--forceall", "--cores", "1")  # a lie: it now takes all results for new ones
    assert "Nothing to be done" in project.run("snakemake", AUDIOPG_DVC_SYNC="off")
    out = project.run("snakemake", "--forcerun", "aggregate", code=1, AUDIOPG_DVC_SYNC="off")
    assert "made with finetune.label_smoothing = 0.1, params.yaml has 0.2" in out
    assert f"{FOLD}/run.json: made with finetune.label_smoothing" in project.run("audiopg", "verify", code=2)


def test_a_result_edited_by_hand_is_named(real: Any, tmp_path: Any) -> None:
    project = real.copy(tmp_path)
    file = project.root / FOLD / "metrics.json"
    file.write_text(file.read_text().replace("0.", "0.9", 1))
    assert f"{FOLD}/metrics.json: is not the file that finetune wrote" in project.run("audiopg", "verify", code=2)


def test_plots_are_drawn_of_all_that_dvc_yaml_names(real: Any) -> None:
    shown = json.loads(real.run("dvc", "plots", "show", "--json"))
    assert "errors" not in shown
    drawn = {name.removeprefix("dvc.yaml::") for name, data in shown["data"].items() if data}
    named = {
        out.replace("${key}", "drums")
        for stage in yaml.safe_load((real.root / "dvc.yaml").read_text())["stages"].values()
        for plot in stage.get("do", stage).get("plots", [])
        for out in plot
    }
    assert {
        "results/pretrain/loss.csv",
        "results/summary/drums/scratch_confusion.csv",
        "results/latent/embedding.png",
    } < named
    assert named <= drawn
