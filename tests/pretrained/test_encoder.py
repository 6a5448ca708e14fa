"""The library: any rate and type, read-outs by hand, precisions, gradients, tracing."""

import math
from typing import Any

import numpy as np
import pytest
import soxr
import torch
from torch import Tensor

from audiopg import storage
from audiopg.config import Config, params
from audiopg.models.readout import Pooling, ReadOut
from audiopg.models.vit import untrained
from audiopg.pretrained import AudioEncoder, weights


def noise(seconds: float, rate_hz: int = 16_000, key: int = 1) -> Tensor:
    draw = np.random.Generator(np.random.Philox(key))
    return torch.from_numpy(draw.uniform(-0.5, 0.5, round(rate_hz * seconds)).astype(np.float32))


def encoder(cfg: Config, readout: ReadOut | None = None) -> AudioEncoder:
    return AudioEncoder(untrained(cfg.encoder, 3).eval(), cfg.features, 1.28, *([readout] if readout else []))


@pytest.fixture
def model(tiny: Config) -> AudioEncoder:
    return encoder(tiny)


def test_three_lines_are_enough() -> None:
    found = AudioEncoder.pretrained().embed(noise(3.3, 44_100).numpy(), sample_rate_hz=44_100)
    assert found.shape == (5 * 8 * 192,)
    assert found.isfinite().all()
    assert found.std() > 0


def test_the_encoder_of_the_package_is_small_and_whole() -> None:
    assert sum(path.stat().st_size for path in weights.SHIPPED.iterdir()) < 12e6
    assert AudioEncoder.pretrained().encoder.embed.weight.dtype == torch.float32


def test_the_encoder_of_the_package_was_made_by_the_parameters_beside_it() -> None:
    """Those that decide what is learnt; how often a run is saved, and what plays the clips, decides nothing."""
    told = storage.read_json(weights.SHIPPED / "run.json")["params"]
    cfg = params.load(weights.SHIPPED / "params.yaml").model_dump(mode="json")
    decides_nothing = {"compute": {"synth_device"}, "pretrain": {"save_every", "save_every_min"}}
    for section, value in told.items():
        found, expected = (
            {key: one[key] for key in one.keys() - decides_nothing.get(section, set())}
            if isinstance(one, dict)
            else one
            for one in (cfg[section], value)
        )
        assert found == expected, section


@pytest.mark.parametrize("layers", [(0,), (3, 7), None])
@pytest.mark.parametrize("pooling", ["mean", "moments", "bands"])
def test_embeddings_by_hand(tiny: Config, layers: tuple[int, ...] | None, pooling: Pooling) -> None:
    """Two windows of 128 frames that overlap by half cover 1.92 s."""
    model = encoder(tiny, ReadOut(layers, pooling))
    sound = noise(1.92)
    spectrogram = model.log_mel(torch.nn.functional.pad(sound[None], (0, 1280)))
    windows = torch.cat([spectrogram[:, :128], spectrogram[:, 64:192]])
    parts = []
    for tokens in model.encoder.bands(windows, layers or (3,)):
        every = tokens.detach().double()  # windows, time, bands, width
        change = every.diff(dim=1).abs().mean((0, 1))
        parts += {
            "mean": [every.mean((0, 1, 2))],
            "moments": [every.mean((0, 1, 2)), every.std((0, 1, 2), correction=0)],
            "bands": [
                every.mean((0, 1)),
                every.std((0, 1), correction=0),
                change,
                every.amax((0, 1)),
                every.amin((0, 1)),
            ],
        }[pooling]
    expected = torch.cat([part.flatten() for part in parts]).float()
    found = model.embed(sound, 16_000)
    assert found.shape == (model.embedding_size,)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "moments", "bands"])
def test_embeddings_over_time_by_hand(tiny: Config, pooling: Pooling) -> None:
    """Every fourth begins with a whole patch: the columns of the one window whose first middle is the sound's begin."""
    model = encoder(tiny, ReadOut((5,), pooling))
    found, times_ms = model.embed_over_time(noise(0.32), 16_000)
    assert found.shape == (8, model.timestamp_embedding_size)
    assert times_ms.tolist() == [40.0 * number for number in range(8)]
    spectrogram = model.log_mel(torch.nn.functional.pad(noise(0.32)[None], (1400, 40_000)))[:, :128]
    (tokens,) = model.encoder.bands(spectrogram, (5,))
    for number in (0, 4):
        column = tokens[0, number // 4].detach()  # bands, width
        expected = {
            "mean": column.mean(0),
            "moments": torch.cat([column.mean(0), column.std(0, correction=0)]),
            "bands": column.flatten(),
        }[pooling]
        torch.testing.assert_close(found[number], expected, rtol=1e-5, atol=1e-5)


def test_rates_are_converted_as_recordings_are(model: AudioEncoder) -> None:
    sound = noise(1.0, 44_100)
    at_rate = soxr.resample(sound.numpy(), 44_100, 16_000, quality="HQ")
    assert torch.equal(model.embed(sound, 44_100), model.embed(at_rate, 16_000))


def test_one_sound_or_several_numbers_of_any_kind(model: AudioEncoder) -> None:
    sound = noise(0.4)
    expected = model.embed(sound, 16_000)
    for same in (sound.numpy(), sound.numpy().astype(np.float64), sound.tolist(), sound.double()):
        assert torch.equal(model.embed(same, 16_000), expected)
    several = model.embed(torch.stack([sound, sound.flip(0)]), 16_000)
    assert several.shape == (2, model.embedding_size)
    assert torch.equal(several[0], expected)
    assert model.embed(torch.empty(0, 100), 16_000).shape == (0, model.embedding_size)
    over_time, _ = model.embed_over_time(torch.empty(0, 100), 16_000)
    assert over_time.shape == (0, 0, model.timestamp_embedding_size)


@pytest.mark.parametrize(
    ("audio", "rate_hz", "reason"),
    [
        (torch.zeros(1, 2, 100), 16_000, "audio: floating-point numbers of shape"),
        (torch.zeros(0), 16_000, "audio: floating-point numbers of shape"),
        (np.zeros(100, np.int16), 16_000, r"found int64 of shape \(100,\)"),
        (torch.tensor([0.0, math.nan]), 16_000, "not finite"),
        (torch.tensor([0.0, -math.inf]), 16_000, "not finite"),
        (torch.tensor([0.0, -32_768.0]), 16_000, "has a peak of 32768 where full scale is 1"),
        ("loud.wav", 16_000, "numbers in rows of one length are needed, found str"),
        (torch.zeros(100), 0, "sample_rate_hz: a number above 0 is needed, found 0"),
        (torch.zeros(100), -16_000, "sample_rate_hz: a number above 0 is needed, found -16000"),
        (torch.zeros(100), math.nan, "sample_rate_hz: a number above 0 is needed, found nan"),
        (torch.zeros(1), 1_000_000, "audio: 1 samples at 1e.06 Hz are none at 16000 Hz: too short"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_one_line(
    model: AudioEncoder, audio: Any, rate_hz: float, reason: str
) -> None:
    for function in (model.embed, model.embed_over_time):
        with pytest.raises(ValueError, match=reason) as caught:
            function(audio, rate_hz)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.08)])
def test_half_precision_is_that_of_the_encoder_and_not_of_the_spectrogram(
    tiny: Config, model: AudioEncoder, dtype: torch.dtype, tolerance: float
) -> None:
    sound = noise(1.28)[None]
    expected = model(sound)
    filters = model.log_mel.filters
    half = encoder(tiny).to(dtype)
    assert torch.equal(half.log_mel.filters, filters)
    assert torch.equal(half.log_mel(sound), model.log_mel(sound))
    tokens = half(sound)
    assert tokens.dtype == dtype
    assert (tokens.float() - expected).square().mean().sqrt() < tolerance * expected.std()
    assert half.embed(sound[0], 16_000).dtype == torch.float32


def test_gradients_reach_the_waveform(model: AudioEncoder) -> None:
    """As finite differences say along the gradient: a step of h raises a sum by h times the gradient's length."""
    weight = noise(16 / 16_000 * 128, key=5).view(1, 16, 128)  # the sum of all tokens alone is that of a norm: constant
    sound = (noise(0.2)[None] * 0.1).requires_grad_()
    (model(sound) * weight).sum().backward()
    assert sound.grad is not None
    length = sound.grad.norm()
    step = 1e-3 * sound.grad / length
    with torch.no_grad():
        ahead, behind = ((model(sound + sign * step) * weight).double().sum() for sign in (1, -1))
    assert ((ahead - behind) / 2e-3).item() == pytest.approx(length.item(), rel=0.05)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_computes_and_does_not_repeat_what_it_saw(model: AudioEncoder) -> None:
    with torch.no_grad():
        traced = torch.jit.trace(model, noise(1.28)[None], check_trace=False)
        for other in (noise(1.28, key=2)[None], torch.stack([noise(1.28, key=3), noise(1.28, key=4)])):
            torch.testing.assert_close(traced(other), model(other), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_an_exported_program_takes_any_number_and_length(model: AudioEncoder) -> None:
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(model, (torch.zeros(2, 33_333),), dynamic_shapes=(sizes,)).module()
    for sound in (noise(1.28)[None], torch.stack([noise(2.0), noise(2.0, key=2), noise(2.0, key=3)])):
        torch.testing.assert_close(program(sound), model(sound), rtol=1e-3, atol=1e-3)
