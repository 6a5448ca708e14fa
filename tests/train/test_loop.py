"""The loop: it learns, it resumes exactly, parts are worth a whole, and what is not finite is no step."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.regression import (
    CPU,
    FLOAT16,
    OPTIMIZER,
    Killed,
    Line,
    checkpoints,
    cusp,
    flat,
    loss_of,
    training,
    weights,
)
from torch import Tensor, nn

from audiopg import tensors
from audiopg.errors import AudiopgError
from audiopg.train import checkpoints as checkpoints_module
from audiopg.train import loop
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.feed import Batch
from audiopg.train.look import Numbers, Unread
from audiopg.train.loop import Training


@pytest.mark.parametrize("kill_at", [1, 7, 20, 39])
@pytest.mark.parametrize(
    "changes", [{}, {"ema_decay": 0.9, "on_non_finite": "skip"}, {"accumulate": 3}], ids=["plain", "averaged", "parts"]
)
@pytest.mark.parametrize("backend", [CPU, FLOAT16], ids=["float32", "float16"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    backend: Any, changes: dict[str, Any], kill_at: int, tmp_path: Path
) -> None:
    broken = [3, 18] if changes.get("on_non_finite") else []
    whole = training(**changes)
    whole.fit(Line(broken=broken), loss_of, backend, "whole")
    first = training(**changes)
    with pytest.raises(Killed):
        first.fit(Line(kill_at=kill_at, broken=broken), loss_of, backend, "first", checkpoints(tmp_path))
    second, data = training(**changes), Line(broken=broken)
    second.fit(data, loss_of, backend, "second", checkpoints(tmp_path))
    assert data.seen[0][0] == kill_at // 5 * 5
    assert len(second.losses) == 40
    assert list(map(repr, second.losses)) == list(map(repr, whole.losses))
    assert second.n_skipped == len(broken)
    assert second.scaler.state_dict() == whole.scaler.state_dict()
    ours, theirs = second._state(), whole._state()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name != "losses")


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses are looked at after eight steps, as on a GPU."""
    monkeypatch.setitem(loop.READ_EVERY, "cpu", 8)


@pytest.mark.parametrize("backend", [CPU, FLOAT16], ids=["float32", "float16"])
def test_nothing_depends_on_when_the_losses_are_looked_at(
    backend: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, broken = {"ema_decay": 0.9, "on_non_finite": "skip"}, [3, 18]
    whole, first, second = (training(**changes) for _ in range(3))
    whole.fit(Line(broken=broken), flat, backend, "whole")
    monkeypatch.setitem(loop.READ_EVERY, "cpu", 8)
    with pytest.raises(Killed):
        first.fit(Line(kill_at=21, broken=broken), flat, backend, "first", Checkpoints(tmp_path, "run", 0))
    data = Line(broken=broken)
    second.fit(data, flat, backend, "second", Checkpoints(tmp_path, "run", 0))
    assert data.seen[0][0] == 16
    assert list(map(repr, second.losses)) == list(map(repr, whole.losses))
    ours, theirs = second._state(), whole._state()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs if name != "losses")


@pytest.mark.usefixtures("blocks")
def test_a_look_at_several_steps_names_the_one_that_is_not_finite() -> None:
    run = training()
    with pytest.raises(AudiopgError, match=r"label: the loss is nan at step 11 \(clips of 11; learning rate 0\.0"):
        run.fit(Line(broken=[11, 12]), loss_of, CPU, "label")
    assert (run.step, len(run.losses)) == (11, 11)


@pytest.mark.usefixtures("blocks")
def test_the_last_steps_are_looked_at_too() -> None:
    run = training(11)
    run.fit(Line(), loss_of, CPU, "label")
    assert len(run.losses) == 11


def test_it_learns() -> None:
    run = training(300)
    run.fit(Line(), loss_of, CPU, "learn")
    assert run.losses[-1] < 1e-3 * run.losses[0]


@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_parts_of_a_batch_are_worth_the_whole(accumulate: int) -> None:
    """Also where they are of unequal size, or fewer than there should be."""
    sizes = (16, 16, 5, 1)
    whole, cut = training(), training(accumulate=accumulate)
    whole.fit(Line(sizes), loss_of, CPU, "whole")
    data = Line(sizes)
    cut.fit(data, loss_of, CPU, "cut")
    assert len(data.seen) == 40 * accumulate
    assert cut.losses == pytest.approx(whole.losses, rel=1e-5)
    torch.testing.assert_close(weights(cut), weights(whole), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_loss_that_is_not_finite_stops_the_run(accumulate: int) -> None:
    run = training(accumulate=accumulate)
    message = r"label: the loss is nan at step 3 \(clips of 3; learning rate 0\.05\) with optimizer \{.*\}; lower the "
    with pytest.raises(AudiopgError, match=message):
        run.fit(Line(broken=[3]), loss_of, CPU, "label")
    assert run.step == 3


def test_a_gradient_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(AudiopgError, match=r"label: the gradient is not finite at step 0 \(clips of 0; "):
        training().fit(Line(), cusp, CPU, "label")


@pytest.mark.parametrize("backend", [CPU, FLOAT16], ids=["float32", "float16"])
def test_a_step_that_is_left_out_changes_nothing_and_is_told_once(
    backend: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run, seen = training(6, on_non_finite="skip"), []
    run.fit(Line(broken=[2, 3]), flat, backend, "label", after_step=lambda _: seen.append(weights(run)))
    assert [math.isnan(loss) for loss in run.losses] == [False, False, True, True, False, False]
    assert torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[3], seen[4])
    shown = capsys.readouterr().err
    assert shown.count("the loss is nan") == run.n_skipped == 2
    assert "label: the loss is nan at step 3 (clips of 3; learning rate 0.0327254) with optimizer {" in shown
    assert '"on_non_finite":"skip"}; no update, 2 so far\n' in shown
    assert run.scaler.get_scale() == (65536 if backend is FLOAT16 else 1)  # which a loss says nothing about
    assert "label: 6 steps in " in shown
    assert "2 of them without an update" in shown
    assert run.loss_table().to_csv(index=False).splitlines()[3:5] == ["2,", "3,"]


@pytest.mark.parametrize("backend", [CPU, FLOAT16], ids=["float32", "float16"])
def test_the_gradient_is_clipped_in_its_own_scale(backend: Any) -> None:
    run = training(1, clip_norm=1e-3)
    run.fit(Line(), flat, backend, "clip")
    norm = sum(p.grad.square().sum() for p in run.model.parameters() if p.grad is not None) ** 0.5
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_float16_scales_its_loss_and_learns_as_float32_does() -> None:
    run, other = training(), training()
    seen: list[float] = []
    run.fit(Line(), flat, FLOAT16, "half", after_step=lambda _: seen.append(run.scaler.get_scale()))
    other.fit(Line(), flat, CPU, "whole")
    assert set(seen) == {65536}
    assert run.losses == pytest.approx(other.losses, rel=0.01, abs=1e-4)
    assert other.scaler.get_scale() == 1


def test_a_gradient_that_overflows_in_float16_halves_the_scale_and_is_no_step() -> None:
    run = training(3)
    scales: list[float] = []

    def steep(run: nn.Module, batch: Batch) -> Tensor:
        return 1e35 * loss_of(run, batch)  # times 65536 it is no float32

    first = weights(run).clone()
    run.fit(Line(), steep, FLOAT16, "steep", after_step=lambda _: scales.append(run.scaler.get_scale()))
    assert scales == [32768, 16384, 8192]
    assert torch.equal(weights(run), first)
    assert all(math.isfinite(loss) for loss in run.losses)


def test_a_float16_gradient_that_no_scale_helps_is_refused() -> None:
    """2^16 is halved sixteen times before it is 1."""
    run = training(60)
    with pytest.raises(AudiopgError, match="label: the gradient is not finite at step 16 "):
        run.fit(Line(), cusp, FLOAT16, "label")
    run = training(60, on_non_finite="skip")
    run.fit(Line(), cusp, FLOAT16, "label")
    assert run.n_skipped == 60 - 16


def test_what_goes_with_a_run_is_part_of_its_state(tmp_path: Path) -> None:
    class Count:
        """Counts the steps of a run, over interruptions."""

        def __init__(self) -> None:
            self.n = 0

        def state_dict(self) -> dict[str, Tensor]:
            return {"n": torch.tensor(self.n)}

        def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
            self.n = int(state["n"])

        def add(self, step: int) -> None:  # noqa: ARG002
            self.n += 1

    first, second = Count(), Count()
    with pytest.raises(Killed):
        training(companion=first).fit(Line(kill_at=17), loss_of, CPU, "a", checkpoints(tmp_path), first.add)
    training(companion=second).fit(Line(), loss_of, CPU, "b", checkpoints(tmp_path), second.add)
    assert (first.n, second.n) == (17, 40)


class Clock:
    """A clock that moves when a step is made."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_a_run_with_a_budget_follows_the_clock_and_ends_on_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    rates: list[float] = []

    def slow(run: nn.Module, batch: Batch) -> Tensor:
        clock.now += 5.0
        return loss_of(run, batch)

    def fit(run: Training, kill_at: int | None = None) -> None:
        run.fit(
            Line(kill_at=kill_at),
            slow,
            CPU,
            "timed",
            checkpoints(tmp_path),
            after_step=lambda _: rates.append(run.optimizer.param_groups[0]["lr"]),
        )

    first = training(None, budget_s=100.0)
    with pytest.raises(Killed):
        fit(first, kill_at=12)
    assert first.elapsed_s == 60
    clock.now += 5000.0  # a night, and nothing happens
    second = training(None, budget_s=100.0)
    fit(second)
    assert second.step == 20
    assert second.elapsed_s == 100
    assert rates[:12] + rates[14:] == pytest.approx(  # the two steps after the last state are taken again
        [OPTIMIZER.lr * rate for rate in [1e-5, 0.5 + 1e-5, *(cosine((5 * step - 10) / 90) for step in range(2, 20))]]
    )


@pytest.mark.usefixtures("blocks")
def test_the_time_of_steps_counts_that_a_gpu_is_still_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does eight steps of five seconds while a look waits for them; none of it passes while they are asked for."""
    clock, read = Clock(), Unread.read

    def waiting(self: Unread) -> list[Numbers]:
        clock.now += 5.0 * len(self)
        return read(self)

    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Unread, "read", waiting)
    run = training(None, budget_s=100.0)
    run.fit(Line(), loss_of, CPU, "timed")
    assert (run.step, run.elapsed_s) == (24, 120)


@pytest.mark.parametrize(("n_steps", "budget_s"), [(20, math.inf), (None, 100.0)])
@pytest.mark.parametrize(("every_s", "expected"), [(25.0, [5, 10, 15]), (30.0, [6, 12]), (60.0, [])])
def test_no_state_is_saved_when_less_is_left_than_comes_between_two(
    n_steps: int | None,
    budget_s: float,
    every_s: float,
    expected: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In twenty steps of five seconds."""
    clock, saved = Clock(), []
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(checkpoints_module, "time", clock)

    class Noted(Checkpoints):
        def save(self, step: int, state: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
            saved.append(step)
            super().save(step, state, header)

    def slow(run: nn.Module, batch: Batch) -> Tensor:
        clock.now += 5.0
        return loss_of(run, batch)

    run = training(n_steps, budget_s=budget_s)
    run.fit(Line(), slow, CPU, "timed", Noted(tmp_path, "run", every_s))
    assert (run.step, saved) == (20, expected)


def cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def test_a_finished_run_says_how_long_it_waited_for_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = training(4)
    run.fit(Line(), loss_of, CPU, "label")
    assert 0 < run.waited_s < run.elapsed_s
    run.elapsed_s, run.waited_s = 80.0, 20.0
    run._tell("label")
    assert capsys.readouterr().err.splitlines()[-1] == "label: 4 steps in 80 s, 25% of it waiting for data"


def test_the_whole_state_is_written(tmp_path: Path) -> None:
    run = training(4)
    run.fit(Line(), loss_of, CPU, "x", Checkpoints(tmp_path, "run", 0))
    state, header = tensors.read(tmp_path / "000000004.safetensors")
    assert header["run"] == "run"
    assert state["losses"].tolist() == run.losses
    assert {"model.weight", "model.bias", "optimizer.0.exp_avg", "optimizer.0.exp_avg_sq", "optimizer.1.step"} <= set(
        state
    )


def test_data_stay_in_float32_when_the_model_does_not() -> None:
    seen: list[torch.dtype] = []

    class Product(Line):
        def part(self, step: int, places: range) -> Batch:
            x, y, _ = super().part(step, places)
            product = x @ torch.eye(5)
            seen.append(product.dtype)
            return product, y, None

    def spied(run: nn.Module, batch: Batch) -> Tensor:
        seen.append(run(batch[0]).dtype)
        return loss_of(run, batch)

    training(1).fit(Product(), spied, replace(CPU, autocast_dtype=torch.bfloat16), "x")
    assert seen == [torch.float32, torch.bfloat16]
