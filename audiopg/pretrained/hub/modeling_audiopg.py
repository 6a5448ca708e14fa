"""The audiopg encoder for `transformers`: waveforms to log-mel spectrograms to tokens, in one file.

`audiopg export` copies this file beside the weights, where `AutoModel` runs it. It imports nothing of audiopg: torch
and transformers are enough. Axis letters: B batch, T samples, F frames, M mel bins, L tokens, D width.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature, PreTrainedConfig, PreTrainedModel, SequenceFeatureExtractor
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import logging
from transformers.utils.generic import can_return_tuple

logger = logging.get_logger(__name__)

FLOOR = torch.finfo(torch.float32).eps
NORM_EPS = 1e-6


class AudioPGConfig(PreTrainedConfig):
    """Sizes of the transformer, and the sections ``encoder`` (patches) and ``features`` (log-mel) of params.yaml."""

    model_type = "audiopg"

    encoder: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12

    def to_dict(self) -> dict[str, Any]:
        """Return what ``config.json`` holds, without the digest of the weights: a file that is saved has another."""
        facts: dict[str, Any] = super().to_dict()
        facts.pop("weights_sha256", None)
        return facts


class AudioPGFeatureExtractor(SequenceFeatureExtractor):
    """Sounds of several lengths to one batch of waveforms; the log-mel spectrogram is part of the model."""

    model_input_names = ["input_values"]

    def __init__(
        self, feature_size: int = 1, sampling_rate: int = 16_000, padding_value: float = 0.0, **kwargs: object
    ) -> None:
        """Take the sample rate in Hz."""
        kwargs["return_attention_mask"] = False  # the encoder hears the silence at the end of a shorter sound
        super().__init__(feature_size, sampling_rate, padding_value, **kwargs)

    def __call__(
        self,
        raw_audio: ArrayLike,
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        return_tensors: str | None = None,
        **kwargs: object,
    ) -> BatchFeature:
        """Make a batch.

        Args:
            raw_audio: one mono sound of shape (T,), or several in a list or an array of shape (B, T); floating-point,
                full scale is 1.
            sampling_rate: sample rate of the sounds in Hz, to be compared with the one that the encoder takes.
            padding: as in transformers; True fills shorter sounds with silence up to the longest.
            max_length: longest length in samples, for ``padding="max_length"`` and ``truncation=True``.
            truncation: whether longer sounds are cut.
            return_tensors: ``"pt"`` for tensors, ``"np"`` for arrays.
            kwargs: further options of `pad`.

        Returns:
            ``input_values``, shape (B, T), float32.

        Raises:
            ValueError: another sample rate, a sound that is not mono floating-point numbers, empty or not finite.
        """
        if sampling_rate is None:
            logger.warning("no sampling_rate was given, so it is not compared with %d Hz", self.sampling_rate)
        elif sampling_rate != self.sampling_rate:
            msg = f"sampling_rate: {self.sampling_rate} Hz is needed, found {sampling_rate} Hz; resample the sound"
            raise ValueError(msg)
        if isinstance(raw_audio, (list, tuple)) and len(raw_audio) and np.ndim(raw_audio[0]):
            sounds = [np.asarray(sound) for sound in raw_audio]
        else:
            sounds = list(np.atleast_2d(np.asarray(raw_audio)))
        for sound in sounds:
            if sound.ndim != 1 or not sound.size or sound.dtype.kind != "f" or not np.isfinite(sound).all():
                msg = f"raw_audio: finite floating-point sounds of shape (T,) are needed, found {_shown(sound)}"
                raise ValueError(msg)
        waveforms = BatchFeature({"input_values": [sound.astype(np.float32) for sound in sounds]})
        return self.pad(
            waveforms,
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            return_tensors=return_tensors,
            **kwargs,
        )


class AudioPGBlock(nn.Module):
    """Pre-norm transformer block, (B, L, D) to (B, L, D)."""

    def __init__(self, width: int, n_heads: int) -> None:
        """Build the block."""
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention = nn.LayerNorm(width, eps=NORM_EPS)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width, eps=NORM_EPS)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply self-attention, then the perceptron."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, length, 3, self.n_heads, width // self.n_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x + self.contract(functional.gelu(self.expand(self.norm_mlp(x))))
        return out


class AudioPGModel(PreTrainedModel):
    """Log-mel front end and vision transformer: a token per patch, and their mean as the embedding of a sound."""

    config_class = AudioPGConfig
    main_input_name = "input_values"
    _no_split_modules = ["AudioPGBlock"]
    _supports_sdpa = True

    def __init__(self, config: AudioPGConfig) -> None:
        """Build the size that the configuration describes."""
        super().__init__(config)
        if config.encoder is None or config.features is None:
            msg = "AudioPGConfig: the sections encoder and features are needed; read config.json of an exported folder"
            raise ValueError(msg)
        self.patch_frames: int = config.encoder["patch_frames"]
        self.patch_mels: int = config.encoder["patch_mels"]
        width = config.hidden_size
        self.embed = nn.Linear(self.patch_frames * self.patch_mels, width)
        self.blocks = nn.ModuleList(
            AudioPGBlock(width, config.num_attention_heads) for _ in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.post_init()

    @can_return_tuple
    def forward(self, input_values: Tensor, output_hidden_states: bool | None = None) -> BaseModelOutputWithPooling:
        """Encode sounds of one length.

        Args:
            input_values: mono waveforms at the sample rate of the features, shape (B, T), full scale is 1. Silence
                fills the last patch.
            output_hidden_states: whether the tokens of all layers are returned.

        Returns:
            ``last_hidden_state``: tokens after the last norm, time-major, shape (B, L, D), in the type of the weights.
            ``pooler_output``: their mean, shape (B, D). ``hidden_states``: the tokens after the patch embedding and
            after each block, depth + 1 of them.

        Raises:
            ValueError: another shape or type, or no samples.
        """
        if input_values.ndim != 2 or not input_values.shape[1] or not input_values.is_floating_point():  # noqa: PLR2004
            msg = f"input_values: floating-point (B, T) is needed, found {_shown(input_values)}"
            raise ValueError(msg)
        if output_hidden_states is None:
            output_hidden_states = bool(self.config.output_hidden_states)
        spectrogram = log_mel(input_values, self.config.features, self.patch_frames)
        n_time, n_frequency = spectrogram.shape[1] // self.patch_frames, spectrogram.shape[2] // self.patch_mels
        grid = spectrogram.reshape(-1, n_time, self.patch_frames, n_frequency, self.patch_mels)
        patches = grid.transpose(2, 3).reshape(len(grid), n_time * n_frequency, -1)
        positions = sincos_2d(n_time, n_frequency, self.config.hidden_size, patches.device)
        dtype = self.embed.weight.dtype
        x = self.embed(patches.to(dtype)) + positions.to(dtype)
        layers = [x]
        for block in self.blocks:
            x = block(x)
            layers.append(x)
        tokens = self.norm(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens,
            pooler_output=tokens.mean(dim=1),
            hidden_states=tuple(layers) if output_hidden_states else None,
        )


def log_mel(waveform: Tensor, features: dict[str, Any], patch_frames: int) -> Tensor:
    """Compute normalised log-mel spectrograms, Kaldi's definition, in float32 whatever the weights are in.

    Args:
        waveform: shape (B, T), full scale is 1; zeros are added up to a whole number of patches.
        features: the section ``features``.
        patch_frames: frames F of a patch.

    Returns:
        Shape (B, F, M), float32.
    """
    rate_hz = features["sample_rate_hz"]
    length, hop = round(features["window_ms"] * rate_hz / 1000), round(features["hop_ms"] * rate_hz / 1000)
    n_frames = math.ceil(waveform.shape[1] / (patch_frames * hop)) * patch_frames
    device = waveform.device
    with torch.autocast(device.type, enabled=False):  # in 16 bits the quiet bins would be noise
        missing = max((n_frames - 1) * hop + length - waveform.shape[1], 0)
        frames = functional.pad(waveform.float(), (0, missing)).unfold(-1, length, hop)[:, :n_frames]
        frames = frames - frames.mean(dim=-1, keepdim=True)
        # the first sample of a frame has no predecessor; Kaldi takes the sample itself for it
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        window = torch.hann_window(length, periodic=False, dtype=torch.float32, device=device)
        frames = (frames - features["preemphasis"] * previous) * window
        power = torch.view_as_real(torch.fft.rfft(frames, n=features["n_fft"])).square().sum(dim=-1)
        log_power = (power @ mel_filters(features).to(device)).clamp_min(FLOOR).log()
        normalised: Tensor = (log_power - features["norm_mean"]) / (2 * features["norm_std"])
    return normalised


def mel_filters(features: dict[str, Any]) -> Tensor:
    """Triangular filters, equally spaced and linear in mel, shape (n_fft / 2 + 1, M), float32 on the CPU.

    They are computed in float64, because a difference of neighbouring mel values has few digits. They are no buffer of
    the model, so that no conversion of its weights rounds them.
    """
    n_lines, rate_hz = features["n_fft"] // 2 + 1, features["sample_rate_hz"]
    lowest, highest = (1127.0 * math.log1p(features[key] / 700.0) for key in ("f_min_hz", "f_max_hz"))
    edges = torch.linspace(lowest, highest, features["n_mels"] + 2, dtype=torch.float64, device="cpu")
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    f_hz = torch.arange(n_lines, dtype=torch.float64, device="cpu") * rate_hz / features["n_fft"]
    lines = 1127.0 * torch.log1p(f_hz / 700.0)[:, None]
    triangles = torch.minimum((lines - low) / (centre - low), (high - lines) / (high - centre)).clamp_min(0.0)
    triangles[-1] = 0.0  # Kaldi gives the line at the Nyquist frequency no weight
    return triangles.float()


def sincos_2d(n_time: int, n_frequency: int, width: int, device: torch.device) -> Tensor:
    """Fixed positions of a grid, shape (n_time · n_frequency, D), float32; half of the width codes time."""
    rates = 10_000.0 ** -(torch.arange(width // 4, device=device) / (width // 4))

    def waves(n_places: int) -> Tensor:
        angles = torch.arange(n_places, dtype=torch.float32, device=device)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    time = waves(n_time)[:, None].expand(-1, n_frequency, -1)
    return torch.cat([time, waves(n_frequency).expand(n_time, -1, -1)], dim=2).flatten(0, 1)


def _shown(numbers: Tensor | NDArray[Any]) -> str:
    """Return type and shape for a message."""
    return f"{numbers.dtype} {tuple(numbers.shape)}"
