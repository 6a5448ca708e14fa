"""Audio files to waveforms: mono, float32, at one sample rate, and never anything made up for what cannot be read."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from audiopg.containers import shortfall
from audiopg.errors import BRING_AGAIN, AudiopgError


def read(path: Path, sample_rate_hz: int) -> NDArray[np.float32]:
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
    samples, file_rate_hz = decode(path)
    waveform: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(waveform).all():
        msg = f"{path}: contains samples that are not finite; {BRING_AGAIN}"
        raise AudiopgError(msg)
    if file_rate_hz != sample_rate_hz:
        waveform = soxr.resample(waveform, file_rate_hz, sample_rate_hz, quality="HQ")
    if waveform.size == 0:
        msg = f"{path}: contains no samples at {sample_rate_hz} Hz; {BRING_AGAIN}"
        raise AudiopgError(msg)
    return waveform


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode a file to samples of shape (T, channels), float32, and its own sample rate in Hz.

    Raises:
        AudiopgError: the file is missing, cannot be decoded or ends before the length that its header promises.
    """
    if not path.is_file():
        msg = f"{path}: no such audio file; {BRING_AGAIN}"
        raise AudiopgError(msg)
    try:
        with soundfile.SoundFile(path) as file:
            missing = shortfall(path, file.extra_info)
            n_promised = file.frames
            samples: NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
            file_rate_hz: int = file.samplerate
    except soundfile.SoundFileError as error:
        # The reason of libsndfile repeats the path, and is empty for an empty file.
        reason = str(error).rpartition(": ")[2].rstrip(".") or "not an audio file"
        msg = f"{path}: cannot be decoded ({reason}); {BRING_AGAIN}"
        raise AudiopgError(msg) from error
    if missing:
        msg = f"{path}: {missing}; {BRING_AGAIN}"
        raise AudiopgError(msg)
    if len(samples) < n_promised:
        msg = f"{path}: ends after {len(samples)} of {n_promised} samples; {BRING_AGAIN}"
        raise AudiopgError(msg)
    return samples, file_rate_hz
