"""A rehearsal as a whole on the CPU, its parts on a simulated device, and what it says of a machine that is wrong."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.rehearsing import SIMULATED, setting_of

from audiopg.config import Config
from audiopg.cost import forecast, measured
from audiopg.errors import AudiopgError
from audiopg.rehearse import evaluation, rehearsal, sound, states, steps, ways
from audiopg.rehearse.setting import Setting

LONGEST_S = 300


@pytest.mark.slow
def test_a_whole_rehearsal_takes_minutes_and_its_file_gives_the_forecast(tiny: Config, tmp_path: Path) -> None:
    began_s = time.monotonic()
    shown = rehearsal.run(tiny, tmp_path, seconds=0.2)
    assert time.monotonic() - began_s < LONGEST_S
    found = json.loads((tmp_path / "rehearsal.json").read_text())
    assert list(found["parts"]) == [name for name, _ in rehearsal.parts(tiny)] + ["rehearsal"]
    assert forecast.table(tiny, measured.read(tmp_path / "rehearsal.json", tiny)) == shown
    report = (tmp_path / "report.md").read_text()
    assert shown in report
    for part, figures in found["parts"].items():
        assert all(f"{name} " in report for name in figures), part
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "rehearsal.json", "report.md", "trace.json"]


@SIMULATED
@pytest.mark.slow
def test_the_parts_run_on_a_simulated_device(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the simulated device has no events of its own
    monkeypatch.setitem(steps.ACTIVITIES, "cuda", steps.ACTIVITIES["cpu"])
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)  # whose graphs are for C++
    # a device in Python is slow: fewer steps, and batches that are not as large
    monkeypatch.setitem(steps.READ_EVERY, "cuda", 2)
    monkeypatch.setitem(ways.FACTORS, "cuda", (1, 2))
    setting = setting_of(tiny, tmp_path, "cuda", "bfloat16")
    found = {name: part(setting) for name, part in rehearsal.parts(setting.cfg)}
    assert rehearsal.problems(found) == []
    assert found["machine"]["gpu"] == "simulated CUDA device"
    for part in ("fixed step", "pretrain", "finetune drums"):
        assert "peak_memory_gb" in found[part]
        assert float(found[part]["n_steps"]) % 2 == 0  # of the steps between two looks at the losses
    assert 0 < float(found["embed drums"]["largest_difference"]) < 0.05
    assert found["waits"] == {"n_steps": 6, "hidden_wait": "none"}
    assert {"clips_per_s_32", "peak_memory_gb_32"} <= found["batches"].keys()
    assert found["precision"].keys() == {"precision", "clips_per_s", "losses_finite"}
    assert not any("left_out" in figures for part, figures in found.items() if part != "processes")


def test_a_killed_run_continues_with_the_same_losses(tiny: Config, tmp_path: Path) -> None:
    assert states.resuming(setting_of(tiny, tmp_path)) == {"n_steps": 4, "killed_at": 2, "largest_difference": 0.0}
    assert not (tmp_path / "resume").exists()


def test_a_continued_run_that_differs_is_seen(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that forgets its state begins anew, with another seed for its weights."""
    real, seeds = states.pretraining, iter((1, 1, 2))

    def other(setting: Setting, n_steps: int | None = None) -> Any:
        cfg = setting.cfg.model_copy(update={"seed": next(seeds)})
        return real(replace(setting, cfg=cfg), n_steps)

    monkeypatch.setattr(states, "pretraining", other)
    found = states.resuming(setting_of(tiny, tmp_path))
    assert float(found["largest_difference"]) > 0


def test_a_save_is_measured_by_its_bytes(tiny: Config, tmp_path: Path) -> None:
    found = states.saving(setting_of(tiny, tmp_path))
    training, *_ = steps.pretraining(setting_of(tiny, tmp_path), 1)
    weights = sum(parameter.nbytes for parameter in training.model.parameters())
    assert float(found["state_gb"]) * 1e9 == pytest.approx(3 * weights, rel=0.05)  # weights and two moments
    assert float(found["write_gb_per_s"]) * float(found["write_s"]) == pytest.approx(float(found["state_gb"]))


def test_a_slow_disk_is_not_a_slow_copy(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = states.Checkpoints._write

    def slow(*given: Any) -> None:
        time.sleep(0.5)
        write(*given)

    monkeypatch.setattr(states.Checkpoints, "_write", slow)
    found = states.saving(setting_of(tiny, tmp_path))
    assert float(found["copy_s"]) < 0.5 <= float(found["write_s"])


def test_both_renderers_are_compared(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(tiny, tmp_path)
    assert float(sound.renderers(setting)["largest_difference"]) < 1e-4
    render = sound.batched.render
    monkeypatch.setattr(sound.batched, "render", lambda *given: 0.9 * render(*given))
    found = sound.renderers(setting)
    assert found["largest_difference"] == pytest.approx(0.1, abs=1e-3)  # clips have a peak of 1
    assert min(float(found["compiled_clips_per_s"]), float(found["batched_clips_per_s"])) > 0


def test_steps_are_timed_after_the_first_ones(tiny: Config, tmp_path: Path) -> None:
    """Of a step that sleeps for 20 ms, and for a second the first time."""
    setting = setting_of(tiny, tmp_path)
    training, corpus, loss_of = steps.pretraining(setting)
    data, n_calls = steps.Fixed.of(corpus, setting), 0

    def slow(run: Any, batch: Any) -> Any:
        nonlocal n_calls
        time.sleep(0.02 if n_calls else 1)
        n_calls += 1
        return loss_of(run, batch)

    found = steps.timed(replace(setting, seconds=0.3), training, data, slow)
    assert found["n_steps"] == n_calls - 2
    assert 0.02 < float(found["step_s"]) < 0.5
    assert float(found["first_steps_s"]) > 0.5
    assert float(found["waiting"]) < 0.5


def test_a_regression_has_the_recordings_of_a_run(tiny: Config, tmp_path: Path, n_threads: int) -> None:  # noqa: ARG001
    found = evaluation.regression(setting_of(tiny, tmp_path), "drums")
    card = setting_of(tiny, tmp_path).card("drums")
    assert found["n_recordings"] == round(card.n_clips * 3 / 4)


RIGHT: dict[str, Any] = {
    "machine": {"device": "cpu float32"},
    "renderers": {"largest_difference": 1e-6},
    "resume": {"largest_difference": 0.0, "killed_at": 2},
    "processes": {"left_out": "does not work: torchrun --nproc-per-node=2 takes longer than 300 s"},
    "waits": {"n_steps": 24, "hidden_wait": "none"},
}


@pytest.mark.parametrize(
    ("part", "figures", "problem"),
    [
        ("renderers", {"largest_difference": 2e-4}, "the two renderers do not play the same clips"),
        ("renderers", {"largest_difference": float("nan")}, "the two renderers do not play the same clips"),
        ("resume", {"largest_difference": 1e-9, "killed_at": 2}, "a continued run has other losses than a whole one"),
        ("resume", {"largest_difference": 0.0, "killed_at": 0}, "a run that was asked to end did not end"),
        ("processes", {"largest_difference": 0.1}, "two processes have other losses than one"),
        ("waits", {"hidden_wait": "loop.py:7"}, "a step of pre-training waits for the GPU at loop.py:7"),
    ],
)
def test_a_machine_that_computes_something_else_is_named(part: str, figures: dict[str, Any], problem: str) -> None:
    assert rehearsal.problems(RIGHT) == []
    (found,) = rehearsal.problems(RIGHT | {part: figures})
    assert found.startswith(problem)


def test_sums_on_a_gpu_may_differ_in_their_last_digits() -> None:
    gpu = RIGHT | {"machine": {"device": "cuda bfloat16"}, "resume": {"largest_difference": 1e-4, "killed_at": 16}}
    assert rehearsal.problems(gpu) == []


class Nameless(Exception):
    """An error without a text."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Python.h: no such file\n\nmore"), "does not work: Python.h: no such file"),
        (Nameless(), "does not work: Nameless"),
    ],
)
def test_a_trial_that_fails_is_a_finding(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(_: Setting) -> Any:
        raise error

    for trial in ("compiled", "batches", "waits", "precision", "processes"):
        monkeypatch.setattr(rehearsal.ways, trial, fails)
    monkeypatch.setattr(rehearsal.evaluation, "tf32", lambda setting, task: fails(setting))  # noqa: ARG005
    setting, parts = setting_of(tiny, tmp_path), dict(rehearsal.parts(tiny))
    trials = [name for name in parts if name in {"compiled", "batches", "waits", "precision", "processes", "tf32"}]
    assert list(parts)[-6:] == trials  # nothing that the run needs comes after them
    assert [parts[name](setting) for name in trials] == [{"left_out": said}] * 6
    used = tiny.model_copy(update={"compute": tiny.compute.model_copy(update={"compile": True})})
    with pytest.raises(type(error)):  # it is no trial where the run compiles
        dict(rehearsal.parts(used))["compiled"](setting)


def test_a_part_that_fails_leaves_the_figures_of_those_before(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Setting) -> Any:
        raise AudiopgError("the disk is full")  # noqa: EM101

    monkeypatch.setattr(rehearsal, "parts", lambda _: iter([("machine", lambda _: RIGHT["machine"]), ("save", fails)]))
    with pytest.raises(AudiopgError, match="the disk is full"):
        rehearsal.run(tiny, tmp_path)
    assert json.loads((tmp_path / "rehearsal.json").read_text())["parts"] == {"machine": RIGHT["machine"]}


@pytest.mark.parametrize(("named", "gpus"), [(None, ()), ("0,3", ("0", "3"))])
def test_only_gpus_that_were_given_to_this_process_are_tried(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, gpus: tuple[str, ...]
) -> None:
    monkeypatch.setattr(rehearsal.gpus, "_ask", lambda *_: ["GPU-a", "GPU-b"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    settings: list[Setting] = []

    def part(setting: Setting) -> Any:
        settings.append(setting)
        raise AudiopgError("enough")  # noqa: EM101

    monkeypatch.setattr(rehearsal, "parts", lambda _: iter([("machine", part)]))
    with pytest.raises(AudiopgError, match="enough"):
        rehearsal.run(tiny.model_copy(update={"compute": setting_of(tiny, tmp_path).cfg.compute}), tmp_path)
    assert settings[0].gpus == gpus


def test_tf32_is_as_before_after_an_error(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, seen = torch.backends.cuda.matmul, []
    before = matmul.allow_tf32

    def fails(*_: Any) -> Any:
        seen.append(matmul.allow_tf32)
        raise AudiopgError("enough")  # noqa: EM101

    monkeypatch.setattr(evaluation, "embed", fails)
    with pytest.raises(AudiopgError, match="enough"):
        evaluation._compared(setting_of(tiny, tmp_path), "drums", "tf32_", allow_tf32=not before)
    assert (seen, matmul.allow_tf32) == ([not before], before)


def test_what_is_wrong_ends_the_rehearsal_after_its_report(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = RIGHT | {"renderers": {"largest_difference": 1.0}}
    monkeypatch.setattr(
        rehearsal, "parts", lambda _: iter([(name, lambda _, name=name: wrong[name]) for name in wrong])
    )
    monkeypatch.setattr(rehearsal.forecast, "table", lambda *_: "the forecast")
    with pytest.raises(AudiopgError, match=r"report\.md: the two renderers"):
        rehearsal.run(tiny, tmp_path)
    assert "**the two renderers" in (tmp_path / "report.md").read_text()
