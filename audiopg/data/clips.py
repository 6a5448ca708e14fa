"""Recordings as log-mel spectrograms: decoded once, kept in a memory-mapped file that folds and stages share."""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional

from audiopg import config, storage
from audiopg.arrays import Float32, Int64
from audiopg.audio import decode
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.fetch.store import data_folder, fetch
from audiopg.progress import progress
from audiopg.provenance import code_digest
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.task import Task

READ_AHEAD = 32  # recordings that may wait in memory
FLATTEST = 1e-6  # a deviation below is that of rounding


@dataclass(frozen=True)
class Clips:
    """The spectrograms of one task, in the order of its manifest.

    A recording is at least one window long (shorter ones end in silence) and otherwise kept whole.
    """

    frames: Float32
    """All recordings one after another, shape (frames of all, M)."""
    starts: Int64
    """First frame of each recording and, last, the number of all frames, shape (N + 1,)."""
    window: int
    """Frames F that the model sees at a time."""
    log_mel: LogMel
    """What would make the spectrograms as they are handed out."""
    scale: float = 1.0
    """What ``frames`` are multiplied by when they are handed out."""
    shift: float = 0.0
    """What is then added."""

    def __len__(self) -> int:
        """Count the recordings."""
        return len(self.starts) - 1

    def n_frames(self, row: int) -> int:
        """Length of a recording in frames, at least one window."""
        return int(self.starts[row + 1] - self.starts[row])

    def cut(self, row: int, offset: int) -> Float32:
        """Return one window that begins ``offset`` frames into a recording; what lies outside is silent, (F, M)."""
        begin, end = max(offset, 0), min(offset + self.window, self.n_frames(row))
        window = np.full((self.window, self.frames.shape[1]), self.log_mel.silence, dtype=np.float32)
        if begin < end:
            frames = self.frames[self.starts[row] + begin : self.starts[row] + end]
            window[begin - offset : end - offset] = frames * np.float32(self.scale) + np.float32(self.shift)
        return window

    def normalised_to(self, rows: Int64) -> "Clips":
        """Return the same recordings, normalised by the mean and deviation of some of them.

        Over all frames and mel bins of ``rows`` the mean becomes 0 and the standard deviation 0.5, what
        ``features.norm_mean`` and ``norm_std`` are meant to do for all sound. The silence at the end of a short
        recording counts.

        Args:
            rows: numbers of the recordings that are measured: those that train, and no others.

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
        """Offsets of the windows that evaluation averages: they cover the recording, evenly, overlapping if need be."""
        slack = self.n_frames(row) - self.window
        count = -(-slack // self.window) + 1
        return [round(number * slack / max(count - 1, 1)) for number in range(count)]

    def windows(self, rows: Int64, batch_size: int) -> list[tuple[list[int], list[int]]]:
        """List the windows of some recordings in batches of (places in ``rows``, offsets)."""
        pairs = [(place, offset) for place, row in enumerate(rows.tolist()) for offset in self.offsets(row)]
        batches = [pairs[begin : begin + batch_size] for begin in range(0, len(pairs), batch_size)]
        return [([place for place, _ in batch], [offset for _, offset in batch]) for batch in batches]


def load(task: Task, manifest: Path, features: config.Features, clip_s: float) -> Clips:
    """Return the spectrograms of a task's recordings; decode them if no earlier run has.

    The cache is named by what it depends on: the manifest (which holds a digest of each recording), the parameters and
    the code between a file and its spectrogram. Stages that want the same cache at the same time make it once.

    Raises:
        AudiopgError: a recording is missing, cannot be decoded or is not the one listed, or the cache is damaged.
    """
    parts = {
        "manifest": storage.file_digest(manifest),
        "features": features.model_dump(mode="json"),
        "clip_s": clip_s,
        "code": code_digest.digest(__name__),
    }
    name = hashlib.sha256(storage.canonical(parts).encode()).hexdigest()[:16]
    folder = data_folder() / "log_mel" / f"{task.card.name}-{name}"
    log_mel = LogMel(features)
    if not (folder / "frames.f32").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not (folder / "frames.f32").exists():
                _decode(task, Manifest.read(manifest), log_mel, clip_s, folder)
    try:
        starts = np.load(folder / "starts.npy")
        frames = np.memmap(folder / "frames.f32", np.float32, "r", shape=(int(starts[-1]), features.n_mels))
    except (ValueError, OSError) as error:
        msg = f"{folder}: damaged cache ({error}); delete the folder, it is made again"
        raise AudiopgError(msg) from error
    return Clips(frames, starts, features.n_frames(clip_s), log_mel)


def _decode(task: Task, manifest: Manifest, log_mel: LogMel, clip_s: float, folder: Path) -> None:
    """Write the two files of a cache; the spectrograms get their name last, so that their presence means both."""
    root = fetch(task)
    rate_hz = log_mel.features.sample_rate_hz
    lengths = [0]
    with storage.replacing(folder / "frames.f32") as temporary:
        with temporary.open("wb") as file:
            waveforms = _waveforms(root, manifest.rows, rate_hz)
            for waveform in progress(waveforms, f"{task.card.name}: decoding", total=len(manifest)):
                missing = round(clip_s * rate_hz) - len(waveform)
                spectrogram = log_mel(functional.pad(waveform, (0, max(missing, 0)))[None])[0].numpy()
                file.write(spectrogram.tobytes())
                lengths.append(len(spectrogram))
        with storage.replacing(folder / "starts.npy") as starts:
            np.save(starts, np.cumsum(lengths, dtype=np.int64))


def _waveforms(root: Path, rows: Sequence[Row], rate_hz: int) -> Iterator[Tensor]:
    """Yield the waveforms in order; files are read ahead in threads, one per processor, for the others are waiting."""

    def read(row: Row) -> Tensor:
        waveform = torch.from_numpy(decode.read(root / row.path, rate_hz))
        if storage.file_digest(root / row.path) != row.sha256:
            msg = f"{root / row.path}: is not the file that the manifest lists; make the manifest again"
            raise AudiopgError(msg)
        return waveform

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[Tensor]] = deque()
        for row in rows:
            waiting.append(pool.submit(read, row))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
