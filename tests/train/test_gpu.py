"""On a GPU the model, both training stages and a resumed run come to what they come to on the CPU."""

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.finetuning import EVERYTHING, separable_task
from support.pretraining import changed, losses, run
from support.regression import Killed

from audiopg import storage, tensors
from audiopg.config import Config
from audiopg.config.train import Search
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.checkpoint import save_encoder
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise, untrained
from audiopg.train import finetune, loop

GPU = "cuda"
pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _whole_float32() -> Iterator[None]:
    """TF32 keeps three digits of a factor."""
    matmul = torch.backends.cuda.matmul  # monkeypatch cannot set it back
    before, matmul.allow_tf32 = matmul.allow_tf32, False
    yield
    matmul.allow_tf32 = before


def test_loss_and_gradients_are_those_of_the_cpu(tiny: Config) -> None:
    generator = torch.Generator().manual_seed(1)
    x, noise = torch.randn(4, 128, 128, generator=generator), torch.rand(4, 64, generator=generator)
    found = {}
    for device in ("cpu", GPU):
        model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, tiny.pretrain.mask_ratio)
        initialise(model, 0)
        loss = model.to(device)(x.to(device), noise.to(device)).loss
        loss.backward()
        gradients = {name: parameter.grad.cpu() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
        found[device] = {"loss": loss.detach().cpu(), **gradients}
    for name, expected in found["cpu"].items():
        assert (found[GPU][name] - expected).abs().max() <= 1e-4 * expected.abs().max(), name


@pytest.mark.parametrize("objectives", [{}, {"physics": 0.5}, {"reconstruction": 0.0, "twins": 1.0}])
def test_pretraining_has_the_losses_of_the_cpu(tiny: Config, tmp_path: Path, objectives: dict[str, float]) -> None:
    tiny = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    # at 1e-3 the loss of twins magnifies differences of 1e-5 between the renderers to 4 %
    expected = run(changed(tiny, objectives=objectives, lr=1e-4), tmp_path / "cpu")
    found = run(changed(tiny, objectives=objectives, lr=1e-4, compute={"device": GPU}), tmp_path / "gpu")
    assert storage.read_json(found.card)["device"] == f"{GPU} float32"
    assert losses(found) == pytest.approx(losses(expected), rel=1e-3)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_pretraining_in_half_precision_stays_finite(tiny: Config, tmp_path: Path, precision: str) -> None:
    outputs = run(changed(tiny, compute={"device": GPU, "precision": precision}), tmp_path)
    assert storage.read_json(outputs.card)["device"] == f"{GPU} {precision}"
    assert all(map(math.isfinite, losses(outputs)))


OPTIONS = {"ema_decay": 0.9, "accumulate": 2, "drop_path": 0.2, "batch_size": 8, "lr": 1e-5}
PRECISIONS = ["float32", "float16", pytest.param("bfloat16", marks=pytest.mark.slow)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("objectives", [{"physics": 0.5}, {"reconstruction": 0.5, "twins": 1.0}])
def test_pretraining_with_all_options_has_the_losses_of_the_cpu(
    tiny: Config, tmp_path: Path, precision: str, objectives: dict[str, float]
) -> None:
    tiny = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    found = {}
    for device, kind in (("cpu", "float32"), (GPU, precision)):
        compute = {"device": device, "precision": kind}
        found[device] = run(changed(tiny, objectives=objectives, compute=compute, **OPTIONS), tmp_path / device)
    assert losses(found[GPU]) == pytest.approx(losses(found["cpu"]), rel=1e-3 if precision == "float32" else 0.1)
    (mine, _), (theirs, _) = (tensors.read(outputs.encoder) for outputs in found.values())
    assert mine.keys() == theirs.keys()
    for name, expected in mine.items():  # the averaged weights, of three steps of 1e-5 at most
        torch.testing.assert_close(theirs[name], expected, atol=6e-5, rtol=0)


def test_a_resumed_run_comes_to_what_an_uninterrupted_one_does(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(loop.READ_EVERY, GPU, 2)  # a state is kept at a look
    cfg = changed(tiny, n_steps=6, compute={"device": GPU})
    whole = run(cfg, tmp_path / "whole")
    hear = SyntheticClips.batch

    def cut_off(self: SyntheticClips, indices: range) -> torch.Tensor:
        if 3 * cfg.pretrain.batch_size in indices:
            raise Killed
        return hear(self, indices)

    with monkeypatch.context() as patch:
        patch.setattr(SyntheticClips, "batch", cut_off)
        with pytest.raises(Killed):
            run(cfg, tmp_path / "cut")
    resumed = run(cfg, tmp_path / "cut")
    assert "continuing at step 2" in capsys.readouterr().err
    assert len(losses(resumed)) == 6
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-3)


def test_a_fold_has_the_losses_of_the_cpu(tiny: Config, tmp_path: Path) -> None:
    paths, encoder = separable_task(tiny, tmp_path), tmp_path / "encoder.safetensors"
    save_encoder(encoder, untrained(tiny.encoder, 99), tiny.features)
    recipe = tiny.finetune.model_copy(update={"n_epochs": 2, "batch_size": 6, "drop_path": 0.2, "patch_drop": 0.5})
    found = {}
    for device in ("cpu", GPU):
        cfg = changed(tiny, compute={"device": device}).model_copy(update={"finetune": recipe})
        finetune.run(cfg, "drums", 1, "pretrained", *paths, encoder, resume=tmp_path / "resume", out=tmp_path / device)
        found[device] = pd.read_csv(tmp_path / device / "loss.csv")["loss"].tolist()
    assert len(found[GPU]) == 6
    assert found[GPU] == pytest.approx(found["cpu"], rel=1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_split_with_all_options_has_the_losses_of_the_cpu(tiny: Config, tmp_path: Path, precision: str) -> None:
    paths, encoder = separable_task(tiny, tmp_path, "split"), tmp_path / "encoder.safetensors"
    save_encoder(encoder, untrained(tiny.encoder, 99), tiny.features)
    optimizer = tiny.finetune.optimizer.model_copy(update={"ema_decay": 0.5, "lr": 1e-3})
    search = Search(lr=[1e-4, 1e-3], n_epochs=[1], n_folds=2)
    few = {"n_epochs": 2, "batch_size": 6, "accumulate": 2, "save_every": 2, "standardise": True, "layer_decay": 0.75}
    options = EVERYTHING | few | {"optimizer": optimizer, "search": search}
    found = {}
    for device, kind in (("cpu", "float32"), (GPU, precision)):
        cfg = changed(tiny, compute={"device": device, "precision": kind})
        cfg = cfg.model_copy(update={"finetune": tiny.finetune.model_copy(update=options)})
        out = tmp_path / device
        finetune.run(cfg, "drums", 1, "pretrained", *paths, encoder, resume=tmp_path / "resume", out=out)
        found[device] = pd.read_csv(out / "loss.csv")["loss"].tolist()
        assert len(storage.read_json(out / "run.json")["validation"]) == len(found[device]) // 2
    assert found[GPU] == pytest.approx(found["cpu"], rel=1e-3 if precision == "float32" else 0.1)
