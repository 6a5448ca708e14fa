"""`dvc exp run` in the workspace, in a folder of its own and from the queue; what DVC shows of it."""

import json
import time
from typing import Any

import pytest

from audiopg.config import params

MASK = "pretrain.mask_ratio=0.5"
RATE = "finetune.optimizer.lr"
PATIENCE_S = 240
# what a new encoder asks for
CONCERNED = {"pretrain", "latent", "table"} | {
    f"{stage} {task}{fold}"
    for task in ("drums", "instruments")
    for stage, folds in (("finetune", (" pretrained1", " pretrained2")), ("probe", ("",)), ("aggregate", ("",)))
    for fold in folds
}


def experiments(project: Any) -> dict[str, Any]:
    """What `dvc exp show` lists, by name; the workspace and the commit are there as well."""
    shown = json.loads(project.run("dvc", "exp", "show", "--json"))
    found = {row["rev"]: row for row in shown}
    for commit in shown:
        for experiment in commit["experiments"] or []:
            found |= {experiment["name"] or row["rev"]: row for row in experiment["revs"][:1]}
    return found


def value(row: dict[str, Any], kind: str, path: str, *keys: str) -> Any:
    """A parameter or metric of an experiment."""
    found = row["data"][kind][path]["data"]
    for key in keys:
        found = found[key]
    return found


@pytest.mark.slow
def test_an_experiment_in_the_workspace_repeats_what_it_asks_for(project: Any) -> None:
    before = json.loads((project.root / "results/metrics/drums.json").read_text())
    project.run("dvc", "exp", "run", "--name", "half", "-S", MASK)
    assert set(project.calls()) == CONCERNED
    after = json.loads((project.root / "results/metrics/drums.json").read_text())
    moved = json.loads(project.run("dvc", "metrics", "diff", "--json"))["results/metrics/drums.json"]["value"]
    assert (moved["old"], moved["new"]) == (before["value"], after["value"])
    changed = json.loads(project.run("dvc", "params", "diff", "--json"))["params.yaml"]
    assert {key: (change["old"], change["new"]) for key, change in changed.items()} == {
        "pretrain.mask_ratio": (0.75, 0.5)
    }
    assert "has not seen" in project.run("snakemake", code=2)
    project.run("audiopg", "sync")
    assert (project.pending(), project.stale()) == (set(), set())
    row = experiments(project)["half"]
    assert value(row, "params", "params.yaml", "pretrain", "mask_ratio") == 0.5
    assert value(row, "metrics", "results/metrics/drums.json", "value") == after["value"]
    # and back
    project.run("git", "checkout", "--quiet", ".")
    project.run("audiopg", "sync")
    assert (project.pending(), project.stale()) == (set(), set())
    assert project.calls() == []


@pytest.mark.slow
def test_experiments_in_folders_of_their_own_fetch_nothing_and_leave_the_workspace_alone(project: Any) -> None:
    log = project.root.with_name("experiments.log")
    project.run("dvc", "exp", "run", "--temp", "--name", "half", "-S", MASK, STUB_LOG=str(log))
    assert set(log.read_text().splitlines()) == CONCERNED
    log.unlink()
    project.run("dvc", "exp", "run", "--queue", "--name", "slow", "-S", f"{RATE}=1e-5", STUB_LOG=str(log))
    project.run("dvc", "exp", "run", "--run-all", STUB_LOG=str(log))
    made = log.read_text().splitlines()
    assert sorted(made) == sorted(set(made))
    assert {call.split()[0] for call in made} == {"finetune", "aggregate", "table"}
    assert project.run("git", "status", "--short") == ""
    assert (project.pending(), project.stale()) == (set(), set())
    rows = experiments(project)
    assert value(rows["half"], "params", "params.yaml", "pretrain", "mask_ratio") == 0.5
    assert value(rows["slow"], "params", "params.yaml", *RATE.split(".")) == 1e-5
    metrics = {name: value(rows[name], "metrics", "results/metrics/drums.json", "value") for name in rows}
    assert len({metrics[name] for name in ("workspace", "half", "slow")}) == 3
    # taken over, it is what was shown, and nothing has to be made
    project.run("dvc", "exp", "apply", "slow")
    assert "has not seen" in project.run("snakemake", code=2)
    project.run("audiopg", "sync")
    assert json.loads((project.root / "results/metrics/drums.json").read_text())["value"] == metrics["slow"]
    assert (project.pending(), project.stale()) == (set(), set())
    assert project.calls() == []
    assert params.load(project.root / "params.yaml").finetune.optimizer.lr == 1e-5
    read = [text for record in project.records().values() if record["rule"] == "finetune" for text in record["params"]]
    assert any('"lr":1e-05' in text.replace(" ", "") for text in read)


@pytest.mark.slow
def test_a_worker_takes_experiments_from_the_queue(project: Any) -> None:
    log = str(project.root.with_name("experiments.log"))
    project.run("dvc", "exp", "run", "--queue", "--name", "late", "-S", "finetune.optimizer.lr=2e-5")
    assert "late" in project.run("dvc", "queue", "status")
    project.run("dvc", "queue", "start", STUB_LOG=log)
    try:
        end = time.monotonic() + PATIENCE_S
        while "Success" not in project.run("dvc", "queue", "status"):
            assert time.monotonic() < end, project.run("dvc", "queue", "status")
            time.sleep(3)
    finally:
        project.run("dvc", "queue", "stop")
    row = experiments(project)["late"]
    assert value(row, "params", "params.yaml", *RATE.split(".")) == 2e-5
    assert value(row, "metrics", "results/metrics/drums.json", "value") is not None
    assert project.stale() == set()
