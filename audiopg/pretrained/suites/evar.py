"""The encoder for EVAR (Niizumi et al., 2022), as an audio representation: one vector, or frames over time."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.weights import SHIPPED


class AR_AudioPG(nn.Module):  # EVAR's names begin so
    """What EVAR calls of a representation: `precompute`, then `forward` for each batch."""

    def __init__(self, cfg: Mapping[str, Any], encoder: AudioEncoder | None = None) -> None:
        """Take an encoder with its read-out; if None, the one that the configuration names.

        Args:
            cfg: EVAR's configuration: ``sample_rate`` of the recordings in Hz, and ``weight_file`` as for
                `AudioEncoder.from_pretrained`; if that is missing or empty, the encoder that comes with this package.
            encoder: the encoder.

        Raises:
            AudiopgError: as `AudioEncoder.from_pretrained`.
            ValueError: the encoder takes another sample rate.
        """
        super().__init__()
        self.cfg = cfg
        self.encoder = encoder or AudioEncoder.from_pretrained(cfg.get("weight_file") or SHIPPED)
        if cfg["sample_rate"] != self.encoder.sample_rate_hz:
            msg = f"sample_rate: the encoder takes {self.encoder.sample_rate_hz} Hz, found {cfg['sample_rate']}"
            raise ValueError(msg)

    def precompute(self, device: object, data_loader: object) -> None:
        """Take no statistics of the training recordings: the encoder normalises spectrograms by itself."""

    def encode_frames(self, batch_audio: Tensor) -> Tensor:
        """Embed sounds at regular times.

        Args:
            batch_audio: mono at ``sample_rate``, shape (B, T), floating-point, full scale is 1.

        Returns:
            Shape (B, D, ceil(T / hop)), float32, without gradient: a frame every `AudioEncoder.hop_ms` ms from 0.

        Raises:
            ValueError: as `AudioEncoder.embed_over_time`.
        """
        frames = self.encoder.embed_over_time(batch_audio, self.encoder.sample_rate_hz)[0]
        return frames.transpose(1, 2)

    def forward(self, batch_audio: Tensor) -> Tensor:
        """Embed whole sounds by the read-out; it is not a mean of frames.

        Args:
            batch_audio: as in `encode_frames`.

        Returns:
            Shape (B, P), float32, without gradient.

        Raises:
            ValueError: as `AudioEncoder.embed`.
        """
        return self.encoder.embed(batch_audio, self.encoder.sample_rate_hz)
