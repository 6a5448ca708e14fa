"""Pre-training in other ways: what cannot be tried is said, and a wait, a full memory and other losses are seen."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from support.rehearsing import setting_of

from audiopg import compute
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.rehearse import evaluation, ways
from audiopg.rehearse.setting import Setting
from audiopg.train.loop import Training

if TYPE_CHECKING:
    from simulated_cuda import Counts


def test_what_cannot_be_tried_is_said(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.shutil, "which", lambda _: None)
    setting = setting_of(tiny, tmp_path)
    assert ways.compiled(setting) == {"left_out": "there is no C++ compiler"}
    assert ways.waits(setting) == evaluation.tf32(setting, "drums") == {"left_out": "there is no CUDA device"}
    assert ways.processes(setting) == {"left_out": "there are no two GPUs"}


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


def test_a_wait_in_a_step_is_found(
    tiny: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    simulated_cuda: "Counts",  # noqa: ARG001
    n_threads: int,  # noqa: ARG001  (restores it)
) -> None:
    setting = setting_of(tiny, tmp_path, "cuda", "bfloat16")
    assert ways.waits(setting) == {"n_steps": 24, "hidden_wait": "none"}
    advance = Training._advance

    def waiting(self: Training, *given: Any) -> Any:
        numbers = advance(self, *given)
        numbers.tolist()
        return numbers

    monkeypatch.setattr(Training, "_advance", waiting)
    found = ways.waits(setting)
    assert str(found["hidden_wait"]).startswith("loop.py:")
    assert found["n_steps"] == 9  # the first after the second block has begun
    torch.ones(1, device="cuda").tolist()  # it may be waited for again


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
    with pytest.raises(AudiopgError, match="torchrun with 1 processes does not work: .*"):
        ways._losses(replace(setting, cfg=monstrous), tmp_path / "none.yaml", 1)
