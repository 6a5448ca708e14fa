"""The physics as an objective: its loss by hand, parts that add up, what it leaves, and that it is learnt."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.pretraining import changed, losses, run
from support.regression import CPU as BACKEND
from support.sounds import short

from audiopg import tensors
from audiopg.analysis.pictures import reconstructions
from audiopg.config import Config, profile
from audiopg.cost import flops
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.checkpoint import load_encoder
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.synth.physics import Label, Number, Physics
from audiopg.train.physics import PhysicsLoss
from audiopg.train.pretrain import Corpus, model_of, objective

CPU = torch.device("cpu")


@pytest.fixture(params=["paper", "world"])
def preset(request: pytest.FixtureRequest, tiny: Config) -> Config:
    """Sizes of profile `test`, a second objective, both corpora."""
    synth = profile.load("paper", request.param).synth
    synth = short(synth, tiny.synth.clip_s, events__level_db={"min": -18.0, "max": 0.0})
    return changed(tiny.model_copy(update={"synth": synth}), objectives={"physics": 0.5})


def autoencoder(corpus: Corpus) -> MaskedAutoencoder:
    model = model_of(corpus.cfg)
    initialise(model, 0)
    return model


def by_hand(tiny: Config) -> PhysicsLoss:
    """The loss of two numbers, the second in half of the clips, and of a choice of two."""
    physics = Physics(tiny.synth)
    physics.numbers = {"a": Number(1.0, 0, 1), "b": Number(0.5, 0, 1)}
    physics.labels = {"c": Label(2, math.log(2))}
    return PhysicsLoss(physics, CPU)


def test_the_loss_by_hand(tiny: Config) -> None:
    outputs = torch.tensor([[1.0, 2.0, 0.0, 0.0], [0.0, 3.0, math.log(3), 0.0]])
    targets = torch.tensor([[3.0, math.nan, 0.0], [1.0, 4.0, 1.0]])
    numbers = (2**2 + 1**2 + 1**2 / 0.5) / 2
    label = (math.log(2) + math.log(4)) / math.log(2) / 2
    assert by_hand(tiny)(outputs, targets).item() == pytest.approx((numbers + label) / 3)


def test_what_a_clip_does_not_have_counts_for_nothing(tiny: Config) -> None:
    outputs = torch.ones(3, 4, requires_grad=True)
    targets = torch.tensor([[math.nan, 0.0, 1.0], [0.0, math.nan, 1.0], [math.nan, math.nan, 1.0]])
    by_hand(tiny)(outputs, targets).backward()
    assert outputs.grad is not None
    assert (outputs.grad[:, :2] != 0).tolist() == [[False, True], [True, False], [False, False]]


def test_who_knows_only_the_distributions_has_a_loss_of_1(preset: Config) -> None:
    corpus = Corpus(preset, BACKEND)
    physics = corpus.physics
    assert physics is not None
    targets = torch.from_numpy(physics.targets(corpus.clips.world.score(range(6000))))
    guess = torch.zeros(len(targets), physics.n_outputs)
    first = len(physics.numbers)
    for column, label in enumerate(physics.labels.values(), first):
        shares = torch.bincount(targets[:, column].long(), minlength=label.n_classes) / len(targets)
        guess[:, first : first + label.n_classes] = (shares + 1e-9).log()
        first += label.n_classes
    assert PhysicsLoss(physics, CPU)(guess, targets).item() == pytest.approx(1, abs=0.02)


def test_targets_are_those_of_the_clips_that_are_heard(preset: Config) -> None:
    corpus = Corpus(preset, BACKEND)
    assert corpus.physics is not None
    spectrograms, _, _, targets = corpus.part(2, range(4))
    assert torch.equal(
        spectrograms, SyntheticClips(preset.synth, preset.features, preset.seed, CPU).batch(range(8, 12))
    )
    np.testing.assert_array_equal(targets, corpus.physics.targets(corpus.clips.world.score(range(8, 12))))


def test_parts_are_worth_a_whole(preset: Config) -> None:
    """Cut unevenly, so that no target is present equally often in the parts."""
    corpus = Corpus(changed(preset, batch_size=8), BACKEND)
    model, loss_of = autoencoder(corpus).double(), objective(corpus, CPU)
    gradients = []
    for cut in ([range(8)], [range(1), range(1, 6), range(6, 8)]):
        model.zero_grad()
        total = 0.0
        for places in cut:
            spectrograms, noise, drop_path_scale, targets = corpus.part(0, places)
            loss = loss_of(model, (spectrograms.double(), noise, drop_path_scale, targets)) * (len(places) / 8)
            loss.backward()
            total += loss.item()
        gradients.append([torch.tensor(total), *(weight.grad.clone() for weight in model.parameters())])  # type: ignore[union-attr]
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-7)


def test_the_encoder_learns_from_it_and_the_decoder_does_not(preset: Config) -> None:
    corpus = Corpus(preset, BACKEND)
    model = autoencoder(corpus)
    spectrograms, noise, _, targets = corpus.part(0, range(4))
    assert corpus.physics is not None
    assert targets is not None
    PhysicsLoss(corpus.physics, CPU)(model(spectrograms, noise).physics, targets).backward()
    for name, weight in model.named_parameters():
        moved = weight.grad is not None and bool(weight.grad.abs().sum() > 0)
        assert moved == name.startswith(("encoder.", "physics.")), name


def test_hidden_patches_tell_nothing(preset: Config) -> None:
    corpus = Corpus(preset, BACKEND)
    model = autoencoder(corpus).eval()
    spectrograms, noise, *_ = corpus.part(0, range(4))
    found = model(spectrograms, noise)
    patches = model.encoder.patches(spectrograms) * (1 - found.masked[..., None])
    hidden = reconstructions.unpatch(patches, model.encoder, preset.features.n_mels)
    assert torch.equal(model(hidden, noise).physics, found.physics)
    assert not torch.equal(model(spectrograms * 0, noise).physics, found.physics)


def test_a_few_clips_are_learnt(preset: Config) -> None:
    corpus = Corpus(changed(preset, batch_size=4), BACKEND)
    assert corpus.physics is not None
    model, physics_loss = autoencoder(corpus), PhysicsLoss(corpus.physics, CPU)
    batch, loss_of = corpus.part(0, range(4)), objective(corpus, CPU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    found = []
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
        with torch.no_grad():
            found.append(physics_loss(model(*batch[:2]).physics, batch[3]).item())  # type: ignore[arg-type]
    assert all(map(math.isfinite, found))
    assert found[-1] < 0.2 * found[0]


def test_without_a_weight_there_is_no_head_and_the_same_start(tiny: Config, tmp_path: Path) -> None:
    outputs = run(changed(tiny), tmp_path)
    assert not any("physics" in name for name in tensors.read(outputs.model)[0])
    assert len(Corpus(changed(tiny), BACKEND).part(0, range(4))) == 3
    told = Corpus(changed(tiny, objectives={"physics": 1.0}), BACKEND)
    plain = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, tiny.pretrain.mask_ratio)
    initialise(plain, 0)
    weights = autoencoder(told).state_dict()
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, weights[name])
    for one, other in zip(Corpus(changed(tiny), BACKEND).part(1, range(4)), told.part(1, range(4)), strict=False):
        assert one is other is None or torch.equal(one, other)  # type: ignore[arg-type]


def test_the_head_is_in_the_state_and_nowhere_else(preset: Config, tmp_path: Path) -> None:
    outputs = run(preset, tmp_path)
    assert all(map(math.isfinite, losses(outputs)))
    state, _ = tensors.read(outputs.model)
    assert state["physics.weight"].shape == (Physics(preset.synth).n_outputs, preset.encoder.shape.width)
    assert outputs.loss.read_text().splitlines()[0] == "step,loss"
    encoder = load_encoder(outputs.encoder, preset.encoder, preset.features)
    model = reconstructions.load(outputs.model, preset.encoder, preset.pretrain)
    assert model.physics is None
    for one, other in zip(encoder.parameters(), model.encoder.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_resumed_run_equals_an_uninterrupted_one(
    preset: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(preset, tmp_path / "whole")
    hear = SyntheticClips.with_score

    def cut_off(self: SyntheticClips, indices: range) -> Any:
        if 8 in indices:
            raise KeyboardInterrupt
        return hear(self, indices)

    monkeypatch.setattr(SyntheticClips, "with_score", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run(preset, tmp_path / "cut")
    assert list((tmp_path / "cut" / "resume").iterdir())
    monkeypatch.setattr(SyntheticClips, "with_score", hear)
    resumed = run(preset, tmp_path / "cut")
    for name in ("encoder", "model", "loss"):
        assert getattr(resumed, name).read_bytes() == getattr(whole, name).read_bytes()


def test_the_head_is_too_small_to_be_counted() -> None:
    """As `flops` says: below a thousandth of the paper's weights and operations, in the larger corpus."""
    cfg, synth = profile.load("paper"), profile.load("paper", "world").synth
    head = Physics(synth).n_outputs * cfg.encoder.shape.width
    assert head < 1e-3 * flops.parameters(cfg).pretrain
    assert 3 * 2 * head < 1e-3 * flops.autoencoder_flops(cfg).training
