"""The GPUs of a machine: a stand-in for ``nvidia-smi``, and folders in place of /dev and /proc."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cards import nvidia_smi
from support.places import ROOT

from audiopg import gpus

# both forms of the file that the driver's module writes
CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 11.4.0\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 14.2.0\n"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any sign of a GPU."""
    monkeypatch.setattr(gpus, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "version")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_a_machine_without_signs_has_no_gpu() -> None:
    assert not gpus.present()
    assert gpus.driver() == ""


def test_a_device_file_or_the_program_is_a_sign(bare: Path) -> None:
    (bare / "dev").mkdir()
    (bare / "dev/nvidiactl").touch()  # of the driver, which may be there without a card
    assert not gpus.present()
    (bare / "dev/nvidia0").touch()
    assert gpus.present()
    (bare / "dev/nvidia0").unlink()
    nvidia_smi(bare / "bin", [])
    assert gpus.present()


@pytest.mark.parametrize(("text", "version"), [(CLOSED, "535.104.05"), (OPEN, "580.65.06"), ("nothing\n", "")])
def test_the_driver_is_read_from_its_file(bare: Path, text: str, version: str) -> None:
    (bare / "version").write_text(text)
    assert gpus.driver() == version


def test_without_its_file_the_driver_is_asked_for(bare: Path) -> None:
    nvidia_smi(bare / "bin", ["GPU-a"], driver="550.54.14")
    assert gpus.driver() == "550.54.14"
    nvidia_smi(bare / "bin", ["GPU-a"], driver="NVIDIA-SMI has failed", code=9)
    assert gpus.driver() == ""


@pytest.mark.parametrize(
    ("driver", "cuda", "oldest"),
    [("579.99", "13.0", 580), ("580.65.06", "13.2", None), ("524.1", "12.8", 525), ("525.60.13", "12.8", None)],
)
def test_the_oldest_driver_follows_from_the_cuda_of_the_wheels(driver: str, cuda: str, oldest: int | None) -> None:
    said = gpus.too_old(driver, cuda)
    assert said == ("" if oldest is None else f"driver {driver} is too old: CUDA {cuda} needs {oldest} or newer")


def test_what_is_unknown_is_not_too_old() -> None:
    assert gpus.too_old("", "13.0") == gpus.too_old("470.1", "99.0") == ""


@pytest.mark.parametrize(("driver", "cuda"), [("470.82", None), ("525.60", 12), ("579.1", 12), ("600.1", 13)])
def test_the_newest_cuda_that_a_driver_runs(driver: str, cuda: int | None) -> None:
    assert gpus.newest_cuda(driver) == cuda


# takes a GPU, says which, and keeps it until it is told to end
JOB = """
import os, sys
from audiopg import gpus

gpus.take()
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


class Jobs:
    """Processes that each take a GPU."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the locks, in which ``bin`` is the path."""
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []

    def start(self, **env: str) -> subprocess.Popen[str]:
        """Begin one."""
        kept = {name: value for name, value in os.environ.items() if name not in {"CUDA_VISIBLE_DEVICES", "PATH"}}
        kept |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder), "PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", JOB]
        job = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**kept, **env})
        self.running.append(job)
        return job

    def card(self, **env: str) -> str:
        """Begin one, and return the GPUs that it sees."""
        return heard(self.start(**env))


def heard(job: subprocess.Popen[str]) -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """A machine with two GPUs, and jobs that end with the test."""
    nvidia_smi(tmp_path / "bin", ["GPU-a", "GPU-b"])
    started = Jobs(tmp_path)
    yield started
    for job in started.running:
        job.kill()
        job.communicate()


def test_each_job_has_a_gpu_of_its_own(jobs: Jobs) -> None:
    assert {jobs.card(), jobs.card()} == {"GPU-a", "GPU-b"}


def test_a_job_waits_for_a_gpu_and_has_that_of_one_that_was_killed(jobs: Jobs) -> None:
    first = jobs.start()
    held = heard(first)
    jobs.card()
    third = jobs.start()
    assert third.stderr is not None
    assert third.stderr.readline() == "other jobs have all 2 GPUs: waiting for one\n"
    first.kill()
    assert heard(third) == held


def test_a_job_chooses_among_the_gpus_that_it_was_given(jobs: Jobs) -> None:
    assert {jobs.card(CUDA_VISIBLE_DEVICES="2,3"), jobs.card(CUDA_VISIBLE_DEVICES="2, 3")} == {"2", "3"}


def test_the_one_gpu_that_slurm_gives_is_kept(jobs: Jobs) -> None:
    """It has the number 0 in both jobs, although it is another card."""
    given = {"CUDA_VISIBLE_DEVICES": "0"}
    assert [jobs.card(**given, SLURM_JOB_ID="7"), jobs.card(**given, SLURM_JOB_ID="8")] == ["0", "0"]


def test_jobs_in_one_allocation_of_slurm_share_its_gpus(jobs: Jobs) -> None:
    given = {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert {jobs.card(**given, SLURM_JOB_ID="7"), jobs.card(**given, SLURM_JOB_ID="7")} == {"0", "1"}
    assert {jobs.card(**given, SLURM_JOB_ID="8"), jobs.card(**given, SLURM_JOB_ID="8")} == {"0", "1"}


def test_without_a_choice_nothing_is_set(jobs: Jobs) -> None:
    nvidia_smi(jobs.folder / "bin", ["GPU-a"])
    assert [jobs.card(), jobs.card()] == ["None", "None"]
    (jobs.folder / "bin/nvidia-smi").unlink()
    assert jobs.card() == "None"
