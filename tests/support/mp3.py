"""MP3 files with and without what programs put around the frames."""

import io

import numpy as np
import soundfile

from audiopg.audio.mpeg import frame_at


def mp3(sound: np.ndarray, rate_hz: int, mode: str = "CONSTANT") -> bytes:
    """Encode a sound, with a Xing header."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate_hz, format="MP3", bitrate_mode=mode)
    return file.getvalue()


def frames(data: bytes) -> list[bytes]:
    """Cut a file of nothing but frames into them."""
    place, found = 0, []
    while frame := frame_at(data, place):
        found.append(data[place : place + frame.size])
        place += frame.size
    assert place == len(data)
    return found


def bare(data: bytes) -> bytes:
    """Take the Xing header away, as many encoders leave it out."""
    return b"".join(frames(data)[1:])
