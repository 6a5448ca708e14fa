"""Length and digest of an audio file."""

from pathlib import Path

import soundfile

from audiopg.errors import DOWNLOAD_AGAIN, AudiopgError
from audiopg.storage import file_digest


def measure(file: Path) -> tuple[float, str]:
    """Return the duration of an audio file in seconds, rounded to microseconds, and its sha256.

    Raises:
        AudiopgError: the file is missing, is not audio or holds no samples.
    """
    try:
        info = soundfile.info(file)
        digest = file_digest(file)
    except (OSError, soundfile.SoundFileError) as error:
        msg = f"{file}: not a readable audio file; {DOWNLOAD_AGAIN}"
        raise AudiopgError(msg) from error
    if info.frames == 0:
        msg = f"{file}: contains no samples; {DOWNLOAD_AGAIN}"
        raise AudiopgError(msg)
    return round(info.frames / info.samplerate, 6), digest
