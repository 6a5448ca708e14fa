"""Device, precision and processes: what is chosen, and what is refused."""

import shutil

import pytest
import torch

from audiopg import compute, config
from audiopg.errors import AudiopgError

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def section(**changes: object) -> config.Compute:
    return config.Compute.model_validate({"device": "cpu", "precision": "float32", "compile": False} | changes)


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
