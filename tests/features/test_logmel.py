"""Log-mel against Kaldi's, as torchaudio has it, and against closed forms."""

import numpy as np
import pytest
import torch
from support import kaldi
from torch import Tensor

from audiopg.config import Config
from audiopg.features.logmel import LogMel, mel

RATE_HZ = 16000


def seconds(n_samples: int = 20480) -> Tensor:
    return torch.arange(n_samples, dtype=torch.float64) / RATE_HZ


def speech_like() -> Tensor:
    """Gliding harmonics under a syllabic envelope, with breath noise and pauses of digital silence."""
    t = seconds()
    phase = 2 * torch.pi * (120 * t + 20 * torch.sin(2 * torch.pi * 1.5 * t))
    voice = sum(torch.sin(k * phase) / k for k in range(1, 20))
    envelope = torch.sin(2 * torch.pi * 4 * t).clamp_min(0)
    breath = 0.01 * torch.randn(len(t), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (0.2 * envelope * (voice + breath)).float()


SIGNALS = {
    "speech-like": speech_like(),
    "silent": torch.zeros(20480),
    "full-scale square": torch.sign(torch.sin(2 * torch.pi * 100 * seconds())).float(),
    "full-scale sine": torch.sin(2 * torch.pi * 440 * seconds()).float(),
    "constant": torch.ones(20480),
    "not a multiple of the hop": speech_like()[:12345],
}


@pytest.mark.parametrize("name", SIGNALS)
def test_equals_kaldi(name: str, quick: Config) -> None:
    waveform = SIGNALS[name]
    expected = kaldi.log_mel(waveform, quick.features)
    found = LogMel(quick.features)(waveform[None])[0]
    assert found.shape[0] == -(-len(waveform) // 160)
    # Kaldi stops where a whole window no longer fits; we go on into silence
    torch.testing.assert_close(found[: len(expected)], expected, atol=1e-3, rtol=0)


def test_a_clip_of_n_hops_has_n_frames(quick: Config) -> None:
    log_mel = LogMel(quick.features)
    for clip_s in (0.16, 0.64, 1.28):
        waveform = torch.zeros(2, round(clip_s * RATE_HZ))
        assert log_mel(waveform).shape == (2, quick.features.n_frames(clip_s), quick.features.n_mels)


@pytest.mark.parametrize("f_hz", [200.0, 1000.0, 3000.0, 7000.0])
def test_a_tone_peaks_in_the_computed_bin(f_hz: float, quick: Config) -> None:
    waveform = torch.sin(2 * torch.pi * f_hz * seconds()).float()
    spectrogram = LogMel(quick.features)(waveform[None])[0]
    low, high = mel(np.array([quick.features.f_min_hz, quick.features.f_max_hz]))
    centres = np.linspace(low, high, quick.features.n_mels + 2)[1:-1]
    nearest = np.abs(centres - mel(np.array([f_hz]))).argmin()
    assert abs(int(spectrogram[60].argmax()) - nearest) <= 1


def test_silence_has_its_value(quick: Config) -> None:
    log_mel = LogMel(quick.features)
    spectrogram = log_mel(torch.zeros(1, 16000))
    assert spectrogram.unique().tolist() == pytest.approx([log_mel.silence], abs=1e-5)
    assert log_mel.silence == pytest.approx(-1.281, abs=1e-3)


def test_exactly_one_filter_is_empty(quick: Config) -> None:
    empty = (LogMel(quick.features).filters.sum(dim=0) == 0).nonzero().flatten()
    assert empty.tolist() == [3]


def test_a_clip_does_not_depend_on_its_batch(quick: Config) -> None:
    log_mel = LogMel(quick.features)
    waveforms = torch.stack([SIGNALS["speech-like"], SIGNALS["full-scale square"], SIGNALS["silent"]])
    torch.testing.assert_close(log_mel(waveforms)[1], log_mel(waveforms[1:2])[0], atol=1e-5, rtol=0)


@pytest.mark.gpu
def test_the_gpu_agrees(quick: Config) -> None:
    waveform = SIGNALS["speech-like"][None]
    on_gpu = LogMel(quick.features).cuda()(waveform.cuda()).cpu()
    torch.testing.assert_close(on_gpu, LogMel(quick.features)(waveform), atol=1e-3, rtol=0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_adding_spectrograms_is_adding_sounds(quick: Config, share: float) -> None:
    """Of two independent noises the mean power of the sum is the sum of the mean powers, in every mel bin."""
    log_mel = LogMel(quick.features)
    first, second = torch.randn(2, 1, 160_000, generator=torch.Generator().manual_seed(0)) / 10
    second = 3 * second
    scale, mean = 2 * quick.features.norm_std, quick.features.norm_mean

    def power(spectrogram: torch.Tensor) -> torch.Tensor:
        return (spectrogram[0] * scale + mean).exp().mean(dim=0)[10:]

    heard = power(log_mel((1 - share) * first + share * second))
    added = power(log_mel.add(log_mel(first), log_mel(second), share))
    torch.testing.assert_close(added, heard, rtol=0.12, atol=0)
    assert (added / heard).mean() == pytest.approx(1, abs=0.01)


def test_adding_silence_or_nothing_changes_the_level_only(quick: Config) -> None:
    log_mel = LogMel(quick.features)
    sound = log_mel(torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)))
    silence = torch.full_like(sound, log_mel.silence)
    torch.testing.assert_close(log_mel.add(sound, silence, 0.0), sound)
    torch.testing.assert_close(log_mel.add(silence, silence, 0.3), silence)
    # not the last frames, where padding lowers the sound to the floor
    quieter = sound + 2 * np.log(0.25) / (2 * quick.features.norm_std)
    torch.testing.assert_close(log_mel.add(sound, silence, 0.75)[:, :-3, 10:], quieter[:, :-3, 10:], atol=1e-3, rtol=0)
