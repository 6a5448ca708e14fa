"""The command line as a user meets it: fast help, one-line errors, kills that lose nothing."""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.places import ROOT

from audiopg import compute, gpus, tensors
from audiopg.cli import app
from audiopg.cli.options import read_params
from audiopg.config import profile
from audiopg.fetch.download import sources
from audiopg.provenance import watchdog

AUDIOPG = Path(sys.executable).with_name("audiopg")

FOLD = ["--fold=1", "--manifest=m.csv", "--card=c.json", "--decoded=d", "--resume=r", "--out-dir=x"]


def audiopg(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AUDIOPG, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the parameters of profile `test`."""
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    return tmp_path


def pretraining(project: Path, name: str) -> list[str]:
    folder = project / name
    files = {"encoder": "encoder.safetensors", "model": "model.safetensors", "loss": "loss.csv", "card": "run.json"}
    options = [f"--{option}={folder / file}" for option, file in files.items()]
    return [
        "pretrain",
        f"--params={project / 'params.yaml'}",
        f"--resume={folder}.resume",
        f"--curves={folder}.curves",
        *options,
    ]


def test_help_does_not_import_torch() -> None:
    code = "import sys, audiopg.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_lists_every_stage() -> None:
    shown = audiopg("--help").stdout
    for stage in (
        "profile",
        "prepare",
        "pretrain",
        "finetune",
        "probe",
        "embed",
        "aggregate",
        "latent",
        "table",
        "compare",
        "verify",
        "render",
        "gallery",
        "cost",
        "rehearse",
        "export",
        "track",
        "sync",
    ):
        assert stage in shown


def refused(
    arguments: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run a command in this process, which has to end with code 2; return what it printed to standard error."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["audiopg", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own
    with pytest.raises(SystemExit) as stopped:
        app.main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["prepare", "--task=drumz", "--source=s.json", "--manifest=m.csv", "--card=c.json"],
            "params.yaml: tasks has no 'drumz'; did you mean 'drums'?",
        ),
        (["profile", "quik"], "unknown profile 'quik'; known: paper, paper-20min, paper-strong, quick, small, test"),
        (
            ["latent", "--encoder=no.safetensors", "--model=no.safetensors", "--out-dir=x"],
            "no.safetensors: no such checkpoint",
        ),
        (
            ["finetune", "--task=drums", "--init=pretrained", *FOLD],
            "--encoder is needed with --init pretrained, and allowed only there",
        ),
        (
            ["finetune", "--task=drum", "--init=scratch", *FOLD],
            "params.yaml: tasks has no 'drum'; did you mean 'drums'?",
        ),
        (
            ["finetune", "--task=drums", "--init=scratch", *FOLD],
            "m.csv: not a readable manifest",
        ),
    ],
)
def test_what_a_user_can_cause_is_one_line_and_code_2(
    arguments: list[str],
    message: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    n_threads: int,  # noqa: ARG001  (a stage sets them)
) -> None:
    shown = refused(arguments, project, monkeypatch, capsys).removeprefix("device: cpu, precision: float32\n")
    assert shown.startswith(f"audiopg: {message}")
    assert shown.count("\n") == 1
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml"]


OUTPUTS = [f"--{name}=x" for name in ("encoder", "model", "loss", "card")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pretrain", "--resume=x", "--curves=x", *OUTPUTS],
        ["probe", "--task=drums", "--manifest=x", "--card=x", "--decoded=x", "--encoder=x", "--out-dir=x"],
        ["latent", "--encoder=x", "--model=x", "--out-dir=x"],
    ],
)
def test_a_stage_refuses_a_gpu_that_torch_cannot_use(
    arguments: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    n_threads: int,  # noqa: ARG001  (a stage sets them)
) -> None:
    monkeypatch.setattr(compute, "cuda_works", lambda: False)
    monkeypatch.setattr(compute, "obstacle", lambda: "driver 1 is too old")
    monkeypatch.setattr(gpus, "present", lambda: True)
    line = "torch cannot use the GPU of this machine: driver 1 is too old; for the CPU set compute.device: cpu"
    assert refused(arguments, project, monkeypatch, capsys) == f"audiopg: {line}\n"


def test_a_list_does_not_replace_a_recording(tmp_path: Path) -> None:
    recording = tmp_path / "sounds" / "a" / "0.WAV"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"mine")
    run = audiopg("list", tmp_path / "sounds", "--out", recording)
    message = f"audiopg: {recording}: a name that ends in .csv is needed, for what is to be written\n"
    assert (run.returncode, run.stderr, recording.read_bytes()) == (2, message, b"mine")


@pytest.mark.parametrize(
    ("arguments", "suffix"),
    [
        (["profile", "quick", "--out"], ".yaml or .yml"),
        (["fetch", "drums", "--out"], ".json"),
        (["code", "--out"], ".json"),
        (["prepare", "--task=drums", "--source=s.json", "--card=c.json", "--manifest"], ".csv"),
        (["prepare", "--task=drums", "--source=s.json", "--manifest=m.csv", "--card"], ".json"),
    ],
)
def test_a_recording_is_replaced_by_nothing_else(
    arguments: list[str],
    suffix: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By its name, and by what is in it where the name is one for such a file."""
    (project / "dog.flac").write_bytes(b"fLaC")
    message = f"audiopg: dog.flac: a name that ends in {suffix} is needed, for what is to be written\n"
    assert refused([*arguments, "dog.flac"], project, monkeypatch, capsys) == message
    mine = f"mine{suffix.partition(' ')[0]}"
    (project / mine).write_bytes(b"fLaC\0\0\0\x22" + bytes(60))
    message = f"audiopg: {mine}: is a recording; choose another name for what is to be written\n"
    assert refused([*arguments, mine], project, monkeypatch, capsys) == message


@pytest.mark.parametrize(
    "arguments",
    [["list", b"%s", "--out=x.csv"], ["verify", b"--params=%s"], ["compare", b"%s"], ["cost", b"--profile=%s"]],
)
def test_a_name_that_is_not_utf_8_is_one_line(arguments: list[str | bytes], tmp_path: Path) -> None:
    command = [AUDIOPG, *(part % b"caf\xe9" if isinstance(part, bytes) else part for part in arguments)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("audiopg: ")
    assert r"caf\xe9" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(("variable", "mirrors"), [(None, ["from_params"]), ("elsewhere", ["elsewhere"]), ("", [])])
def test_a_mirror_in_params_is_asked_unless_the_environment_says_otherwise(
    variable: str | None, mirrors: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOPG_MIRROR", variable or "")  # so that it is put back afterwards
    if variable is None:
        monkeypatch.delenv("AUDIOPG_MIRROR")
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  mirror: null", "  mirror: from_params"))
    read_params(path)
    official = "https://example.org/x.zip"
    assert sources(official) == [*(f"{mirror}/example.org/x.zip" for mirror in mirrors), official]


def written_ns(path: Path) -> int:
    """When something came into a folder; 0 where there is none, as a run that ends removes its states."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_a_kill_at_any_moment_changes_no_weight(project: Path) -> None:
    path = project / "params.yaml"
    text = path.read_text().replace("n_steps: 12 ", "n_steps: 120 ")
    path.write_text(text.replace("save_every_min: 10 ", "save_every_min: 1e-9 "))
    whole = audiopg(*pretraining(project, "whole"))
    assert whole.returncode == 0, whole.stderr
    command = [str(AUDIOPG), *pretraining(project, "killed")]
    state = project / "killed.resume"
    for kill in range(3):
        delay_s = random.Random(kill).uniform(0, 0.2)
        before = written_ns(state)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while written_ns(state) <= before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(delay_s)
            process.kill()
        assert not (project / "killed").exists(), "it was over before it was killed"
    again = audiopg(*pretraining(project, "killed"))
    assert again.returncode == 0, again.stderr
    assert f"{state}: continuing at step " in again.stderr
    for file in ("encoder.safetensors", "model.safetensors"):
        expected, found = (tensors.read(project / name / file)[0] for name in ("whole", "killed"))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert (project / "whole" / "loss.csv").read_bytes() == (project / "killed" / "loss.csv").read_bytes()
    assert not state.exists()


@pytest.mark.slow
def test_a_rule_whose_processes_are_all_told_to_end_keeps_its_state(project: Path) -> None:
    """As a cluster does: the shell and `tee` get the signal as well, and the shell's end would be the command's."""
    prefix = re.search(r'^shell\.prefix\("(.*)"\)$', (ROOT / "Snakefile").read_text(), re.MULTILINE)
    assert prefix
    path, log = project / "params.yaml", project / "pretrain.log"
    text = path.read_text().replace("n_steps: 12 ", "n_steps: 100000 ")
    path.write_text(text)
    script = f"{prefix[1]} {shlex.join([str(AUDIOPG), *pretraining(project, 'stopped')])} 2>&1 | tee -i {log} >&2"
    environment = {**os.environ, watchdog.RUN: str(os.getpid())}
    shell = ["bash", "-c", script]
    with subprocess.Popen(shell, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (log.exists() and "clips/s" in log.read_text()) and process.poll() is None:
            time.sleep(0.01)
        assert not (project / "stopped.resume").exists()
        os.killpg(process.pid, signal.SIGTERM)
        _, shown = process.communicate()
    assert process.returncode == 130
    assert shown.splitlines()[-1] == "audiopg: interrupted; the workflow goes on when `snakemake` is run again"
    assert len(list((project / "stopped.resume").glob("[0-9]*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_are_one_line(number: signal.Signals, project: Path) -> None:
    """Both keep the step in progress as well."""
    path, few = project / "params.yaml", "n_steps: 12 "
    assert few in path.read_text()
    text = path.read_text().replace(few, "n_steps: 100000 ")  # it cannot end before the signal comes
    path.write_text(text.replace("save_every_min: 10 ", "save_every_min: 1e-9 "))
    command = [str(AUDIOPG), *pretraining(project, "stopped")]
    states = project / "stopped.resume"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(states.glob("[0-9]*")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, shown = process.communicate()
    assert process.returncode == 130
    assert shown.splitlines()[-1] == "audiopg: interrupted; the workflow goes on when `snakemake` is run again"
    assert not (project / "stopped").exists()
    assert not [path for path in project.rglob("*") if ".part" in path.name]
    again = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert again.stderr is not None
    _, said = again.stderr.readline(), again.stderr.readline()  # after the device
    again.kill()
    again.communicate()
    assert said == f"{states}: continuing at step {int(max(states.glob('[0-9]*')).stem)}\n"
