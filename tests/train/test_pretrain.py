"""The pre-training stage: which clips a step sees, whatever it is cut into, and what the stage leaves."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from support.pretraining import changed, losses, run
from support.regression import CPU as BACKEND

from audiopg import storage, tensors
from audiopg.config import Config
from audiopg.data.synthetic import SyntheticClips
from audiopg.errors import AudiopgError
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.train.pretrain import Corpus

CPU = torch.device("cpu")


def test_a_step_sees_its_clips_masks_and_paths_whatever_it_is_cut_into(tiny: Config) -> None:
    corpus = Corpus(changed(tiny, drop_path=0.5), BACKEND)
    whole = corpus.part(2, range(4))
    parts = [corpus.part(2, places) for places in (range(1), range(1, 4))]
    for number, (all_of_it, *pieces) in enumerate(zip(whole, *parts, strict=True)):
        assert all_of_it is not None
        assert torch.equal(all_of_it, torch.cat(pieces, dim=2 if number == 2 else 0))  # type: ignore[arg-type]
    expected = SyntheticClips(tiny.synth, tiny.features, tiny.seed, CPU).batch(range(8, 12))
    assert torch.equal(whole[0], expected)
    assert corpus.names(2) == f"clips audiopg-2/{tiny.seed}/000008..audiopg-2/{tiny.seed}/000011"


def test_drop_path_reaches_the_encoder(tiny: Config) -> None:
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, 0.5)
    initialise(model, 0)
    spectrogram, noise, drop_path_scale = Corpus(changed(tiny, drop_path=0.5), BACKEND).part(0, range(4))
    plain = model(spectrogram, noise).loss
    assert torch.equal(model(spectrogram, noise, torch.ones_like(drop_path_scale)).loss, plain)
    assert not torch.equal(model(spectrogram, noise, drop_path_scale).loss, plain)
    assert Corpus(changed(tiny), BACKEND).part(0, range(4))[2] is None


def test_a_loss_that_is_not_finite_names_its_clips(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = SyntheticClips.batch

    def broken(self: SyntheticClips, indices: range) -> torch.Tensor:
        return play(self, indices) * (math.nan if 5 in indices else 1)

    monkeypatch.setattr(SyntheticClips, "batch", broken)
    message = r"pretrain: the loss is nan at step 1 \(clips audiopg-2/42/000004\.\.audiopg-2/42/000007; learning"
    with pytest.raises(AudiopgError, match=message):
        run(changed(tiny), tmp_path / "a")
    outputs = run(changed(tiny, on_non_finite="skip", accumulate=2), tmp_path / "b")
    assert [math.isnan(loss) for loss in losses(outputs)] == [False, True, False]
    assert math.isfinite(storage.read_json(outputs.card)["final_loss"])
    monkeypatch.setattr(SyntheticClips, "batch", lambda self, indices: play(self, indices) * math.nan)
    outputs = run(changed(tiny, on_non_finite="skip"), tmp_path / "c")
    assert storage.read_json(outputs.card)["final_loss"] is None


def test_what_is_written_are_the_averaged_weights(tiny: Config, tmp_path: Path) -> None:
    plain, averaged = run(changed(tiny), tmp_path / "a"), run(changed(tiny, ema_decay=0.5), tmp_path / "b")
    assert losses(averaged) == losses(plain)
    states = [tensors.read(outputs.model)[0] for outputs in (plain, averaged)]
    assert states[0].keys() == states[1].keys()
    assert not torch.equal(states[0]["decoder.predict.weight"], states[1]["decoder.predict.weight"])
    for outputs, state in zip((plain, averaged), states, strict=True):
        for name, tensor in tensors.read(outputs.encoder)[0].items():
            assert torch.equal(tensor, state[f"encoder.{name}"])


def test_a_time_budget_ends_the_run_and_the_card_tells_what_it_saw(tiny: Config, tmp_path: Path) -> None:
    outputs = run(changed(tiny, n_steps=None, budget_min=1 / 60), tmp_path)
    n_steps = len(losses(outputs))
    card = storage.read_json(outputs.card)
    assert n_steps >= 1
    assert card["clips_seen"] == 4 * n_steps
    assert card["last_clip"] == f"audiopg-2/42/{4 * n_steps - 1:06d}"
    assert not (tmp_path / "resume").exists()


def test_outputs_do_not_depend_on_the_clock(tiny: Config, tmp_path: Path) -> None:
    first, second = run(changed(tiny), tmp_path / "a"), run(changed(tiny), tmp_path / "b")
    for name in ("encoder", "model", "loss"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
@pytest.mark.filterwarnings("ignore")  # of the compiler, about its own parts
def test_a_compiled_model_learns_the_same(tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(changed(tiny), tmp_path / "a")
    compiled_models: list[torch.nn.Module] = []
    genuine = torch.compile

    def watched(model: torch.nn.Module, *, fullgraph: bool) -> object:
        assert fullgraph
        compiled_models.append(model)
        return genuine(model, fullgraph=fullgraph)

    monkeypatch.setattr(torch, "compile", watched)
    compiled = run(changed(tiny, compute={"compile": True}), tmp_path / "b")
    assert len(compiled_models) == 1
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-4)
    found, expected = (tensors.read(outputs.encoder)[0] for outputs in (compiled, plain))
    assert found.keys() == expected.keys()
