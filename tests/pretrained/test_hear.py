"""The HEAR interface: its contract, windows by hand, times in closed form, and the same bits in any company."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from support.encoders import checkpoint
from torch import Tensor, nn
from torch.nn import functional

from audiopg import tensors
from audiopg.config import Config
from audiopg.config import Encoder as Section
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.models.checkpoint import save_encoder
from audiopg.models.readout import ReadOut
from audiopg.models.vit import Encoder, untrained
from audiopg.pretrained import hear
from audiopg.pretrained.encoder import AudioEncoder

HEAR_RATES_HZ = (16_000, 22_050, 32_000, 44_100, 48_000)
LAST = ReadOut((7,), "mean")  # all tokens after the last norm: what can be checked by hand
LENGTHS_S = (1 / 16_000, 0.005, 0.02, 0.16, 1.07, 1.28, 1.98, 4.0, 7.013)


def noise(seconds: float, n_sounds: int = 1, key: int = 1) -> Tensor:
    draw = np.random.Generator(np.random.Philox(key))
    return torch.from_numpy(draw.uniform(-1, 1, (n_sounds, round(16_000 * seconds))).astype(np.float32))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), tiny)


@pytest.fixture(scope="module")
def model(weights: Path) -> hear.Model:
    return hear.load_model(str(weights), LAST)


def test_what_the_model_tells_of_itself(model: hear.Model) -> None:
    assert isinstance(model, nn.Module)
    assert model.sample_rate in HEAR_RATES_HZ
    assert type(model.scene_embedding_size) is int
    assert type(model.timestamp_embedding_size) is int


@pytest.mark.parametrize("seconds", LENGTHS_S)
@pytest.mark.parametrize("n_sounds", [1, 3])
def test_scene_embeddings_have_the_promised_shape(model: hear.Model, seconds: float, n_sounds: int) -> None:
    embeddings = hear.get_scene_embeddings(noise(seconds, n_sounds), model)
    assert embeddings.shape == (n_sounds, model.scene_embedding_size)
    assert embeddings.dtype == torch.float32
    assert embeddings.isfinite().all()
    assert not embeddings.requires_grad
    assert len(embeddings.unique(dim=0)) == n_sounds


@pytest.mark.parametrize("seconds", LENGTHS_S)
@pytest.mark.parametrize("n_sounds", [1, 3])
def test_timestamp_embeddings_have_the_promised_shape_and_times(
    model: hear.Model, seconds: float, n_sounds: int
) -> None:
    embeddings, times_ms = hear.get_timestamp_embeddings(noise(seconds, n_sounds), model)
    n = times_ms.shape[1]
    assert embeddings.shape == (n_sounds, n, model.timestamp_embedding_size)
    assert times_ms.shape == (n_sounds, n)
    assert embeddings.dtype == times_ms.dtype == torch.float32
    assert embeddings.isfinite().all()
    assert not embeddings.requires_grad
    assert times_ms.device == embeddings.device
    assert (times_ms == times_ms[0]).all()
    length_ms = 1000 * round(16_000 * seconds) / 16_000
    assert n == math.ceil(length_ms / 40)
    torch.testing.assert_close(times_ms[0], torch.arange(n) * 40.0, rtol=0, atol=0)
    assert 0 <= times_ms.min() <= times_ms.max() < length_ms  # within the sound, and up to its end
    assert times_ms.max() >= length_ms - 50


def test_a_batch_of_no_sounds_is_no_embeddings(model: hear.Model) -> None:
    nothing = torch.empty(0, 16_000)
    assert hear.get_scene_embeddings(nothing, model).shape == (0, model.scene_embedding_size)
    embeddings, times_ms = hear.get_timestamp_embeddings(nothing, model)
    assert embeddings.shape == (0, 0, model.timestamp_embedding_size)
    assert times_ms.shape == (0, 0)


@pytest.mark.parametrize("seconds", [0.3, 1.28, 2.005, 5.0])
def test_a_scene_is_what_evaluation_makes_of_the_whole_spectrogram(model: hear.Model, seconds: float) -> None:
    waveform = noise(seconds)
    spectrogram = model.encoder.log_mel(functional.pad(waveform, (0, max(0, 20_480 - waveform.shape[1]))))[0]
    clips = Clips(spectrogram.numpy(), np.array([0, len(spectrogram)]), 128, model.encoder.log_mel)
    offsets = clips.offsets(0)
    with torch.no_grad():
        expected = (
            model.encoder.encoder.layers(clips.batch([0] * len(offsets), offsets))[:, -1, 0]
            .double()
            .mean(dim=0)
            .float()
        )
    torch.testing.assert_close(hear.get_scene_embeddings(waveform, model)[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.01, 0.2, 1.28])
def test_timestamps_of_a_short_sound_by_hand(model: hear.Model, seconds: float) -> None:
    waveform = noise(seconds)
    embeddings, _ = hear.get_timestamp_embeddings(waveform, model)
    # a patch spans 15 hops and a window of 400 samples: 2800, half of which lie before its middle
    spectrogram = model.encoder.log_mel(functional.pad(waveform, (1400, 40_000)))
    for number, embedding in enumerate(embeddings[0]):
        begin = 4 * (number % 4)
        with torch.no_grad():
            tokens = model.encoder.encoder(spectrogram[:, begin : begin + 128])[0]
        column = number // 4
        expected = tokens[8 * column : 8 * column + 8].mean(dim=0)
        torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-6)


class Loudness(Encoder):
    """Instead of a token, the mean of its patch: an embedding that knows of no other time."""

    def bands(self, spectrogram: Tensor, layers: Sequence[int]) -> Iterator[Tensor]:
        assert list(layers) == [7]
        yield self.patches(spectrogram).mean(dim=-1, keepdim=True).expand(-1, -1, self.size.width).unflatten(1, (-1, 8))


@pytest.mark.parametrize("seconds", [1.0, 3.1, 33.33])
@pytest.mark.parametrize("place", [0.2, 0.5, 0.85])
def test_timestamps_are_centred_on_what_they_describe(tiny: Config, seconds: float, place: float) -> None:
    model = hear.Model(AudioEncoder(Loudness(tiny.encoder), tiny.features, 1.28, LAST))
    waveform = torch.zeros(1, round(seconds * 16_000))
    middle = round(place * seconds * 16_000)
    waveform[:, middle - 160 : middle + 160] = noise(0.02)
    embeddings, times_ms = hear.get_timestamp_embeddings(waveform, model)
    loudness = (embeddings[0, :, 0] - model.encoder.log_mel.silence).double()
    assert (loudness[(times_ms[0] - middle / 16).abs() > 100].abs() < 1e-5).all()
    assert (loudness * times_ms[0]).sum() / loudness.sum() == pytest.approx(middle / 16, abs=6)


@pytest.mark.parametrize(("patch_frames", "hop_ms"), [(4, 40), (7, 10), (8, 40), (12, 40), (16, 40), (32, 40), (3, 30)])
def test_times_are_at_most_50_ms_apart_for_any_patch(tiny: Config, patch_frames: int, hop_ms: float) -> None:
    section = Section(size="micro", patch_frames=patch_frames, patch_mels=16)
    model = hear.Model(AudioEncoder(untrained(section, 1), tiny.features, patch_frames * 0.04))
    _, times_ms = hear.get_timestamp_embeddings(noise(1.0), model)
    assert (times_ms.diff() == hop_ms).all()


def both(audio: Tensor, model: hear.Model) -> Tensor:
    """All that the interface makes of some sounds."""
    timed = hear.get_timestamp_embeddings(audio, model)[0]
    return torch.cat([hear.get_scene_embeddings(audio, model), timed.flatten(1)], dim=1)


@pytest.mark.slow
def test_the_same_sound_has_the_same_embedding_in_any_company_and_on_any_threads(
    model: hear.Model, n_threads: int
) -> None:
    assert n_threads >= 1
    sounds = noise(2.1, 9)
    together = both(sounds, model)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.equal(both(sounds, model), together)
        assert torch.equal(both(sounds.flip(0), model), together.flip(0))
        assert torch.equal(torch.cat([both(sound[None], model) for sound in sounds]), together)
        assert torch.equal(both(sounds[[4] * 33], model), together[[4] * 33])
        assert torch.equal(both(sounds.double(), model), together)
        assert torch.equal(both(sounds.T.contiguous().T, model), together)  # another layout in memory


def test_the_encoder_never_sees_more_than_one_window(model: hear.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = set()
    bands = model.encoder.encoder.bands

    def watched(spectrogram: Tensor, layers: Sequence[int]) -> Iterator[Tensor]:
        shapes.add(tuple(spectrogram.shape))
        return bands(spectrogram, layers)

    monkeypatch.setattr(model.encoder.encoder, "bands", watched)
    for seconds in LENGTHS_S:
        both(noise(seconds, 2), model)
    assert shapes == {(1, 128, 128)}


def test_the_model_knows_nothing_of_global_state(tmp_path: Path, model: hear.Model, tiny: Config) -> None:
    sounds = noise(1.5, 2)
    expected = both(sounds, model)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    path = checkpoint(tmp_path, tiny.model_copy(update={"seed": 7}))
    before = torch.get_rng_state()
    other = hear.load_model(str(path), LAST)
    assert not torch.equal(both(sounds, other), expected)
    assert torch.equal(both(sounds, model), expected)
    assert torch.equal(both(sounds, model.train()), expected)
    assert torch.equal(both(sounds.clone().requires_grad_(), model), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(both(sounds, model), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (torch.zeros(16_000), "shape"),
        (torch.zeros(2, 1, 16_000), "shape"),
        (torch.zeros(2, 0), "shape"),
        (torch.zeros(2, 16_000, dtype=torch.int16), "floating-point"),
        (torch.tensor([[0.0, math.nan]]), "not finite"),
        (torch.tensor([[0.0, math.inf]]), "not finite"),
        (torch.tensor([[0.0, -32_768.0]]), r"has a peak of 32768 where full scale is 1 \(integers as floats\?\)"),
        ([0.0, 0.5], "shape"),
        ([[0.0, 0.5], [0.0]], "numbers in rows of one length are needed, found list"),
        ([["loud"]], "numbers in rows of one length are needed, found list"),
        (None, "numbers in rows of one length are needed, found NoneType"),
        (np.zeros((2, 16_000), dtype=np.int16), "floating-point"),
        (np.array([[0.0, 1e300]]), "not finite"),
    ],
)
def test_what_is_no_batch_of_waveforms_is_refused(model: hear.Model, audio: Any, reason: str) -> None:
    for function in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(ValueError, match=reason) as caught:
            function(audio, model)
        assert "\n" not in str(caught.value)


def test_arrays_and_lists_are_heard_as_the_tensor_that_they_make(model: hear.Model) -> None:
    sounds = noise(0.3, 2)
    expected = both(sounds, model)
    array = sounds.numpy()
    read_only = array.copy()
    read_only.flags.writeable = False
    for same in (
        array,
        array.astype(np.float64),
        array.astype(">f4"),
        np.asfortranarray(array),
        array[::-1][::-1],
        read_only,
        sounds.tolist(),
        list(array),
        list(sounds),
    ):
        assert torch.equal(both(same, model), expected)


def test_no_path_means_the_encoder_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = hear.get_scene_embeddings(noise(0.5), hear.load_model())
    assert torch.equal(found[0], AudioEncoder.pretrained().embed(noise(0.5)[0], 16_000))


def refused(path: Path) -> str:
    with pytest.raises(AudiopgError) as caught:
        hear.load_model(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_that_is_none_is_refused_in_one_line(tmp_path: Path, tiny: Config) -> None:
    assert "no such checkpoint" in refused(tmp_path / "no.safetensors")
    path = checkpoint(tmp_path, tiny)
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged checkpoint" in refused(path)
    for header in ({}, {"encoder": "{}", "features": tiny.features.model_dump_json()}):
        tensors.write(path, {"weight": torch.zeros(1)}, header)
        assert "not the weights of an encoder" in refused(path)


def test_what_is_somebodys_own_file_is_called_what_it_is(tmp_path: Path, tiny: Config) -> None:
    """And nobody is told to delete it."""
    ours = "not the weights of an audiopg encoder; `audiopg pretrain` writes those as encoder.safetensors"
    recording, foreign, folder = tmp_path / "x.wav", tmp_path / "vit.pth", tmp_path / "mine"
    soundfile.write(recording, np.zeros(100), 16_000)
    torch.save({"weight": torch.zeros(1)}, foreign)
    folder.mkdir()
    assert refused(recording) == f"{recording}: is a WAV recording, {ours}"
    assert refused(foreign) == f"{foreign}: is a PyTorch checkpoint (.pth, .pt) or another ZIP archive, {ours}"
    assert refused(folder) == f"{folder}/config.json: no such file; `audiopg export` writes such a folder"
    path = checkpoint(folder, tiny)
    assert refused(folder) == f"{folder}: is the folder of a checkpoint, not of an export; name {path}"


def test_a_checkpoint_without_its_own_run_card_is_refused_in_one_line(tmp_path: Path, tiny: Config) -> None:
    path = checkpoint(tmp_path, tiny)
    card = path.with_name("run.json")
    whole = json.loads(card.read_text())
    for clip_s in (None, 0, -1.28, 1.27, "long"):
        params = {**whole["params"], "synth": {**whole["params"]["synth"], "clip_s": clip_s}}
        card.write_text(json.dumps({**whole, "params": params}))
        assert "not the run card of encoder.safetensors" in refused(path)
    card.write_text(json.dumps({**whole, "outputs": None}))
    assert "not the run card of encoder.safetensors" in refused(path)
    card.write_text(json.dumps(whole))
    assert hear.load_model(str(path)).encoder.window == 128
    save_encoder(path, untrained(tiny.encoder, 8), tiny.features)
    assert "not the run card of encoder.safetensors" in refused(path)
    card.unlink()
    assert "no run card next to encoder.safetensors" in refused(path)
