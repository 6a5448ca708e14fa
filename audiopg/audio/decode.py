"""Audio files to waveforms: mono, float32, at one sample rate; an unreadable file is an error, never zeros."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from audiopg.arrays import Float32
from audiopg.audio.truncation import shortfall
from audiopg.errors import DOWNLOAD_AGAIN, AudiopgError

BLOCK = 1 << 18  # samples decoded at a time


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """A file that is only read forward: otherwise soundfile seeks after each read, which restarts an MP3 decoder."""

    def seekable(self) -> bool:
        return False


def read(path: Path, sample_rate_hz: int) -> Float32:
    """Read one audio file as a mono waveform.

    Args:
        path: any format that libsndfile decodes (WAV with 8 to 32 bits, float or ADPCM, AIFF, FLAC, OGG …).
        sample_rate_hz: sample rate of the returned waveform, in Hz.

    Returns:
        Waveform, shape (T,), float32: the mean over the channels, resampled when the file has another rate. Full scale
        is 1; a float file may exceed it.

    Raises:
        AudiopgError: the file is missing, cannot be decoded, ends early, or holds no samples or non-finite ones.
    """
    blocks = list(_blocks(path, sample_rate_hz))
    waveform: Float32 = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)
    if not waveform.size:
        msg = f"{path}: contains no samples at {sample_rate_hz} Hz; {DOWNLOAD_AGAIN}"
        raise AudiopgError(msg)
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
        if not spool.tell():
            msg = f"{path}: contains no samples at {sample_rate_hz} Hz; {DOWNLOAD_AGAIN}"
            raise AudiopgError(msg)
        spool.flush()
        yield torch.from_numpy(np.memmap(spool, np.float32, "r+"))  # torch needs a writable array


def _blocks(path: Path, sample_rate_hz: int) -> Iterator[Float32]:
    """Yield a recording in pieces: mono, at the wanted rate."""
    try:
        if not path.is_file():
            msg = f"{path}: no such audio file; {DOWNLOAD_AGAIN}"
            raise AudiopgError(msg)
        with _Forward(path) as file:
            missing = shortfall(path, file.extra_info)
            if missing:
                msg = f"{path}: {missing}; {DOWNLOAD_AGAIN}"
                raise AudiopgError(msg)
            yield from _resampled(_mono(file, path), file.samplerate, sample_rate_hz)
    except soundfile.SoundFileError as error:
        # The reason of libsndfile repeats the path, and is empty for an empty file.
        reason = str(error).rpartition(": ")[2].rstrip(".") or "not an audio file"
        msg = f"{path}: cannot be decoded ({reason}); {DOWNLOAD_AGAIN}"
        raise AudiopgError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise AudiopgError(msg) from error


def _mono(file: _Forward, path: Path) -> Iterator[Float32]:
    """Yield the mean over the channels of an open file, block by block, and check that it is complete."""
    n_samples = 0
    while len(samples := file.read(BLOCK, dtype="float32", always_2d=True)):
        n_samples += len(samples)
        mono: Float32 = samples.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            msg = f"{path}: contains samples that are not finite; {DOWNLOAD_AGAIN}"
            raise AudiopgError(msg)
        yield mono
    if n_samples < file.frames:
        msg = f"{path}: ends after {n_samples} of {file.frames} samples; {DOWNLOAD_AGAIN}"
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
