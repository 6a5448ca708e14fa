"""Twins as an objective: its loss by hand, what it leaves, that it is learnt, and what it needs of the parameters."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from support.pretraining import changed, losses, run
from support.regression import CPU as BACKEND

from audiopg import tensors
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.errors import AudiopgError
from audiopg.models.vit import initialise
from audiopg.train.feed import check_division
from audiopg.train.pretrain import Corpus, model_of, objective
from audiopg.train.twins import TEMPERATURE, twins_loss

CPU = torch.device("cpu")


@pytest.fixture
def twins(tiny: Config) -> Config:
    """Sizes of profile `test`, with twins as the only objective."""
    tiny = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    return changed(tiny, objectives={"reconstruction": 0.0, "twins": 1.0})


def circle(*degrees: float) -> torch.Tensor:
    """Directions in a plane, shape (B, 2)."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_the_loss_by_hand() -> None:
    """Two identities of two clips: each clip finds its twin among three others."""
    a, b, c, d = 0.0, 60.0, 180.0, 240.0

    def part(own: float, twin: float, *others: float) -> float:
        likeness = [math.exp(math.cos(math.radians(own - other)) / TEMPERATURE) for other in (twin, *others)]
        return -math.log(likeness[0] / sum(likeness))

    expected = (part(a, b, c, d) + part(b, a, c, d) + part(c, d, a, b) + part(d, c, a, b)) / 4
    assert twins_loss(circle(a, b, c, d), 2).item() == pytest.approx(expected / math.log(3))


def test_all_pairs_of_an_identity_of_three_count_alike() -> None:
    directions = circle(0, 20, 50, 180, 200, 230)
    turned = circle(50, 0, 20, 200, 230, 180)
    assert twins_loss(directions, 3).item() == pytest.approx(twins_loss(turned, 3).item())
    assert twins_loss(directions, 3).item() < twins_loss(circle(0, 180, 50, 20, 200, 230), 3).item()


def test_who_tells_nothing_apart_has_a_loss_of_1() -> None:
    assert twins_loss(circle(*[7.0] * 12), 2).item() == pytest.approx(1)


def test_who_tells_identities_apart_has_a_loss_of_0() -> None:
    assert twins_loss(torch.eye(64)[torch.arange(128) // 2], 2).item() < 1e-2


def test_autocast_leaves_the_loss_in_float32() -> None:
    directions = torch.nn.functional.normalize(torch.randn(32, 128, generator=torch.Generator().manual_seed(1)), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = twins_loss(directions, 2)
    assert found.dtype == torch.float32
    assert found.item() == twins_loss(directions, 2).item()


@pytest.mark.parametrize(("world_size", "part"), [(2, 2), (4, 1)])
def test_twins_are_not_parted_between_processes(twins: Config, world_size: int, part: int) -> None:
    backend = Backend(CPU, None, world_size=world_size)
    with pytest.raises(AudiopgError, match=f"batch_size = 4 leaves {part} clips for each of {world_size} processes"):
        check_division("pretrain", twins.pretrain, backend, 2)
    check_division("pretrain", twins.pretrain, Backend(CPU, None), 2)


def test_the_encoder_learns_from_it_alone(twins: Config) -> None:
    """Nothing is reconstructed, so that there is no decoder."""
    model = model_of(twins)
    initialise(model, 0)
    corpus = Corpus(twins, BACKEND)
    objective(corpus, CPU)(model, corpus.part(0, range(4))).backward()
    names = [name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()]
    assert {name.partition(".")[0] for name in names} == {"encoder", "projection"}
    assert model.decoder is None


def test_the_loss_is_the_weighted_sum_of_its_parts(twins: Config) -> None:
    found = []
    for weights in (
        {"reconstruction": 1.0},
        {"physics": 1.0},
        {"twins": 1.0},
        {"reconstruction": 2.0, "physics": 3.0, "twins": 5.0},
    ):
        cfg = changed(twins, objectives={"reconstruction": 0.0, "physics": 0.0, "twins": 0.0} | weights)
        model, corpus = model_of(cfg), Corpus(cfg, BACKEND)
        initialise(model, 0)
        found.append(objective(corpus, CPU)(model, corpus.part(0, range(4))).item())
    assert found[3] == pytest.approx(2 * found[0] + 3 * found[1] + 5 * found[2])


def test_identities_are_learnt(twins: Config) -> None:
    """The first 16 clips: from the loss of a guess to a tenth of it."""
    cfg = changed(twins, batch_size=16)
    model, corpus = model_of(cfg), Corpus(cfg, BACKEND)
    initialise(model, 0)
    optimizer, loss_of, batch = (
        torch.optim.AdamW(model.parameters(), 1e-3),
        objective(corpus, CPU),
        corpus.part(0, range(16)),
    )
    found = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[0] > 0.5
    assert found[-1] < 0.1


def test_a_run_keeps_the_projection_in_its_state_alone_and_repeats(twins: Config, tmp_path: Path) -> None:
    one, other = run(twins, tmp_path / "one"), run(twins, tmp_path / "other")
    assert all(map(math.isfinite, losses(one)))
    assert one.encoder.read_bytes() == other.encoder.read_bytes()
    assert any("projection" in name for name in tensors.read(one.model)[0])
    assert not any("projection" in name for name in tensors.read(one.encoder)[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"synth": {"identity": {"n_clips": 1}}},
            "pretrain.objectives.twins needs synth.identity.n_clips of 2 at least",
        ),
        ({"synth": {"identity": {"n_clips": 3}}}, "batch_size / accumulate = 4 must hold several identities"),
        ({"pretrain": {"accumulate": 2}}, "batch_size / accumulate = 2 must hold several identities"),
        ({"pretrain": {"objectives": {"twins": 0.0}}}, "at least one weight must be above 0"),
    ],
)
def test_what_twins_need_is_said(twins: Config, change: dict[str, Any], message: str) -> None:
    data = twins.model_dump()
    for section, values in change.items():
        for key, value in values.items():
            data[section][key] = {**data[section][key], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError, match=message):
        Config.model_validate(data)
