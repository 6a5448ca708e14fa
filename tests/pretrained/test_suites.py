"""The adapters keep the contracts of their suites: in closed form, and by the suites' packages where installed."""

import importlib
import json
import logging
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import suites
import torch
from support.encoders import checkpoint
from torch import Tensor, nn

from audiopg.config import Config
from audiopg.models.readout import ReadOut
from audiopg.pretrained import AudioEncoder
from audiopg.pretrained.suites import evar, s3prl, xares

RATE_HZ, HOP = 16_000, 640
LENGTHS = (1, 640, 641, 9_000, 50_000)
WHOLE = "needs {} beside audiopg (docs/suites.md says how)"


def noise(n_samples: int, n_sounds: int = 2) -> Tensor:
    draw = np.random.Generator(np.random.Philox(5))
    return torch.from_numpy(draw.uniform(-1, 1, (n_sounds, n_samples)).astype(np.float32))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), tiny)


@pytest.fixture(scope="module")
def encoder(weights: Path) -> AudioEncoder:
    return AudioEncoder.from_pretrained(weights)


def times(n_samples: int) -> int:
    return -(-n_samples // HOP)


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_frames_for_xares(encoder: AudioEncoder, n_samples: int) -> None:
    adapter, sounds = xares.AudiopgEncoder(encoder), noise(n_samples)
    assert (adapter.sampling_rate, adapter.hop_size_in_ms) == (RATE_HZ, 1000 * HOP / RATE_HZ)
    frames = adapter(sounds)
    assert frames.shape == (2, times(n_samples), adapter.output_dim)
    assert torch.equal(frames, encoder.embed_over_time(sounds, RATE_HZ)[0])
    assert not frames.requires_grad


@pytest.mark.parametrize("n_samples", LENGTHS)
def test_one_vector_and_frames_for_evar(weights: Path, encoder: AudioEncoder, n_samples: int) -> None:
    adapter, sounds = evar.AR_AudioPG({"sample_rate": RATE_HZ, "weight_file": str(weights)}), noise(n_samples)
    adapter.precompute("cpu", [])
    vectors, frames = nn.DataParallel(adapter)(sounds), adapter.encode_frames(sounds)  # EVAR calls it through that
    assert torch.equal(vectors, encoder.embed(sounds, RATE_HZ))
    assert frames.shape == (2, encoder.timestamp_embedding_size, times(n_samples))
    assert torch.equal(frames.transpose(1, 2), encoder.embed_over_time(sounds, RATE_HZ)[0])
    assert not vectors.requires_grad


def test_evar_takes_the_encoder_of_the_package_and_no_other_rate() -> None:
    for weight_file in ({}, {"weight_file": ""}, {"weight_file": None}):
        adapter = evar.AR_AudioPG({"sample_rate": RATE_HZ, **weight_file})
        assert adapter(noise(800)).shape == (2, AudioEncoder.pretrained().embedding_size)
    with pytest.raises(ValueError, match="sample_rate: the encoder takes 16000 Hz, found 32000"):
        evar.AR_AudioPG({"sample_rate": 32_000})


def test_a_hidden_state_for_each_block(weights: Path) -> None:
    upstream, sounds = s3prl.upstream(str(weights), refresh=False), [noise(n, 1)[0] for n in LENGTHS]
    states = upstream(sounds)["hidden_states"]
    assert len(states) == 6
    assert upstream.get_downsample_rates("hidden_states") == HOP
    for block, state in enumerate(states, start=1):
        alone = AudioEncoder.from_pretrained(weights, ReadOut((block,)))
        assert state.shape == (len(sounds), times(LENGTHS[-1]), alone.timestamp_embedding_size)
        for sound, found in zip(sounds, state, strict=True):
            expected = alone.embed_over_time(sound, RATE_HZ)[0]
            assert torch.equal(found[: len(expected)], expected)  # whatever else is in the batch
            assert not found[len(expected) :].any()


def test_s3prl_takes_the_encoder_of_the_package() -> None:
    for ckpt in (None, ""):
        upstream = s3prl.upstream(ckpt)
        assert len(upstream([noise(800, 1)[0]])["hidden_states"]) == upstream.encoder.encoder.size.depth == 12


@pytest.mark.filterwarnings("ignore")  # of the packages behind it
def test_xares_accepts_the_encoder() -> None:
    checker = pytest.importorskip("xares.audio_encoder_checker", reason="needs xares (extra `suites`)")
    found = importlib.import_module("xares.utils").attr_from_py_path(xares.__name__, endswith="Encoder")
    assert found is xares.AudiopgEncoder
    assert checker.check_audio_encoder(found())


@pytest.fixture
def unchanged(n_threads: int) -> Iterator[None]:
    """X-ARES seeds torch and NumPy, sets the threads, catches warnings; all is as before after the test."""
    state: Any = np.random.get_state()  # noqa: NPY002  (X-ARES seeds it)
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(state)  # noqa: NPY002
    logging.captureWarnings(capture=False)
    assert n_threads


@pytest.mark.slow
@pytest.mark.usefixtures("unchanged")
@pytest.mark.filterwarnings("ignore")  # of the packages behind it
def test_xares_tells_tones_from_noise(encoder: AudioEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xares.task", reason="needs xares (extra `suites`)")
    monkeypatch.setattr("torchaudio.load", suites.load)
    files = [tmp_path / f"{number}.ogg" for number in range(24)]
    classes, folds = np.arange(24) % 2, np.arange(24) // 12 + 1
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for number, file in enumerate(files):
        tone = 0.3 * np.sin(2 * np.pi * (300 + 20 * number) * time_s)
        soundfile.write(file, tone if classes[number] else 0.3 * noise(RATE_HZ, 24)[number].numpy(), RATE_HZ)
    found = suites.xares(encoder, files, classes, folds, tmp_path / "xares")
    assert found == {"X-ARES, linear": 1.0, "X-ARES, 10 neighbours": 1.0}
    with tarfile.open(tmp_path / "xares" / "esc10" / "wds-audio-fold-2-000000.tar") as tar:
        labels = {Path(each.name).stem: json.load(tar.extractfile(each) or each) for each in tar if "json" in each.name}
    assert labels == {str(number): {"label": number % 2} for number in range(12, 24)}


@pytest.mark.filterwarnings("ignore")  # of the packages behind it
def test_s3prl_weighs_the_states(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3prl", reason=WHOLE.format("s3prl"))
    # the present torchaudio has neither; S3PRL asks for them when it is imported, and not for this
    effects: Any = ModuleType("torchaudio.sox_effects")
    effects.apply_effects_tensor = effects.apply_effects_file = None
    monkeypatch.setitem(sys.modules, "torchaudio.sox_effects", effects)
    monkeypatch.setattr("torchaudio.set_audio_backend", lambda _: None, raising=False)
    hub = importlib.import_module("s3prl.hub")
    nn_of_s3prl = importlib.import_module("s3prl.nn")
    monkeypatch.setattr(hub, "audiopg", s3prl.upstream, raising=False)
    model = nn_of_s3prl.S3PRLUpstream("audiopg", path_or_url=str(weights)).eval()
    assert (model.num_layers, set(model.downsample_rates)) == (6, {HOP})
    sounds, lengths = noise(50_000), torch.tensor([9_000, 50_000])
    with torch.no_grad():
        states, n_frames = model(sounds, lengths)
        weighed, _ = nn_of_s3prl.Featurizer(model)(states, n_frames)
    assert n_frames[0].tolist() == [times(9_000), times(50_000)]
    torch.testing.assert_close(weighed, torch.stack(states).mean(dim=0))  # equal weights, before training
    own = s3prl.upstream(str(weights))([sounds[0, :9_000], sounds[1]])["hidden_states"]
    assert all(torch.equal(state, expected) for state, expected in zip(states, own, strict=True))


@pytest.mark.filterwarnings("ignore")  # of the packages behind it
def test_hear_validates_the_module(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hearvalidator", reason=WHOLE.format("hearvalidator"))
    tensorflow: Any = ModuleType("tensorflow")  # it is only asked whether the model is one of its modules
    tensorflow.Module = tensorflow.Tensor = type("Module", (), {})
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    validate = importlib.import_module("hearvalidator.validate")
    validate.ValidateModel("audiopg.hear", str(weights), device="cpu")()
    assert "Interval between timestamps is 40.0ms" in capsys.readouterr().out
