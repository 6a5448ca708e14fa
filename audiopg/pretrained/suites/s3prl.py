"""The encoder for S3PRL 0.4 and SUPERB (Yang et al., 2021): an upstream with a hidden state for each layer."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from audiopg.models.readout import ReadOut
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.weights import SHIPPED


class Upstream(nn.Module):
    """Layers of an encoder over time, for S3PRL to weigh; they are frozen."""

    def __init__(self, encoder: AudioEncoder) -> None:
        """Take an encoder; each layer of its read-out is a hidden state."""
        super().__init__()
        self.encoder = encoder

    def get_downsample_rates(self, key: str) -> int:  # noqa: ARG002  (all states have the same)
        """Return the distance of frames in samples at 16 kHz, for any name of a state."""
        return round(self.encoder.hop_ms * self.encoder.sample_rate_hz / 1000)

    def forward(self, wavs: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        """Embed sounds at regular times, each by itself, so that none hears how long the others are.

        Args:
            wavs: mono waveforms at 16 kHz, shape (T,) each, floating-point, full scale is 1.

        Returns:
            ``{"hidden_states": states}`` with one state per layer, shape (B, ceil(longest T / distance), D), float32,
            without gradient; shorter sounds end in zeros.

        Raises:
            ValueError: as `AudioEncoder.embed_over_time`.
        """
        frames = [self.encoder.embed_over_time(wav, self.encoder.sample_rate_hz)[0] for wav in wavs]
        padded = pad_sequence(frames, batch_first=True)
        layers = padded.view(*padded.shape[:2], len(self.encoder.layers), -1)
        return {"hidden_states": list(layers.unbind(dim=-2))}


def upstream(ckpt: str | None = None, **_: object) -> Upstream:
    """Load an upstream with all blocks of an encoder, as an entry of ``s3prl.hub``.

    Args:
        ckpt: as for `AudioEncoder.from_pretrained`; if None or empty, the encoder that comes with this package.
        **_: what S3PRL gives to every upstream, as ``refresh``; nothing here depends on it.

    Raises:
        AudiopgError: as `AudioEncoder.from_pretrained`.
    """
    path = ckpt or SHIPPED
    depth = AudioEncoder.from_pretrained(path).encoder.size.depth
    return Upstream(AudioEncoder.from_pretrained(path, ReadOut(tuple(range(1, depth + 1)))))
