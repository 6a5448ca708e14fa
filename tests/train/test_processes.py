"""Several processes are worth one: torchrun is really started, on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT, TESTS

from audiopg import storage
from audiopg.config import profile

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SCRIPT = TESTS / "support" / "shared_run.py"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "GLOO_SOCKET_IFNAME": "lo",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}


def call(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=ENVIRONMENT, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def ours(shown: str) -> list[str]:
    """What the command line says, without torchrun's own words."""
    return [line.partition("audiopg: ")[2] for line in shown.splitlines() if line.startswith("audiopg: ")]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What came of all regressions in one process, and in two."""
    folder = tmp_path_factory.mktemp("runs")
    results = []
    for name, command in (("one", [sys.executable]), ("two", TORCHRUN)):
        (folder / name).mkdir()
        done = call(*command, SCRIPT, folder / name, "fit")
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in (folder / name).iterdir()) == [
            "found.json",
            *(f"resume-{kind}" for kind in ("averaged", "half", "parts", "plain", "skipping")),
        ]
        assert done.stderr.count("plain: 12 steps in ") == 1
        assert done.stderr.count("no update") == 4
        results.append(json.loads((folder / name / "found.json").read_text()))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "parts", "averaged", "skipping", "fine-tuning"])
def test_two_processes_learn_what_one_does(kind: str, found: list[dict[str, Any]]) -> None:
    """Also where a batch has fewer clips than there are processes, and where one of them meets what is no number."""
    one, two = (result[kind] for result in found)
    losses = [[float(loss) for loss in result["losses"]] for result in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5, nan_ok=True)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-5, abs=1e-5)
    assert two["losses"].count("nan") == (2 if kind == "skipping" else 0)


@pytest.mark.slow
def test_two_processes_scale_their_loss_in_float16_alike(found: list[dict[str, Any]]) -> None:
    """What is no number in one of them moves no scale. Gradients are rounded to 11 bits before they are summed."""
    one, two = (result["half"] for result in found)
    assert one["scale"] == two["scale"] == 65536
    losses = [[float(loss) for loss in result["losses"]] for result in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=0.01, abs=1e-4, nan_ok=True)
    assert two["losses"].count("nan") == 2


@pytest.mark.slow
def test_two_processes_that_were_killed_end_as_if_they_had_not_been(
    found: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert call(*TORCHRUN, SCRIPT, tmp_path, "kill").returncode == 0
    done = call(*TORCHRUN, SCRIPT, tmp_path, "fit")
    assert done.returncode == 0, done.stderr
    kinds = ["plain", "parts", "averaged", "skipping", "half"]
    for kind in kinds:
        assert done.stderr.count(f"{tmp_path / f'resume-{kind}'}: continuing at step 5\n") == 1
    again = json.loads((tmp_path / "found.json").read_text())
    assert {kind: again[kind] for kind in kinds} == {kind: found[1][kind] for kind in kinds}


@pytest.mark.slow
def test_two_processes_stop_at_one_time_and_in_one_line_each(tmp_path: Path) -> None:
    done = call(*TORCHRUN, SCRIPT, tmp_path, "stop")
    assert done.returncode != 0
    (said,) = set(ours(done.stderr))
    assert said.startswith(
        'label: the loss is nan at step 3 (clips of 3; learning rate 0.05) with optimizer {"lr":0.05'
    )
    assert said.endswith("}; lower the learning rate, or leave out such steps (on_non_finite: skip)")
    assert "loop.py" not in done.stderr  # no traceback of ours


@pytest.mark.slow
def test_a_process_that_fails_alone_ends_the_other_in_one_line(tmp_path: Path) -> None:
    done = call(*TORCHRUN, SCRIPT, tmp_path, "lose")
    assert done.returncode != 0
    alone, other = sorted(ours(done.stderr), key=lambda line: line != "this one fails alone")
    assert alone == "this one fails alone"
    assert "another of" in other
    assert "loop.py" not in done.stderr


@pytest.mark.slow
def test_processes_that_find_different_states_refuse(tmp_path: Path) -> None:
    done = call(*TORCHRUN, SCRIPT, tmp_path, "apart")
    assert done.returncode != 0
    said = [line.partition(": ")[2] for line in ours(done.stderr)]
    assert said == ["the processes find states of different steps in it; have them share a folder"] * 2


@pytest.mark.slow
def test_two_processes_have_one_clock(tmp_path: Path) -> None:
    done = call(*TORCHRUN, SCRIPT, tmp_path, "clock")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_sigterm_ends_both_after_the_same_step(tmp_path: Path) -> None:
    command = [*TORCHRUN, SCRIPT, tmp_path, "long"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        shown = [process.stderr.readline()]
        while not shown[-1].startswith("long: "):
            assert process.poll() is None, shown
            shown.append(process.stderr.readline())
        process.terminate()
        shown += process.stderr.readlines()
    assert ours("".join(shown)) == ["interrupted; the workflow goes on when `snakemake` is run again"] * 2
    assert "loop.py" not in "".join(shown)
    assert [path.suffix for path in (tmp_path / "resume").iterdir()] == [".safetensors"]


def pretraining(folder: Path) -> list[str]:
    files = {"encoder": "encoder.safetensors", "model": "model.safetensors", "loss": "loss.csv", "card": "run.json"}
    options = [f"--{option}={folder / file}" for option, file in files.items()]
    return ["-m", "audiopg", "pretrain", f"--resume={folder}/resume", f"--curves={folder}/curves", *options]


@pytest.mark.slow
def test_torchrun_pretrains_as_one_process_does(tmp_path: Path) -> None:
    text = (
        profile.text("test").replace("precision: auto ", "precision: float32 ").replace("n_steps: 12 ", "n_steps: 5 ")
    )
    losses = {}
    for name, command, parts in (("one", [sys.executable], 1), ("two", TORCHRUN, 1), ("parts", TORCHRUN, 2)):
        changed = text.replace("  accumulate: 1 ", f"  accumulate: {parts} ")
        (tmp_path / "params.yaml").write_text(changed)
        done = call(*command, *pretraining(tmp_path / name), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("pretrain: 5 steps in ") == 1
        losses[name] = [float(line.split(",")[1]) for line in (tmp_path / name / "loss.csv").read_text().split()[1:]]
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
            "curves", "encoder.safetensors", "loss.csv", "model.safetensors", "run.json"
        ]  # fmt: skip
    assert len(losses["one"]) == 5
    assert losses["two"] == pytest.approx(losses["one"], rel=1e-5, abs=1e-5)
    assert losses["parts"] == pytest.approx(losses["one"], rel=1e-5, abs=1e-5)
    assert storage.read_json(tmp_path / "two" / "run.json")["device"] == "cpu float32, 2 processes"


@pytest.mark.slow
def test_a_batch_that_two_cannot_share_evenly_is_refused_in_one_line(tmp_path: Path) -> None:
    uneven = profile.text("test").replace("batch_size: 16 ", "batch_size: 15 ")
    (tmp_path / "params.yaml").write_text(uneven)
    done = call(*TORCHRUN, *pretraining(tmp_path / "x"), cwd=tmp_path)
    message = "params.yaml: pretrain.batch_size = 15 cannot be cut evenly for 2 processes × accumulate = 1; use a"
    assert {line.startswith(message) for line in ours(done.stderr)} == {True}
    assert not (tmp_path / "x").exists()
