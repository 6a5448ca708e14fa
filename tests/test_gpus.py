"""The GPUs of a machine: a stand-in for ``nvidia-smi``, and folders in place of /dev and /proc."""

from pathlib import Path

import pytest
from support.cards import nvidia_smi

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
