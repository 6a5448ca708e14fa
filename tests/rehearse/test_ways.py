"""Pre-training in other ways: what cannot be tried is said, and a wait, a full memory and other losses are seen."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rehearsing import SIMULATED, setting_of

from audiopg import compute
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.rehearse import evaluation, ways
from audiopg.rehearse.setting import Setting
from audiopg.train.loop import Training


def test_what_cannot_be_tried_is_said(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.shutil, "which", lambda _: None)
    setting = setting_of(tiny, tmp_path)
    assert ways.compiled(setting) == {"left_out": "there is no C++ compiler"}
    no_cuda = {"left_out": "there is no CUDA device"}
    assert ways.waits(setting) == ways.precision(setting) == evaluation.tf32(setting, "drums") == no_cuda
    assert str(ways.processes(setting)["left_out"]).startswith("CUDA_VISIBLE_DEVICES names no two GPUs")


def test_compiling_is_told_apart_from_the_steps(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model, **_: compiled.append(model) or model)
    found = ways.compiled(setting_of(tiny, tmp_path))
    assert len(compiled) == 1
    assert list(found) == ["eager_step_s", "compiled_step_s", "compiling_s"]


def test_a_batch_that_the_memory_does_not_hold_is_the_last(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = ways.timed

    def small(setting: Setting, *given: Any) -> Any:
        if setting.cfg.pretrain.batch_size > tiny.pretrain.batch_size:
            raise torch.OutOfMemoryError
        return timed(setting, *given)

    monkeypatch.setattr(ways, "timed", small)
    monkeypatch.setitem(ways.FACTORS, "cpu", (1, 4, 16))
    found = ways.batches(setting_of(tiny, tmp_path))
    assert list(found) == ["clips_per_s_16", "clips_per_s_64"]
    assert float(found["clips_per_s_16"]) > 0
    assert found["clips_per_s_64"] == "more than the memory holds"


def test_each_batch_finds_the_memory_of_the_one_before_free(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed, models, alive = ways.timed, [], []

    def noted(setting: Setting, training: Training, *given: Any) -> Any:
        models.append(weakref.ref(training.model))
        if len(models) == 2:
            raise torch.OutOfMemoryError
        return timed(setting, training, *given)

    def free(_: Setting) -> None:
        gc.collect()
        alive.append(sum(model() is not None for model in models))

    monkeypatch.setattr(ways, "timed", noted)
    monkeypatch.setattr(Setting, "free", free)
    ways.batches(setting_of(tiny, tmp_path))
    assert alive == [0, 0]


@SIMULATED
@pytest.mark.parametrize(("in_use", "other"), [("bfloat16", torch.float16), ("float16", torch.bfloat16)])
def test_the_other_reduced_precision_is_tried(
    tiny: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_use: str,
    other: torch.dtype,
) -> None:
    tried = []
    monkeypatch.setattr(ways, "_short", lambda setting: tried.append(setting) or {"clips_per_s": 3.0, "n_skipped": 0})
    found = ways.precision(setting_of(tiny, tmp_path, "cuda", in_use))
    assert found == {"precision": str(other)[6:], "clips_per_s": 3.0, "losses_finite": "yes"}
    assert [setting.backend.autocast_dtype for setting in tried] == [other]


@SIMULATED
def test_losses_that_are_not_finite_are_said(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting, pretraining = setting_of(tiny, tmp_path, "cuda", "float16"), ways.pretraining

    def overflowing(setting: Setting) -> Any:
        training, corpus, loss_of = pretraining(setting)
        return training, corpus, lambda *given: loss_of(*given) * torch.inf

    monkeypatch.setattr(ways, "pretraining", overflowing)
    assert ways.precision(setting)["losses_finite"] == "no"


@SIMULATED
def test_a_wait_in_a_step_is_found(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(tiny, tmp_path, "cuda", "bfloat16")
    assert ways.waits(setting) == {"n_steps": 24, "hidden_wait": "none"}
    advance, wait = Training._advance, elsewhere("numbers.tolist()")

    def waiting(self: Training, *given: Any) -> Any:
        numbers = advance(self, *given)
        wait(numbers)
        return numbers

    monkeypatch.setattr(Training, "_advance", waiting)
    found = ways.waits(setting)
    assert str(found["hidden_wait"]).startswith("loop.py:")
    assert found["n_steps"] == 9  # the first after the second block has begun
    torch.ones(1, device="cuda").tolist()  # it may be waited for again


def elsewhere(expression: str) -> Callable[[Any], Any]:
    """A function of ``numbers`` in a library, in a folder that is called as the package but is not it."""
    library = str(Path("/home/audiopg/.venv/library.py"))
    return eval(compile(f"lambda numbers: {expression}", library, "eval"))


def test_torchrun_that_hangs_is_ended(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LONGEST_S", 0.1)
    setting = replace(setting_of(tiny, tmp_path), gpus=("0", "1"))
    with pytest.raises(AudiopgError, match=r"torchrun --nproc-per-node=1 takes longer than 0\.1 s"):
        ways.processes(setting)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tiny: Config, tmp_path: Path) -> None:
    """On a CPU, whose processes need no GPU of their own."""
    setting = replace(setting_of(tiny, tmp_path), gpus=("0", "1"))
    found = ways.processes(setting)
    assert found["n_steps"] == 2
    assert 0 <= float(found["largest_difference"]) < 1e-4
    odd = ways._changed(setting.cfg, batch_size=15)
    left = ways.processes(replace(setting, cfg=odd))["left_out"]
    assert str(left).startswith("params.yaml: pretrain.batch_size = 15 cannot be cut evenly")
    monstrous = ways._changed(setting.cfg, batch_size=tiny.pretrain.batch_size, n_steps=0)
    with pytest.raises(AudiopgError, match="torchrun --nproc-per-node=1: .*"):
        ways._losses(replace(setting, cfg=monstrous), tmp_path / "none.yaml", 1)
