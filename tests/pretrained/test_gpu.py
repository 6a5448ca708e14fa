"""On a GPU a pre-trained encoder gives the embeddings of the CPU, and an export the weights that were trained there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support import pretraining
from support.encoders import checkpoint
from support.exports import ROWS
from torch import Tensor

from audiopg import storage, tensors
from audiopg.config import Config
from audiopg.models.readout import ReadOut
from audiopg.pretrained import embed, export, hear
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.provenance import run_cards, stages
from audiopg.report import table

GPU = "cuda"
pytestmark = pytest.mark.gpu


def noise(seconds: float, n_sounds: int = 2) -> Tensor:
    draw = np.random.Generator(np.random.Philox(1))
    return torch.from_numpy(draw.uniform(-1, 1, (n_sounds, round(16_000 * seconds))).astype(np.float32))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Path:
    """An encoder on disk."""
    return checkpoint(tmp_path_factory.mktemp("encoder"), tiny)


@pytest.mark.parametrize("pooling", ["mean", "moments", "bands"])
def test_hear_has_the_embeddings_of_the_cpu(weights: Path, pooling: str) -> None:
    readout = ReadOut((3, 6), pooling)
    here, there = (hear.load_model(str(weights), readout) for _ in range(2))
    there.to(GPU)
    for sounds in (noise(0.3), noise(1.5)):
        expected, (expected_over_time, expected_ms) = (
            hear.get_scene_embeddings(sounds, here),
            hear.get_timestamp_embeddings(sounds, here),
        )
        for given in (sounds, sounds.to(GPU)):
            found, (over_time, times_ms) = (
                hear.get_scene_embeddings(given, there),
                hear.get_timestamp_embeddings(given, there),
            )
            assert found.is_cuda
            assert over_time.is_cuda
            assert times_ms.is_cuda
            torch.testing.assert_close(found.cpu(), expected, atol=2e-3, rtol=2e-3)
            torch.testing.assert_close(over_time.cpu(), expected_over_time, atol=2e-3, rtol=2e-3)
            assert torch.equal(times_ms.cpu(), expected_ms)


def test_sounds_of_another_rate_and_none_at_all(weights: Path) -> None:
    here, there = (AudioEncoder.from_pretrained(weights) for _ in range(2))
    there.to(GPU)
    for given in (noise(0.5), noise(0.5).to(GPU)):
        expected, found = here.embed(given.cpu(), 22_050), there.embed(given, 22_050)
        torch.testing.assert_close(found.cpu(), expected, atol=2e-3, rtol=2e-3)
    assert there.embed(torch.empty(0, 16_000, device=GPU), 16_000).is_cuda


def test_gradients_reach_a_waveform(weights: Path) -> None:
    model = AudioEncoder.from_pretrained(weights).to(GPU)
    waveform = noise(1.28).to(GPU).requires_grad_()
    model(waveform).mean().backward()
    assert waveform.grad is not None
    assert waveform.grad.is_cuda
    assert float(waveform.grad.abs().max()) > 0


def test_embeddings_of_files_are_made_on_the_device(weights: Path, tmp_path: Path) -> None:
    for number, sound in enumerate(noise(1.0)):
        soundfile.write(tmp_path / f"{number}.wav", sound.numpy() / 2, 16_000)
    files, out = sorted(tmp_path.glob("*.wav")), tmp_path / "embeddings.parquet"
    embed.run(files, weights, out)
    found = pd.read_parquet(out)
    model = AudioEncoder.from_pretrained(weights)
    for row, file in zip(found.to_dict("records"), files, strict=True):
        expected = model.embed(soundfile.read(file, dtype="float32")[0], 16_000)
        values = [row[name] for name in found.columns if name.startswith("e")]
        np.testing.assert_allclose(values, expected.numpy(), atol=2e-3, rtol=2e-3)


def test_an_export_has_the_weights_of_the_device(tiny: Config, tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "hub"
    cfg = pretraining.changed(tiny, compute={"device": GPU, "precision": "bfloat16"}, ema_decay=0.9)
    trained = pretraining.run(cfg, results / "pretrain")
    storage.write_text(results / "table.csv", pd.DataFrame(ROWS, columns=table.COLUMNS).to_csv(index=False))
    storage.write_text(results / "table.md", "# Results\n\n| task | pre-trained |\n|---|---|\n| drums | 0.500 |\n")
    written = [results / "table.csv", results / "table.md"]
    run_cards.write_card(results / "run.json", "table", stages.reads(tiny, "table"), [trained.card], written)
    export.run(trained.encoder, results, out)
    weights, _ = tensors.read(trained.encoder)
    model = AudioEncoder.from_pretrained(out).to(GPU)
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor.cpu(), weights[name]), name
    assert "cuda bfloat16" in (out / "README.md").read_text(encoding="utf-8")
