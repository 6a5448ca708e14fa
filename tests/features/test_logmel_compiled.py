"""The compiled log-mel spectrogram against torchaudio's, against torch's operators and in its parts."""

from typing import Any

import numpy as np
import pytest
import torch
from support import kaldi
from torch import Tensor

from audiopg.config import Features
from audiopg.features import logmel_compiled
from audiopg.features.logmel import FLOOR, LogMel, mel_filters

# every length of the FFT, windows that are and are not whole hops, more and fewer hops than samples of a window
KINDS: dict[str, dict[str, Any]] = {
    "16 kHz, 512": {},
    "16 kHz, 1024": {"window_ms": 50.0, "n_fft": 1024, "hop_ms": 12.5},
    "16 kHz, 2048": {"window_ms": 128.0, "n_fft": 2048, "n_mels": 80},
    "32 kHz, 1024": {"sample_rate_hz": 32_000, "n_fft": 1024, "f_max_hz": 14_000.0, "n_mels": 64},
    "44.1 kHz, 2048": {"sample_rate_hz": 44_100, "n_fft": 2048, "f_max_hz": 20_000.0, "window_ms": 40.0},
    "48 kHz, 2048": {"sample_rate_hz": 48_000, "n_fft": 2048, "f_max_hz": 24_000.0, "f_min_hz": 50.0},
    "whole hops": {"window_ms": 30.0},
    "a window of a hop": {"window_ms": 10.0},
    "a window below a hop": {"window_ms": 8.0},
    "the whole FFT": {"window_ms": 32.0, "hop_ms": 8.0},
    "no pre-emphasis": {"preemphasis": 0.0},
    "few bins": {"n_mels": 10},
}


def features(kind: str) -> Features:
    base = {
        "sample_rate_hz": 16_000,
        "n_mels": 128,
        "window_ms": 25.0,
        "hop_ms": 10.0,
        "n_fft": 512,
        "f_min_hz": 20.0,
        "f_max_hz": 8000.0,
        "preemphasis": 0.97,
        "norm_mean": -4.26,
        "norm_std": 4.56,
    }
    return Features.model_validate(base | KINDS[kind])


def sounds(n_clips: int, n_samples: int, seed: int = 0) -> Tensor:
    """Noise that swells, hums and is silent."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n_clips, n_samples, generator=generator)
    swell = torch.linspace(-8, 0, n_samples).exp() * torch.linspace(0.1, 1, max(n_clips, 1))[:n_clips, None]
    hum = 0.3 * torch.sin(torch.arange(n_samples) * 0.11)
    out = noise * swell + hum
    out[:, n_samples // 3 : n_samples // 2] = 0
    return out


@pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_torchaudios(kind: str) -> None:
    """Within 1e-3 of the normalised unit, the promise; measured: 3e-4."""
    log_mel = LogMel(features(kind))
    rounded = 2 ** int(np.ceil(np.log2(log_mel.window_length)))
    if rounded != log_mel.features.n_fft:
        pytest.skip("torchaudio's FFT is the next power of two")
    waveform = sounds(1, 3 * log_mel.features.sample_rate_hz // 4 + 77)
    expected, found = kaldi.log_mel(waveform[0], log_mel.features), log_mel(waveform)[0]
    torch.testing.assert_close(found[: len(expected)], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_torchs_operators(kind: str) -> None:
    log_mel = LogMel(features(kind))
    rate = log_mel.features.sample_rate_hz
    for n_samples in (rate // 2, rate // 2 + 1, rate // 3 + 77):
        waveform = sounds(3, n_samples)
        torch.testing.assert_close(log_mel(waveform), log_mel.batched(waveform), atol=1e-3, rtol=0)


@pytest.mark.parametrize("n_samples", [1, 2, 79, 80, 159, 160, 161, 320, 399, 400, 401, 5119, 5120, 5121, 10_241])
def test_clips_of_every_length_go_on_in_silence(n_samples: int) -> None:
    """Shorter than a hop or a window, and around the frames that are computed at once."""
    log_mel = LogMel(features("16 kHz, 512"))
    waveform = sounds(2, n_samples)
    found = log_mel(waveform)
    assert found.shape == (2, -(-n_samples // 160), 128)
    torch.testing.assert_close(found, log_mel.batched(waveform), atol=1e-3, rtol=0)
    longer = torch.nn.functional.pad(waveform, (0, 3200))
    assert torch.equal(log_mel(longer)[:, : found.shape[1]], found)


@pytest.mark.usefixtures("n_threads")
def test_a_clip_is_the_same_in_every_batch_and_for_every_number_of_threads() -> None:
    log_mel, waveforms = LogMel(features("16 kHz, 512")), sounds(37, 7777)
    together = log_mel(waveforms)
    order = np.random.default_rng(0).permutation(37).tolist()
    assert torch.equal(log_mel(waveforms[order]), together[order])
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        assert torch.equal(log_mel(waveforms), together)
        assert torch.equal(log_mel(waveforms[11:12])[0], together[11])


def test_waveforms_that_lie_otherwise_in_memory_are_read_as_well() -> None:
    log_mel, waveforms = LogMel(features("16 kHz, 512")), sounds(4, 8000)
    assert torch.equal(log_mel(waveforms.T.contiguous().T), log_mel(waveforms))
    assert torch.equal(log_mel(waveforms[:, ::2]), log_mel(waveforms[:, ::2].contiguous()))
    assert log_mel(waveforms[:0]).shape == (0, 50, 128)


@pytest.mark.parametrize("level", [0.0, 1e-20, 1e-9, 1.0, 1e4])
def test_levels_from_silence_to_far_beyond_full_scale_are_right(level: float) -> None:
    log_mel = LogMel(features("16 kHz, 512"))
    waveform = level * sounds(1, 4000)
    found = log_mel(waveform)
    assert found.isfinite().all()
    torch.testing.assert_close(found, log_mel.batched(waveform), atol=1e-3, rtol=0)
    if level < 1e-10:
        torch.testing.assert_close(found, torch.full_like(found, log_mel.silence), atol=1e-6, rtol=0)


def test_an_offset_is_not_heard() -> None:
    """The mean of each frame is taken off; only the last frames, where the clip ends, have a step."""
    log_mel = LogMel(features("16 kHz, 512"))
    waveform = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    bare, lifted = (log_mel(x)[:, :97] for x in (waveform, waveform + 0.25))
    torch.testing.assert_close(lifted, bare, atol=2e-3, rtol=0)


@pytest.mark.parametrize("n", [2, 4, 8, 16, 32, 256, 512, 1024])
def test_frequencies_say_where_the_transform_leaves_them(n: int) -> None:
    found = logmel_compiled.frequencies(n)
    assert sorted(found.tolist()) == list(range(n))
    if n >= 256:
        rng = np.random.default_rng(n)
        numbers = rng.standard_normal((n, logmel_compiled.LANES)) + 1j * rng.standard_normal((n, logmel_compiled.LANES))
        rows = np.concatenate([numbers.real, numbers.imag], axis=1).astype(np.float32).ravel()
        turns = np.exp(-2j * np.pi * np.arange(n) / n).astype(np.complex64)
        logmel_compiled._transform(rows, turns)
        table = rows.reshape(n, 2, logmel_compiled.LANES)
        expected = np.fft.fft(numbers, axis=0)[found]
        np.testing.assert_allclose(table[:, 0] + 1j * table[:, 1], expected, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_the_filters_written_otherwise(kind: str) -> None:
    f = features(kind)
    filters = mel_filters(f.n_mels, f.n_fft, f.sample_rate_hz, f.f_min_hz, f.f_max_hz)
    lower, rising, falling = logmel_compiled.neighbours(filters)
    rebuilt = np.zeros((f.n_mels + 2, filters.shape[1]))
    lines = np.arange(filters.shape[1])
    np.add.at(rebuilt, (lower + 1, lines), falling)
    np.add.at(rebuilt, (lower + 2, lines), rising)
    np.testing.assert_allclose(rebuilt[1:-1], filters, atol=1e-7)


def test_the_logarithm_is_right_to_the_last_digits() -> None:
    x = np.concatenate([np.geomspace(1e-30, 1e30, 5000), 1 + np.linspace(-0.3, 0.45, 2000)]).astype(np.float32)
    found = np.array([logmel_compiled._logarithm(value) for value in x])
    exact = np.log(x.astype(np.float64))
    np.testing.assert_allclose(found, exact, atol=1e-6, rtol=2e-7)


def test_the_floor_is_that_of_torchaudio() -> None:
    assert float(np.float32(2**-23)) == FLOOR


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_agrees(kind: str) -> None:
    log_mel, waveform = LogMel(features(kind)), sounds(3, 20_000)
    torch.testing.assert_close(log_mel.cuda()(waveform.cuda()).cpu(), log_mel.cpu()(waveform), atol=1e-3, rtol=0)
