"""Length and digest of an audio file."""

from pathlib import Path

from audiopg.audio.opened import opened
from audiopg.storage import file_digest


def measure(file: Path) -> tuple[float, str]:
    """Return the duration of an audio file in seconds, rounded to microseconds, and its sha256.

    The header is trusted where decoding yields what it says; otherwise the file is decoded.

    Raises:
        AudiopgError: as `opened`.
    """
    with opened(file) as sound:
        n_samples = sound.n_samples
        if n_samples is None:
            n_samples = sum(len(samples) for samples in sound.forward())
        return round(n_samples / sound.samplerate, 6), file_digest(file)
