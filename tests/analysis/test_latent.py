"""What encoders make of a corpus, and the stage on a random encoder."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.places import ROOT

from audiopg import storage, tensors
from audiopg.analysis import latent
from audiopg.analysis.activations import activations
from audiopg.analysis.corpora import synthetic
from audiopg.config import Config
from audiopg.features.logmel import LogMel
from audiopg.models.checkpoint import save_encoder
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise, untrained

CPU = torch.device("cpu")


@torch.no_grad()
def test_layers_are_moments_of_the_tokens(tiny: Config) -> None:
    encoder = untrained(tiny.encoder, 1).eval()
    spectrogram = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(0))
    found = encoder.layers(spectrogram)
    assert found.shape == (3, encoder.size.depth + 2, 2, encoder.size.width)
    torch.testing.assert_close(found[:, 0, 0], encoder.tokens(spectrogram).mean(dim=1))
    torch.testing.assert_close(found[:, -1, 0], encoder(spectrogram).mean(dim=1))
    torch.testing.assert_close(found[:, -1, 1], encoder(spectrogram).std(dim=1, correction=0))


def test_activations_are_kept_on_disk_in_order(tiny: Config, tmp_path: Path) -> None:
    corpus = synthetic.build("events", tiny, CPU)
    encoder, log_mel = untrained(tiny.encoder, 1), LogMel(tiny.features)
    found = activations(corpus, {"random": encoder}, log_mel, tmp_path)
    assert isinstance(found["random"], np.memmap)
    with torch.no_grad():
        one = encoder.layers(log_mel(corpus.waveforms(73, 74)))
    np.testing.assert_allclose(found["random"][73], one[0], atol=1e-5)
    assert found["logmel_stats"].shape == (len(corpus), 1, 2, tiny.features.n_mels)


@pytest.mark.slow
def test_the_stage_repeats_on_any_threads_and_an_untrained_encoder_equals_its_control(
    tiny: Config, tmp_path: Path
) -> None:
    path, whole = tmp_path / "encoder.safetensors", tmp_path / "model.safetensors"
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, tiny.pretrain.mask_ratio)
    initialise(model, tiny.seed)
    save_encoder(path, model.encoder, tiny.features)
    tensors.write(whole, model.state_dict(), {})
    for name, n_threads in (("a", 1), ("b", 2)):
        few = {"corpora": ["events", "natural", "notes"], "n_threads": n_threads}
        latent.run(tiny.model_copy(update={"latent": tiny.latent.model_copy(update=few)}), path, whole, tmp_path / name)
    for file in latent.OUTPUTS:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    metrics = storage.read_json(tmp_path / "a" / "metrics.json")
    assert list(metrics["decodability"]) == ["natural", "events", "notes"]
    for factors in metrics["decodability"].values():
        for read in factors.values():
            assert {k: v for k, v in read["pretrained"].items() if not k.startswith("rbf")} == {
                k: v for k, v in read["random"].items() if not k.startswith("rbf")
            }
            assert (read["random"]["lead_low"], read["random"]["lead_high"]) == (0, 0)
    for kind in ("orthogonality", "interventions"):
        assert list(metrics[kind]) == ["events", "notes"]  # where the factors are independent
        for pairs in metrics[kind].values():
            assert all(pair["pretrained"] == pair["random"] for pair in pairs.values())
    assert all(scores["pretrained"] == scores["random"] for scores in metrics["disentanglement"].values())
    assert metrics["claims"]["decodable"]["pretrained"]["holds"] == 0
    table = pd.read_csv(tmp_path / "a" / "decodability.csv")
    assert table.groupby("encoder")["layer"].nunique().to_dict() == {"pretrained": 8, "random": 8, "logmel_stats": 1}
    assert re.search(
        r"\| they lie in orthogonal subspaces +\| does not hold", (tmp_path / "a" / "claims.md").read_text()
    )
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted([*latent.OUTPUTS, "run.json"])


def test_the_rule_and_the_stage_name_the_same_files() -> None:
    rule = (ROOT / "workflow" / "rules" / "latent.smk").read_text()
    lists = dict(re.findall(r"(LATENT_\w+) = \[(.*?)\]", rule, re.DOTALL))
    assert tuple(re.findall(r'"(\w+)"', lists["LATENT_TABLES"])) == latent.TABLES
    assert tuple(re.findall(r'"(\w+)"', lists["LATENT_PICTURES"])) == latent.PICTURES
