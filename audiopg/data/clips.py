"""Decoded recordings: windows of log-mel spectrograms out of a memory-mapped file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiopg import config
from audiopg.arrays import Float16, Float32, Int64
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel

FRAMES, STARTS = "frames.f16", "starts.npy"
STORED = np.float16  # half the bytes of float32; off by 0.02 dB at most, as values lie between -2 and 2
FLATTEST = 1e-6  # a smaller deviation is rounding error


@dataclass(frozen=True)
class Clips:
    """The spectrograms of one task, in the order of its manifest.

    A recording is at least one window long (shorter ones end in silence) and otherwise kept whole.
    """

    frames: Float16 | Float32
    """All recordings one after another, shape (frames of all, M); on the disk they are `STORED`."""
    starts: Int64
    """First frame of each recording and, last, the number of all frames, shape (N + 1,)."""
    window: int
    """Frames F that the model sees at a time."""
    log_mel: LogMel
    """Makes spectrograms like the returned ones."""
    scale: float = 1.0
    """Factor on ``frames`` when they are returned."""
    shift: float = 0.0
    """Added after that."""

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.starts) - 1

    def n_frames(self, row: int) -> int:
        """Length of a recording in frames, at least one window."""
        return int(self.starts[row + 1] - self.starts[row])

    def recording(self, row: int) -> Float32:
        """Return a whole recording, shape (F, M)."""
        frames = self.frames[self.starts[row] : self.starts[row + 1]]
        return self._scaled(frames)

    def cut(self, row: int, offset: int) -> Float32:
        """Return one window that begins ``offset`` frames into a recording; what lies outside is silent, (F, M)."""
        begin, end = max(offset, 0), min(offset + self.window, self.n_frames(row))
        window = np.full((self.window, self.frames.shape[1]), self.log_mel.silence, dtype=np.float32)
        if begin < end:
            frames = self.frames[self.starts[row] + begin : self.starts[row] + end]
            window[begin - offset : end - offset] = self._scaled(frames)
        return window

    def _scaled(self, frames: Float16 | Float32) -> Float32:
        """Normalise some frames."""
        return frames.astype(np.float32) * np.float32(self.scale) + np.float32(self.shift)

    def normalised_to(self, rows: Int64) -> "Clips":
        """Return the same recordings, normalised by the mean and deviation of some of them.

        Over all frames and mel bins of ``rows`` the mean becomes 0 and the standard deviation 0.5, what
        ``features.norm_mean`` and ``norm_std`` are meant to do for all sound. The silence at the end of a short
        recording counts.

        Args:
            rows: numbers of the recordings to measure: only the training recordings.

        Raises:
            AudiopgError: they have no deviation.
        """
        sums = np.zeros(3)
        for row in rows.tolist():
            frames = self.frames[self.starts[row] : self.starts[row + 1]].astype(np.float64)
            sums += frames.size, frames.sum(), np.square(frames).sum()
        count, total, squares = sums.tolist()
        mean = total / count
        std = max(squares / count - mean**2, 0.0) ** 0.5
        if std < FLATTEST:
            msg = f"the {len(rows)} training recordings are all silent: normalise 'task' has no deviation to scale by"
            raise AudiopgError(msg)
        made = self.log_mel.features
        norms = {"norm_mean": made.norm_mean + 2 * made.norm_std * mean, "norm_std": 2 * made.norm_std * std}
        log_mel = LogMel(made.model_copy(update=norms))
        return replace(self, log_mel=log_mel, scale=0.5 / std, shift=-0.5 * mean / std)

    def batch(self, rows: Sequence[int], offsets: Sequence[int]) -> Tensor:
        """Return one window of each recording, shape (B, F, M), float32."""
        return torch.from_numpy(np.stack([self.cut(row, o) for row, o in zip(rows, offsets, strict=True)]))

    def offsets(self, row: int) -> list[int]:
        """Offsets of the windows of a recording that evaluation averages."""
        return window_offsets(self.n_frames(row), self.window)

    def windows(self, rows: Int64, batch_size: int) -> list[tuple[list[int], list[int]]]:
        """List the windows of some recordings in batches of (places in ``rows``, offsets)."""
        pairs = [(place, offset) for place, row in enumerate(rows.tolist()) for offset in self.offsets(row)]
        batches = [pairs[begin : begin + batch_size] for begin in range(0, len(pairs), batch_size)]
        return [([place for place, _ in batch], [offset for _, offset in batch]) for batch in batches]


def window_offsets(n_frames: int, window: int) -> list[int]:
    """Offsets of windows that cover a recording of at least one window: evenly, overlapping if need be."""
    slack = n_frames - window
    count = -(-slack // window) + 1
    return [round(number * slack / max(count - 1, 1)) for number in range(count)]


def load(folder: Path, features: config.Features, clip_s: float, n_recordings: int) -> Clips:
    """Map the decoded recordings of a task into memory.

    Args:
        folder: what the stage ``decode`` wrote.
        features: the ``features`` section that they were made with.
        clip_s: length of a window in s, and of the shortest recording.
        n_recordings: how many the manifest lists.

    Raises:
        AudiopgError: a file is missing, or the two do not belong together.
    """
    try:
        starts = np.load(folder / STARTS)
        shape = (int(starts[-1]), features.n_mels)
        if (folder / FRAMES).stat().st_size != np.dtype(STORED).itemsize * math.prod(shape):
            msg = f"{FRAMES} is not as long as {STARTS} says"
            raise ValueError(msg)
        if len(starts) != n_recordings + 1:
            msg = f"there are {len(starts) - 1}, and the manifest lists {n_recordings}"
            raise ValueError(msg)
        frames = np.memmap(folder / FRAMES, STORED, "r", shape=shape)
    except (ValueError, OSError, EOFError) as error:
        msg = f"{folder}: the decoded recordings cannot be read ({error}); delete the folder and run `snakemake` again"
        raise AudiopgError(msg) from error
    return Clips(frames, starts, features.n_frames(clip_s), LogMel(features))


def files(folder: Path) -> list[Path]:
    """List the files that `load` reads."""
    return [folder / FRAMES, folder / STARTS]
