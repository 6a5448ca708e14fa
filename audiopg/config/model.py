"""The sections ``features`` and ``encoder``, and the shapes of transformers."""

from dataclasses import dataclass
from typing import Literal

from pydantic import field_validator, model_validator

from audiopg.config.base import Count, Float, Fraction, NonNegative, Positive, Section
from audiopg.registry import suggestion


class Features(Section):
    """Log-mel spectrogram, Kaldi's definition."""

    sample_rate_hz: Count
    n_mels: Count
    window_ms: Positive
    hop_ms: Positive
    n_fft: Literal[512, 1024, 2048]  # lengths that the compiled transform supports
    f_min_hz: NonNegative
    f_max_hz: Positive
    preemphasis: Fraction
    norm_mean: Float
    norm_std: Positive

    def n_frames(self, clip_s: float) -> int:
        """Frames of a clip: one per hop, for any window."""
        return round(clip_s * 1000 / self.hop_ms)

    @model_validator(mode="after")
    def _fits(self) -> "Features":
        if self.window_ms * self.sample_rate_hz > 1000 * self.n_fft:
            msg = f"n_fft = {self.n_fft} is shorter than the window of {self.window_ms:g} ms"
            raise ValueError(msg)
        if round(self.window_ms * self.sample_rate_hz / 1000) < 1:
            msg = f"window_ms = {self.window_ms:g} is shorter than one sample at {self.sample_rate_hz} Hz"
            raise ValueError(msg)
        if not (self.hop_ms * self.sample_rate_hz / 1000).is_integer():
            msg = f"hop_ms = {self.hop_ms:g} must be a whole number of samples at {self.sample_rate_hz} Hz"
            raise ValueError(msg)
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            msg = "f_min_hz < f_max_hz <= sample_rate_hz / 2 must hold"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Size:
    """Shape of a transformer: width D, number of blocks, attention heads."""

    width: int
    depth: int
    n_heads: int


SIZES = {
    "micro": Size(width=128, depth=6, n_heads=4),
    "tiny": Size(width=192, depth=12, n_heads=3),
    "small": Size(width=384, depth=12, n_heads=6),
    "base": Size(width=768, depth=12, n_heads=12),
}


class Encoder(Section):
    """Vision transformer over patches of the log-mel spectrogram."""

    size: str
    patch_frames: Count
    patch_mels: Count

    @property
    def shape(self) -> Size:
        """Width, depth and heads of the named size."""
        return SIZES[self.size]

    @field_validator("size")
    @classmethod
    def _known(cls, size: str) -> str:
        if size not in SIZES:
            msg = f"unknown size '{size}'{suggestion(size, list(SIZES))}"
            raise ValueError(msg)
        return size


class Decoder(Section):
    """The masked autoencoder's decoder; it is discarded after pre-training."""

    width: Count
    depth: Count
    n_heads: Count

    @model_validator(mode="after")
    def _divides(self) -> "Decoder":
        if self.width % self.n_heads or self.width % 4:
            msg = f"width {self.width} must be a multiple of n_heads {self.n_heads} and of 4"
            raise ValueError(msg)
        return self


def n_pooled(encoder: Encoder, pooling: str, n_bands: int) -> int:
    """Count the numbers that the linear layer of a classifier reads of a clip: four statistics of each band, or one."""
    return encoder.shape.width * (4 * n_bands if pooling == "bands" else 1)


def n_visible(n_patches: int, hidden: float) -> int:
    """Count the patches that are encoded when a share of them is left out, at least one."""
    return max(1, round(n_patches * (1 - hidden)))
