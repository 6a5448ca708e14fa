"""Damage anywhere in a file: it is refused in one line, or read as long as it was measured; nothing else happens."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.mp3 import bare

from audiopg.audio import decode
from audiopg.audio.length import measure
from audiopg.audio.opened import opened
from audiopg.errors import AudiopgError

RATE_HZ = 16_000
N_SAMPLES = 6000
KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAVEX", "PCM_24"),
    ("WAV", "IMA_ADPCM"),
    ("AIFF", "FLOAT"),
    ("AU", "ULAW"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("W64", "PCM_16"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("MP3", "bare"),
]
EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 62, 1 << 63, (1 << 64) - 1]
N_FILES = 16  # of each kind


def encoded(container: str, subtype: str, n_channels: int) -> bytes:
    file = io.BytesIO()
    sound = np.random.Generator(np.random.Philox(8)).uniform(-0.5, 0.5, (N_SAMPLES, n_channels))
    soundfile.write(file, sound, RATE_HZ, format=container, subtype=None if container == "MP3" else subtype)
    return bare(file.getvalue()) if subtype == "bare" else file.getvalue()


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """Cut a file, or change, move, insert or remove some of its bytes; one half of the damage lies in the header."""
    begin = int(generator.integers(len(data) - 8 if generator.random() < 0.5 else 100))
    size = int(generator.choice([1, 2, 8, 300, 2000]))
    head, part, tail = data[:begin], data[begin : begin + size], data[begin + size :]
    width = int(generator.choice([1, 2, 4, 8]))
    extreme = EXTREMES[generator.integers(len(EXTREMES))] & ((1 << 8 * width) - 1)
    bits = bytearray(data)
    for place in [begin, *generator.integers(len(data), size=size % 8)]:
        bits[place] ^= 1 << generator.integers(8)
    ways = [
        head or data[:1],
        data[:-size],
        head + bytes(len(part)) + tail,
        head + tail[:size] + part + tail[size:],
        head + generator.bytes(size) + part + tail,
        head + tail,
        head + extreme.to_bytes(width, "little") + data[begin + width :],
        head + extreme.to_bytes(width, "big") + data[begin + width :],
        bytes(bits),
    ]
    return ways[generator.integers(len(ways))]


def look(path: Path) -> str:
    """Measure and decode a file; return why it is refused, or ``""``."""
    try:
        with opened(path) as sound:
            rate_hz = sound.samplerate
        samples = decode.read(path, rate_hz)
    except AudiopgError as error:
        return str(error)
    assert np.isfinite(samples).all()
    assert math.isclose(measure(path)[0], len(samples) / rate_hz, abs_tol=1e-6)
    with decode.streamed(path, rate_hz) as streamed:
        np.testing.assert_array_equal(streamed.numpy(), samples)
    return ""


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(("container", "subtype"), KINDS)
def test_a_damaged_file_is_refused_in_one_line_or_read_to_its_end(
    tmp_path: Path, container: str, subtype: str, n_channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound"
    path.write_bytes(encoded(container, subtype, n_channels))
    assert look(path) == ""
    whole = path.read_bytes()
    generator = np.random.Generator(np.random.Philox(key=KINDS.index((container, subtype)), counter=n_channels))
    n_refused = 0
    for _ in range(N_FILES):
        path.write_bytes(damaged(whole, generator))
        reason = look(path)
        assert not reason or (reason.startswith(f"{path}: ") and reason.isprintable())
        n_refused += bool(reason)
        said = capfd.readouterr().err.splitlines()
        assert all(line.startswith(f"audiopg: {path}: holds ") for line in said), said
    assert n_refused


def test_samples_that_are_not_finite_are_refused_without_a_line_of_numpy(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    for value in (np.inf, 3e38):
        soundfile.write(path, np.float32([[value, -value], [value, value]]), RATE_HZ, subtype="FLOAT")
        with pytest.raises(AudiopgError, match=r"not finite|has a peak of 3e\+38"):
            decode.read(path, RATE_HZ)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_damaged_first_frame_is_no_line_of_the_decoder(
    tmp_path: Path, n_channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    data = encoded("MP3", "MPEG_LAYER_III", n_channels)
    for value in (b"\0\x80", b"\0\0", b"\xff\xff", b"\xf0\0"):
        path.write_bytes(data[:2] + value + data[4:])
        look(path)
        assert capfd.readouterr().err == ""


def test_many_channels_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sound.wav"
    sound = np.random.Generator(np.random.Philox(9)).uniform(-0.5, 0.5, (40, 1000))
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    asked = []
    read = soundfile.SoundFile.read

    def spied(self: soundfile.SoundFile, frames: int, **how: object) -> np.ndarray:
        asked.append(frames)
        return read(self, frames, **how)

    monkeypatch.setattr(soundfile.SoundFile, "read", spied)
    np.testing.assert_allclose(decode.read(path, RATE_HZ), sound.mean(axis=1), atol=1e-6)
    assert max(asked) == (1 << 18) // 1000
