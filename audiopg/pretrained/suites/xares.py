"""The encoder for X-ARES 0.1.3 (Zhang et al., 2025): frames over time, their size and their distance."""

from torch import Tensor, nn

# X-ARES takes the one name of a module that ends in "Encoder", so that of the library is not a name here.
from audiopg.pretrained import encoder as library


class AudiopgEncoder(nn.Module):
    """An encoder with the three attributes that X-ARES reads, and frames in place of tokens.

    >>> import torch
    >>> AudiopgEncoder()(torch.zeros(2, 16_000)).shape  # two sounds of a second, silent
    torch.Size([2, 25, 1536])
    """

    def __init__(self, encoder: library.AudioEncoder | None = None) -> None:
        """Take an encoder with its read-out; if None, that of this package: X-ARES gives no argument.

        X-ARES averages the frames of a recording, so that of the read-out's statistics over time only the mean counts.
        """
        super().__init__()
        self.encoder = encoder or library.AudioEncoder.pretrained()
        self.sampling_rate = self.encoder.sample_rate_hz
        self.output_dim = self.encoder.timestamp_embedding_size
        self.hop_size_in_ms = self.encoder.hop_ms

    def forward(self, audio: Tensor) -> Tensor:
        """Embed sounds at regular times.

        Args:
            audio: mono at `sampling_rate` in Hz, shape (B, T), floating-point, full scale is 1.

        Returns:
            Shape (B, ceil(T / hop), output_dim), float32, without gradient: one frame every `hop_size_in_ms` ms from 0,
            as `AudioEncoder.embed_over_time` has them.

        Raises:
            ValueError: as `AudioEncoder.embed_over_time`.
        """
        return self.encoder.embed_over_time(audio, self.sampling_rate)[0]
