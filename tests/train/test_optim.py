"""Schedule at its corners; who decays."""

import math

import pytest
import torch
from torch import nn

from audiopg import config
from audiopg.train.optim import adamw, learning_rate

OPTIMIZER = config.Optimizer(lr=0.8, weight_decay=0.1, betas=(0.9, 0.95), warmup_fraction=0.1, clip_norm=1.0)


def test_schedule_at_its_corners() -> None:
    rates = [learning_rate(OPTIMIZER, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.08)
    assert rates[9] == pytest.approx(0.8)
    assert rates[10] == pytest.approx(0.8)
    assert rates[55] == pytest.approx(0.4)
    assert rates[99] == pytest.approx(0.4 * (1 + math.cos(math.pi * 89 / 90)))
    assert learning_rate(OPTIMIZER, 100, 100) == pytest.approx(0.0)
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))


def test_no_warmup_starts_at_the_peak() -> None:
    assert learning_rate(OPTIMIZER.model_copy(update={"warmup_fraction": 0.0}), 0, 10) == pytest.approx(0.8)


def test_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    optimizer = adamw(model, OPTIMIZER)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer.step()
    for old, new in zip(before, model.parameters(), strict=True):
        factor = 1 - 0.8 * 0.1 if new.ndim == 2 else 1
        torch.testing.assert_close(new.data, old.data * factor)
