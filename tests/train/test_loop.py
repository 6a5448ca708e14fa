"""The loop: it learns, it resumes exactly, it stops at a loss that is not finite."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiopg import config, tensors
from audiopg.compute import Backend
from audiopg.errors import AudiopgError
from audiopg.train.loop import Resume, Training

CPU = Backend(torch.device("cpu"), None)
OPTIMIZER = config.Optimizer(lr=0.05, weight_decay=0.01, betas=(0.9, 0.95), warmup_fraction=0.1, clip_norm=1.0)


class Killed(Exception):
    """Stands for a kill between two steps."""


def training(n_steps: int = 40) -> Training:
    model = nn.Linear(5, 1)
    with torch.no_grad():
        model.weight.fill_(0.1)
        model.bias.zero_()
    return Training(model, OPTIMIZER, n_steps)


def steps(run: Training, kill_at: int | None = None) -> tuple[Callable[[int], Tensor], Callable[[Tensor], Tensor]]:
    """Data and loss of a linear regression, with a kill before one of the steps."""

    def batch_of(step: int) -> Tensor:
        if step == kill_at:
            raise Killed
        return torch.randn(16, 5, generator=torch.Generator().manual_seed(step))

    def loss_of(x: Tensor) -> Tensor:
        return (run.model(x)[:, 0] - x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])).square().mean()

    return batch_of, loss_of


@pytest.mark.parametrize("kill_at", [1, 7, 20, 39])
def test_a_resumed_run_equals_an_uninterrupted_one(kill_at: int, tmp_path: Path) -> None:
    whole = training()
    whole.fit(*steps(whole), CPU, "whole", 16)
    resume = Resume(tmp_path / "state.safetensors", "run", save_every=5)
    first = training()
    with pytest.raises(Killed):
        first.fit(*steps(first, kill_at), CPU, "first", 16, resume)
    second = training()
    seen: list[int] = []
    batch_of, loss_of = steps(second)
    second.fit(lambda step: (seen.append(step), batch_of(step))[1], loss_of, CPU, "second", 16, resume)
    assert seen[0] == kill_at // 5 * 5
    assert second.losses == whole.losses
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_state_of_another_run_is_not_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "state.safetensors"
    first = training(10)
    first.fit(*steps(first), CPU, "first", 16, Resume(path, "one", save_every=5))
    second = training(10)
    second.fit(*steps(second), CPU, "second", 16, Resume(path, "two", save_every=5))
    assert second.losses == first.losses
    assert "belongs to other parameters or other code" in capsys.readouterr().err


def test_it_learns() -> None:
    run = training(300)
    run.fit(*steps(run), CPU, "learn", 16)
    assert run.losses[-1] < 1e-3 * run.losses[0]


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    run = training()
    batch_of, loss_of = steps(run)
    with pytest.raises(AudiopgError, match=r"label: the loss is nan at step 3; lower the learning rate \(now 0\.05\)"):
        run.fit(lambda step: batch_of(step) * (float("nan") if step == 3 else 1), loss_of, CPU, "label", 16)


def test_the_gradient_is_clipped() -> None:
    run = training(1)
    run.config = OPTIMIZER.model_copy(update={"clip_norm": 1e-3})
    run.fit(*steps(run), CPU, "clip", 16)
    norm = sum(p.grad.square().sum() for p in run.model.parameters() if p.grad is not None) ** 0.5
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_a_damaged_state_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"not a checkpoint")
    run = training()
    with pytest.raises(AudiopgError, match=r"state\.safetensors: damaged checkpoint .* delete it and run again"):
        run.fit(*steps(run), CPU, "x", 16, Resume(path, "run", save_every=5))


def test_the_whole_state_is_written(tmp_path: Path) -> None:
    run = training(4)
    run.fit(*steps(run), CPU, "x", 16)
    run.save(tmp_path / "state.safetensors", {"run": "run"})
    state, header = tensors.read(tmp_path / "state.safetensors")
    assert header == {"run": "run"}
    assert state["losses"].tolist() == run.losses
    assert {"model.weight", "model.bias", "optimizer.0.exp_avg", "optimizer.0.exp_avg_sq", "optimizer.1.step"} <= set(
        state
    )


def test_data_stay_in_float32_when_the_model_does_not() -> None:
    run = training(1)
    seen: list[torch.dtype] = []

    def batch_of(_: int) -> Tensor:
        product = torch.ones(16, 5) @ torch.ones(5, 5)
        seen.append(product.dtype)
        return product

    def loss_of(x: Tensor) -> Tensor:
        out = run.model(x)
        seen.append(out.dtype)
        return out.float().mean()

    run.fit(batch_of, loss_of, Backend(torch.device("cpu"), torch.bfloat16), "x", 16)
    assert seen == [torch.float32, torch.bfloat16]
