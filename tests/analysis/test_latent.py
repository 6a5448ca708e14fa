"""The probe corpus and the stage on a random encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from audiopg import storage
from audiopg.analysis import latent
from audiopg.analysis.activations import ProbeCorpus, two_event_score
from audiopg.config import Colour, Config, NoiseFloor, Range
from audiopg.data.synthetic import PROBE_START
from audiopg.errors import AudiopgError
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained
from audiopg.synth.world import World

CPU = torch.device("cpu")


def test_two_events_at_the_drawn_levels(tiny: Config) -> None:
    """The ratio of the two halves' levels, heard in the waveform, is what the score says."""
    silence = NoiseFloor(amplitude=Range(min=0, max=0), colour=Colour(choices=[0]))
    synth = tiny.synth.model_copy(update={"noise_floor": silence})
    world = World(synth, 3)
    score = two_event_score(world.score(range(40)), Range(min=-24, max=0), synth.clip_s, 3)
    silent = np.full(40, np.nan)
    quiet = replace(
        score,
        transient_onset_s=silent,
        transient_duration_s=silent,
        transient_gain=silent,
        cutoff_hz=np.full(40, np.inf),
    )
    halves = world.render(quiet).double().view(40, 2, -1).square().mean(dim=2).numpy()
    loud_is_first = score.voices[0].event_onset_s[:, 0] == 0
    ratio = np.where(loud_is_first, halves[:, 1] / halves[:, 0], halves[:, 0] / halves[:, 1])
    # both events play the same stretch of the source, so that only the level differs
    np.testing.assert_allclose(10 * np.log10(ratio), score.voices[0].event_level_db[:, 1], atol=0.01)
    assert 8 < loud_is_first.sum() < 32


def test_the_probe_corpus_is_disjoint_and_repeats(tiny: Config) -> None:
    corpus = ProbeCorpus(tiny, CPU)
    assert corpus.score.index.min() >= PROBE_START > tiny.pretrain.n_steps * tiny.pretrain.batch_size
    first = torch.cat(list(corpus.spectrograms()))
    assert first.shape == (tiny.latent.n_clips, 128, 128)
    assert torch.equal(first, torch.cat(list(ProbeCorpus(tiny, CPU).spectrograms())))
    factors = corpus.factors()
    assert -24 <= factors["event_level_db"].min() < factors["event_level_db"].max() <= 0
    assert abs(np.corrcoef(*factors.values())[0, 1]) < 0.3


def test_a_factor_that_does_not_vary_is_an_error(tiny: Config) -> None:
    features = {"x": np.ones((100, 1, 4))}
    with pytest.raises(AudiopgError, match="latent: f0_octaves is the same in all clips"):
        latent.decodability(features, {"f0_octaves": np.ones(100)}, tiny.latent.ridge_alphas)


@pytest.mark.slow
def test_the_stage_repeats_and_an_untrained_encoder_equals_its_control(tiny: Config, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, untrained(tiny.encoder, tiny.seed), tiny.features)
    for name in ("a", "b"):
        latent.run(tiny, path, tmp_path / name)
    for file in ("metrics.json", "r2_per_layer.csv", "r2_per_layer.png", "embedding.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    metrics = storage.read_json(tmp_path / "a" / "metrics.json")
    for r2 in metrics["r2"].values():
        assert r2["pretrained"] == r2["random"]
    table = pd.read_csv(tmp_path / "a" / "r2_per_layer.csv")
    assert table.groupby("encoder")["layer"].nunique().to_dict() == {"pretrained": 8, "random": 8, "logmel_stats": 1}
