"""Frozen features of recordings: an encoder's layers, and the statistics that any encoder has to beat."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.ahead import ahead
from audiopg.arrays import Float32, Float64, Int64
from audiopg.compute import Backend
from audiopg.data.clips import Clips
from audiopg.models.readout import Pooling, combine_windows, over_time, pool, usual_layers
from audiopg.models.vit import Encoder
from audiopg.progress import progress

BATCH_SIZE = {"cpu": 64, "cuda": 256}  # windows at a time
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MODULATIONS_HZ = (0.5, 2, 4, 8, 16, 32)  # edges of the bands of modulation; speech has most at 2 to 8 Hz


class View(NamedTuple):
    """One way to read frozen features: a layer, and how its tokens are pooled."""

    layer: int
    pooling: str
    """Of an encoder as `audiopg.models.readout.Pooling`; of `Statistics` ``moments`` or ``rich``."""


POOLINGS: tuple[Pooling, ...] = ("moments", "bands")  # that a probe chooses from


class Embeddings:
    """Statistics of each band of some layers, from which all views of N recordings follow."""

    def __init__(self, statistics: NDArray[np.float16] | Float32, layers: Sequence[int]) -> None:
        """Take them, shape (N, layers, 5, bands, D), in memory or in a file; and the numbers of the layers."""
        self.statistics = statistics
        self.layers = list(layers)
        self._poolings = {View(layer, pooling): pooling for layer in layers for pooling in POOLINGS}
        self.views = list(self._poolings)

    def features(self, view: View) -> Float64:
        """Return one view, shape (N, P)."""
        found = torch.from_numpy(self.statistics[:, self.layers.index(view.layer)].astype(np.float64))
        pooled: Float64 = pool(found, self._poolings[view]).numpy()
        return pooled


class Statistics:
    """Statistics of the log-mel spectrogram of N recordings, as an opponent of encoders."""

    def __init__(self, clips: Clips, label: str) -> None:
        """Compute them from whole recordings; ``label`` is what the progress lines call it."""
        rows = progress(range(len(clips)), label, total=len(clips))
        self._all = np.stack([rich_statistics(clips.recording(row), clips.log_mel.features.hop_ms) for row in rows])
        self.views = [View(0, "moments"), View(0, "rich")]

    def features(self, view: View) -> Float64:
        """Return mean and deviation of each mel bin, or everything, shape (N, P)."""
        chosen = self._all[:, :2] if view.pooling == "moments" else self._all
        return chosen.reshape(len(chosen), -1).astype(np.float64)


def rich_statistics(spectrogram: Float32, hop_ms: float) -> Float32:
    """Statistics over time of each mel bin of one recording.

    Args:
        spectrogram: shape (F, M).
        hop_ms: distance of its frames in ms.

    Returns:
        Shape (17, M): mean, deviation, mean size and deviation of the change from frame to frame, five quantiles, the
        logarithm of half the mean square of each of five bands of modulation (the share of the fluctuation in 0.5 to
        2, 4, 8, 16 and 32 Hz), mean of the first, second and third third.
    """
    change = np.diff(spectrogram, axis=0, prepend=spectrogram[:1])
    mean, deviation = spectrogram.mean(axis=0), spectrogram.std(axis=0)
    spectrum = np.square(np.abs(np.fft.rfft(spectrogram - mean, axis=0))) / len(spectrogram) ** 2
    frequency_hz = np.fft.rfftfreq(len(spectrogram), hop_ms / 1000)
    modulation = [
        spectrum[(frequency_hz >= low) & (frequency_hz < high)].sum(axis=0)
        for low, high in zip(MODULATIONS_HZ, MODULATIONS_HZ[1:], strict=False)
    ]
    parts = [part.mean(axis=0) for part in np.array_split(spectrogram, 3)]
    rows = [mean, deviation, np.abs(change).mean(axis=0), change.std(axis=0)]
    rows += [*np.quantile(spectrogram, QUANTILES, axis=0), *np.log(np.array(modulation) + 1e-4), *parts]
    return np.stack(rows).astype(np.float32)


def embed(clips: Clips, encoder: Encoder, backend: Backend, label: str, file: Path) -> Embeddings:
    """Pool the features of each recording over all of its windows.

    All is of the whole recording: what differs between windows counts in its deviation.

    Args:
        clips: the recordings.
        encoder: the encoder in evaluation.
        backend: device and precision; the encoder is moved there.
        label: what to call it in the progress lines.
        file: where the statistics lie, in float16: large tasks have gigabytes of them.
    """
    encoder.eval().to(backend.device)
    layers = usual_layers(encoder.size.depth)

    def statistics(spectrogram: Tensor) -> Tensor:
        return torch.stack([over_time(tokens) for tokens in encoder.bands(spectrogram, layers)], dim=1)

    found = None
    for row, windows in enumerate(_by_recording(statistics, clips, np.arange(len(clips)), backend, label)):
        if found is None:
            found = np.lib.format.open_memmap(file, "w+", np.float16, (len(clips), *windows.shape[1:]))
        found[row] = combine_windows(torch.from_numpy(windows)).numpy()
    assert found is not None  # a manifest has recordings
    return Embeddings(found, layers)


def over_windows(
    function: Callable[[Tensor], Tensor], clips: Clips, rows: Int64, backend: Backend, label: str
) -> Iterator[Float64]:
    """Average a function over the windows of each recording, in the precision of training.

    Args:
        function: takes spectrograms, shape (B, F, M), on the backend's device, and returns one row for each.
        clips: all recordings.
        rows: numbers of the recordings that are wanted.
        backend: device and precision.
        label: what to call it in the progress lines.

    Yields:
        The average of each of ``rows``, in their order.
    """
    for values in _by_recording(function, clips, rows, backend, label):
        yield values.mean(axis=0)


@torch.no_grad()
def _by_recording(
    function: Callable[[Tensor], Tensor], clips: Clips, rows: Int64, backend: Backend, label: str
) -> Iterator[Float64]:
    """Yield what a function returns for the windows of each recording, shape (windows, …); as `over_windows`."""
    size = BATCH_SIZE[backend.device.type]
    batches = clips.windows(rows, size)

    def inputs(batch: tuple[list[int], list[int]]) -> Tensor:
        numbers, offsets = batch
        with backend.device_context():
            return backend.to_device(clips.batch(rows[numbers].tolist(), offsets))

    waiting: list[Float64] = []
    found = zip(batches, ahead(inputs, batches), strict=True)
    for (numbers, _), windows in progress(found, label, total=len(batches), per_item=size):
        with backend.autocast():
            values = function(windows)
        for row, value in zip(rows[numbers].tolist(), values.double().cpu().numpy(), strict=True):
            waiting.append(value)
            if len(waiting) == len(clips.offsets(row)):
                yield np.stack(waiting)
                waiting = []
