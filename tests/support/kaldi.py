"""Kaldi's log-mel spectrogram, as torchaudio has it."""

import torchaudio
from torch import Tensor

from audiopg.config import Features


def log_mel(waveform: Tensor, kind: Features) -> Tensor:
    """Normalised spectrogram of one clip, as far as whole windows fit into it, shape (F, M)."""
    spectrogram = torchaudio.compliance.kaldi.fbank(
        waveform[None],
        num_mel_bins=kind.n_mels,
        sample_frequency=kind.sample_rate_hz,
        frame_length=kind.window_ms,
        frame_shift=kind.hop_ms,
        low_freq=kind.f_min_hz,
        high_freq=kind.f_max_hz,
        preemphasis_coefficient=kind.preemphasis,
        window_type="hanning",
        use_energy=False,
        htk_compat=True,
        dither=0.0,
    )
    return (spectrogram - kind.norm_mean) / (2 * kind.norm_std)
