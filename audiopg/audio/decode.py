"""Audio files to waveforms: mono, float32, at one sample rate; an unreadable file is an error, never zeros."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soxr
import torch
from torch import Tensor

from audiopg.arrays import Float32
from audiopg.audio import level
from audiopg.audio.opened import Sound, opened
from audiopg.errors import DOWNLOAD_AGAIN, AudiopgError


def read(path: Path, sample_rate_hz: int) -> Float32:
    """Read one audio file as a mono waveform.

    Args:
        path: as for `opened`.
        sample_rate_hz: sample rate of the returned waveform, in Hz.

    Returns:
        Waveform, shape (T,), float32: the mean over the channels, resampled when the file has another rate. Full scale
        is 1; a float file may exceed it, up to `level.LOUDEST`.

    Raises:
        AudiopgError: as `opened`, or it holds no samples, samples that are not finite, or integers as floats.
    """
    waveform: Float32 = np.concatenate(list(_blocks(path, sample_rate_hz)))
    return waveform


@contextmanager
def streamed(path: Path, sample_rate_hz: int) -> Iterator[Tensor]:
    """Decode a recording of any length onto the disk, so that memory does not grow with it.

    Args:
        path: as for `read`.
        sample_rate_hz: as for `read`.

    Yields:
        The waveform that `read` returns, shape (T,), float32, on the CPU, memory-mapped while the block lasts.

    Raises:
        AudiopgError: as `read`.
    """
    with tempfile.TemporaryFile() as spool:
        for block in _blocks(path, sample_rate_hz):
            spool.write(block.tobytes())
        spool.flush()
        yield torch.from_numpy(np.memmap(spool, np.float32, "r+"))  # torch needs a writable array


def _blocks(path: Path, sample_rate_hz: int) -> Iterator[Float32]:
    """Yield a recording in pieces: mono, at the wanted rate, at least one sample in all."""
    n_samples = 0
    with opened(path) as sound:
        for block in _resampled(_mono(sound, path), sound.samplerate, sample_rate_hz):
            n_samples += len(block)
            yield block
    if not n_samples:
        msg = f"{path}: contains no samples at {sample_rate_hz} Hz: too short; leave it out"
        raise AudiopgError(msg)


def _mono(sound: Sound, path: Path) -> Iterator[Float32]:
    """Yield the mean over the channels of an open file, block by block, and check that it is complete."""
    n_samples = 0
    for samples in sound.forward():
        n_samples += len(samples)
        with np.errstate(over="ignore", invalid="ignore"):  # NumPy would warn without a name; the check finds both
            mono: Float32 = samples.mean(axis=1, dtype=np.float32)
        wrong = level.flaw(float(np.abs(samples).max()))  # of all channels: in the mean, opposite ones cancel
        if wrong:
            msg = f"{path}: {wrong}"
            raise AudiopgError(msg)
        yield mono
    if sound.n_samples is not None and n_samples < sound.n_samples:
        msg = f"{path}: ends after {n_samples} of {sound.n_samples} samples; {DOWNLOAD_AGAIN}"
        raise AudiopgError(msg)


def _resampled(blocks: Iterator[Float32], from_hz: int, to_hz: int) -> Iterator[Float32]:
    """Resample a stream of blocks as one signal."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
