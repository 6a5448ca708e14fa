"""Device, precision and processes: what is chosen, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch
from support.cards import nvidia_smi

from audiopg import compute, config, gpus
from audiopg.errors import AudiopgError

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def section(**changes: object) -> config.Compute:
    return config.Compute.model_validate(
        {"device": "cpu", "precision": "float32", "compile": False, "synth_device": "auto"} | changes
    )


@pytest.mark.parametrize("precision", DTYPES)
def test_a_forward_pass_is_in_the_precision_that_is_asked_for(precision: str, n_threads: int) -> None:
    backend = compute.backend(section(precision=precision), n_threads)
    with backend.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert backend.autocast_dtype is DTYPES[precision]
    assert product.dtype == (DTYPES[precision] or torch.float32)
    assert backend.name == f"cpu {precision}"
    assert backend.scaler().is_enabled() == (precision == "float16")


@pytest.mark.parametrize("gains", [True, False])
def test_auto_takes_bfloat16_where_it_gains(gains: bool, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "bfloat16_gains", lambda _: gains)
    assert compute.backend(section(precision="auto"), n_threads).autocast_dtype is (torch.bfloat16 if gains else None)


def test_compiling_without_a_compiler_is_refused_in_training(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert compute.backend(section(compile=True), n_threads).compiles
    with pytest.raises(AudiopgError, match=r"compute\.compile: true needs a C\+\+ compiler such as g\+\+; install one"):
        compute.backend(section(compile=True), n_threads, trains=True)


def test_torchrun_is_refused_where_work_is_not_shared(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(AudiopgError, match="torchrun: only pretrain and finetune share their work between processes"):
        compute.backend(section(), n_threads)


def test_the_first_line_names_device_and_precision(n_threads: int, capsys: pytest.CaptureFixture[str]) -> None:
    compute.backend(section(precision="bfloat16"), n_threads, trains=True)
    assert capsys.readouterr().err == "device: cpu, precision: bfloat16\n"
    compute.backend(section(precision="float32"), n_threads)
    assert capsys.readouterr().err == "device: cpu, precision: float32\n"


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one GPU and an old driver, which torch cannot use; the folder of its ``nvidia-smi``."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvidia_smi(tmp_path, ["GPU-a"], driver="535.104.05")
    return tmp_path


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_that_torch_cannot_use_is_an_error(card: Path, device: str, n_threads: int) -> None:  # noqa: ARG001
    known = (
        f"torch cannot use the GPU of this machine: driver 535.104.05 is too old: CUDA 13.0 needs 580 or newer (torch"
        f" {torch.__version__}); install a newer driver or a torch for CUDA 12 (docs/dependencies.md); for the CPU set"
        " compute.device: cpu"
    )
    with pytest.raises(AudiopgError) as caught:
        compute.backend(section(device=device), n_threads)
    assert str(caught.value) == known


def test_the_cpu_can_be_meant(card: Path, n_threads: int) -> None:  # noqa: ARG001
    assert compute.backend(section(device="cpu"), n_threads).device.type == "cpu"


def test_without_a_gpu_auto_takes_the_cpu(card: Path, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(card / "empty"))
    monkeypatch.setattr(gpus, "DEVICES", card / "empty")
    assert compute.backend(section(device="auto"), n_threads).device.type == "cpu"
    with pytest.raises(AudiopgError, match="cuda asked for, but this machine has no CUDA device"):
        compute.backend(section(device="cuda"), n_threads)


def refused(n_threads: int) -> str:
    with pytest.raises(AudiopgError) as caught:
        compute.backend(section(device="auto"), n_threads)
    return str(caught.value)


def test_each_obstacle_has_its_reason(card: Path, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(card, ["GPU-a"], driver="580.65.06")

    def init() -> None:
        msg = "CUDA unknown error\nmore lines"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch.cuda, "init", init)
    assert f": CUDA unknown error (torch {torch.__version__}, driver 580.65.06); for the CPU" in refused(n_threads)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "CUDA_VISIBLE_DEVICES=-1 hides it; unset it" in refused(n_threads)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    nvidia_smi(card, [], driver="couldn't communicate", code=9)
    assert "no driver answers; see what nvidia-smi says" in refused(n_threads)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert f"torch {torch.__version__} was built without CUDA" in refused(n_threads)


def test_clips_are_played_on_the_cpu_by_several_feeders_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "cuda_works", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    for asked, played in (("auto", "cpu"), ("cpu", "cpu"), ("cuda", "cuda")):
        found = compute.backend(section(device="auto", synth_device=asked), 4)
        assert (found.device.type, found.synth_device.type, found.n_feeders) == ("cuda", played, 3)
    found = compute.backend(section(device="cpu"), 4)
    assert (found.synth_device.type, found.n_feeders) == ("cpu", 1)
    with pytest.raises(AudiopgError, match="compute.synth_device: cuda asked for, but nothing is computed on a CUDA"):
        compute.backend(section(device="cpu", synth_device="cuda"), 4)


def test_a_stage_takes_its_gpu_before_torch_looks_for_any(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(gpus, "present", lambda: False)
    monkeypatch.setattr(gpus, "take", lambda: order.append("take"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(order.append("look")))
    compute.backend(section(device="auto"), n_threads)
    assert order[:2] == ["take", "look"]
    order.clear()
    compute.backend(section(device="cpu"), n_threads)
    assert order == []


def test_a_process_of_torchrun_takes_no_gpu(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "take", lambda: pytest.fail("it took one"))
    monkeypatch.setattr(gpus, "present", lambda: False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(AudiopgError, match="torchrun"):
        compute.backend(section(device="auto"), n_threads)
