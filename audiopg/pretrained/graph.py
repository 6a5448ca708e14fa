"""An encoder as an ONNX graph: waveforms in, embeddings out, for programs without torch."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiopg import storage
from audiopg.models.readout import combine_windows, over_time, pool
from audiopg.pretrained.encoder import AudioEncoder

INPUT, OUTPUT = "waveform", "embedding"


class Embedding(nn.Module):
    """What `AudioEncoder.embed` gives, in operators of torch alone, for many sounds at a time."""

    def __init__(self, encoder: AudioEncoder) -> None:
        """Take the encoder, at whose rate the waveforms are."""
        super().__init__()
        self.audio = encoder

    def forward(self, waveform: Tensor) -> Tensor:
        """Embed waveforms of one length.

        Args:
            waveform: shape (B, T), float32, full scale is 1.

        Returns:
            Shape (B, P), float32.
        """
        log_mel, window = self.audio.log_mel, self.audio.window
        n_frames = torch.sym_max((waveform.shape[1] + log_mel.hop - 1) // log_mel.hop, window)
        missing = n_frames * log_mel.hop - waveform.shape[1]
        padded = functional.pad(waveform, (0, missing))  # type: ignore[arg-type]
        spectrogram = log_mel.batched(padded)
        # the rule of `window_offsets`, for a length that a graph does not know
        slack = n_frames - window
        count = (slack + window - 1) // window + 1
        places = torch.arange(count, dtype=torch.float64).mul(slack).div(torch.sym_max(count - 1, 1))  # type: ignore[arg-type]
        frames = places.round().long()[:, None] + torch.arange(window)
        windows = spectrogram[:, frames].flatten(0, 1)
        layers = [over_time(tokens) for tokens in self.audio.encoder.bands(windows, self.audio.layers)]
        parts = torch.stack(layers, dim=1)
        by_window = parts.view(waveform.shape[0], -1, *parts.shape[1:]).transpose(0, 1)
        return pool(combine_windows(by_window), self.audio.pooling).flatten(1)


def write(encoder: AudioEncoder, path: Path) -> None:
    """Write the graph, which takes any number of waveforms of any length.

    Args:
        encoder: on the CPU, in evaluation.
        path: file to write (``.onnx``).

    Raises:
        AudiopgError: the file cannot be written.
    """
    any_size = {INPUT: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    example = torch.zeros(2, 5 * encoder.window * encoder.log_mel.hop // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            Embedding(encoder).eval(),
            (example,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=any_size,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    assert program is not None  # with `dynamo` it always is
    with storage.replacing(path) as temporary:
        program.save(temporary)
