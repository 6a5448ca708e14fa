"""Log-mel spectrogram, Kaldi's definition, batched and on any device."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiopg.arrays import Float64
from audiopg.features import logmel_compiled
from audiopg.jit import spread

if TYPE_CHECKING:
    from audiopg import config

FLOOR = torch.finfo(torch.float32).eps


def is_traced() -> bool:
    """Return whether torch records operators, for a graph: then no value can be looked at, and only its own count."""
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return traced or torch.compiler.is_compiling()


def mel(f_hz: Float64) -> Float64:
    """Convert Hz to mel, ``1127 ln(1 + f / 700)``.

    >>> mel(np.array([0.0, 1000.0])).round(1)
    array([   0., 1000.])
    """
    scaled: Float64 = np.log1p(f_hz / 700.0)
    return 1127.0 * scaled


def mel_filters(n_mels: int, n_fft: int, sample_rate_hz: int, f_min_hz: float, f_max_hz: float) -> Float64:
    """Triangular filters, equally spaced and linear in mel.

    At 16 kHz with 512 points and 128 bins one filter (index 3) lies between two FFT lines and stays empty: its bin is
    constant. It is kept, so that a spectrogram equals Kaldi's.

    Returns:
        Weights in [0, 1], shape (M, n_fft / 2 + 1), float64.
    Source: Kaldi, ``mel-computations.cc``; the line at the Nyquist frequency has weight 0 there, and here.
    """
    lowest, highest = mel(np.array([f_min_hz, f_max_hz])).tolist()
    edges = np.linspace(lowest, highest, n_mels + 2)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    lines = mel(np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft)[None, :]
    triangles: Float64 = np.maximum(0.0, np.minimum((lines - low) / (centre - low), (high - lines) / (high - centre)))
    triangles[:, -1] = 0.0
    return triangles


class LogMel(nn.Module):
    """Waveform to normalised log-mel spectrogram.

    Per frame: DC removed, pre-emphasis, symmetric Hann window, zero-padded FFT, power, triangular mel filters, natural
    logarithm with float32's epsilon as the floor; then ``(x - mean) / (2 std)``. No dither.

    Differs from the paper: the waveform is padded with zeros at its end so that a clip of n hops has n frames; the
    release pads the *normalised* spectrogram with 0 instead, which is far above silence.
    Source: Kaldi's fbank, as in ``torchaudio.compliance.kaldi``.

    >>> from audiopg.config.profile import load
    >>> log_mel = LogMel(load("quick").features)
    >>> log_mel(torch.zeros(2, 16000)).shape  # two clips of a second: (B, F, M)
    torch.Size([2, 100, 128])
    """

    filters: Tensor
    window: Tensor

    def __init__(self, features: "config.Features") -> None:
        """Take the sizes from the ``features`` section."""
        super().__init__()
        self.features = features
        self.window_length = round(features.window_ms * features.sample_rate_hz / 1000)
        self.hop = round(features.hop_ms * features.sample_rate_hz / 1000)
        filters = mel_filters(
            features.n_mels, features.n_fft, features.sample_rate_hz, features.f_min_hz, features.f_max_hz
        )
        self.register_buffer("filters", torch.from_numpy(filters.T).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.window_length, periodic=False), persistent=False)
        self.plan = logmel_compiled.plan(
            self.window.numpy(),
            self.hop,
            features.preemphasis,
            filters,
            FLOOR,
            features.norm_mean,
            1 / (2 * features.norm_std),
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the spectrogram.

        Args:
            waveform: shape (B, T), float32, full scale is 1.

        Returns:
            Shape (B, F, M), float32, with F = ceil(T / hop); silence is about -1.28. On a CPU the same for every
            batch and number of threads. A waveform that takes gradients, tracing and export get torch's operators,
            which agree within 2e-3.
        """
        numbers_only = waveform.device.type == "cpu" and not (waveform.requires_grad or is_traced())
        return self._compiled(waveform) if numbers_only else self.batched(waveform)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the module; whatever the type of the weights, spectrograms are computed in float32."""
        constants = self.filters, self.window
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.filters.dtype != torch.float32:
            self.filters, self.window = (constant.to(self.filters.device) for constant in constants)
        return self

    def _compiled(self, waveform: Tensor) -> Tensor:
        """Compute the spectrogram in compiled code, which is several times as fast on a CPU."""
        n_clips, n_samples = waveform.shape
        out = np.empty((n_clips, -(-n_samples // self.hop), self.features.n_mels), dtype=np.float32)
        samples = waveform.contiguous().numpy()
        spread(
            lambda first, last: logmel_compiled.log_mel(samples[first:last], self.plan, out[first:last]),
            n_clips,
            torch.get_num_threads(),
        )
        return torch.from_numpy(out)

    def batched(self, waveform: Tensor) -> Tensor:
        """Compute the spectrogram with torch's operators, on any device."""
        # not -(-n // hop): ONNX rounds the quotient of negative numbers up, and Python down
        n_frames = (waveform.shape[-1] + self.hop - 1) // self.hop
        padding = (n_frames - 1) * self.hop + self.window_length - waveform.shape[-1]
        frames = functional.pad(waveform, (0, max(padding, 0))).unfold(-1, self.window_length, self.hop)
        frames = frames[:, :n_frames]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        # the first sample of a frame has no predecessor; Kaldi takes the sample itself for it
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        frames = (frames - self.features.preemphasis * previous) * self.window
        power = torch.view_as_real(torch.fft.rfft(frames, n=self.features.n_fft)).square().sum(dim=-1)
        log_mel = (power @ self.filters).clamp_min(FLOOR).log()
        normalised: Tensor = (log_mel - self.features.norm_mean) / (2 * self.features.norm_std)
        return normalised

    def add(self, first: Tensor, second: Tensor, share: float) -> Tensor:
        """Return the spectrogram of (1 - share) of one sound and share of another, heard together.

        Powers add, which is exact in the mean over all phase relations of two sounds.

        Args:
            first: spectrogram, shape (B, F, M).
            second: spectrogram, shape (B, F, M).
            share: amplitude of the second sound, in [0, 1].
        """
        scale = 2 * self.features.norm_std
        gains = torch.tensor([1 - share, share], dtype=torch.float64).square().log().tolist()
        return (torch.logaddexp(first * scale + gains[0], second * scale + gains[1]) / scale).clamp_min(self.silence)

    @property
    def silence(self) -> float:
        """Value of every bin of a digitally silent frame."""
        return (math.log(FLOOR) - self.features.norm_mean) / (2 * self.features.norm_std)
