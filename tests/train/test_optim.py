"""Schedule at its corners; who decays, and which blocks learn slowly."""

import math

import pytest
import torch
from support import regression
from torch import nn

from audiopg.config import Config
from audiopg.models.classifier import Classifier
from audiopg.train.loop import Training
from audiopg.train.optim import adamw, learning_rate

OPTIMIZER = regression.OPTIMIZER.model_copy(update={"lr": 0.8, "weight_decay": 0.1})


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


def test_the_queries_of_the_pooling_do_not_decay(tiny: Config) -> None:
    """They stand as rows of a matrix, but each is a vector of its own, and 0 is the plain mean."""
    model = Classifier(tiny.encoder, 3, "attention")
    decays = {id(p): group["weight_decay"] for group in adamw(model, OPTIMIZER).param_groups for p in group["params"]}
    assert model.pooling is not None
    assert decays[id(model.pooling.query)] == 0
    assert decays[id(model.head.weight)] == 0.1


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_the_learning_rate_falls_by_a_factor_per_block(decay: float, tiny: Config) -> None:
    model = Classifier(tiny.encoder, 3)
    n_blocks = tiny.encoder.shape.depth
    optimizer = adamw(model, OPTIMIZER, decay)
    scale = {id(p): group["scale"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    expected = {"encoder.embed.": 0, "encoder.norm.": n_blocks + 1, "head.": n_blocks + 1}
    expected |= {f"encoder.blocks.{number}.": number + 1 for number in range(n_blocks)}
    for name, parameter in model.named_parameters():
        (depth,) = [depth for place, depth in expected.items() if name.startswith(place)]
        assert scale[id(parameter)] == decay ** (n_blocks + 1 - depth), name
        assert decays[id(parameter)] == (0.1 if parameter.ndim == 2 else 0)
    assert len(optimizer.param_groups) == (2 if decay == 1 else 2 * (n_blocks + 2))


def test_the_schedule_moves_all_learning_rates_alike(tiny: Config) -> None:
    run = Training(Classifier(tiny.encoder, 3), OPTIMIZER, 100, layer_decay=0.5)
    run._set_rate()
    assert {group["lr"] for group in run.optimizer.param_groups} == {0.08 * 0.5**number for number in range(8)}
