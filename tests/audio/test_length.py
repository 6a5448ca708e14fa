"""Length of recordings: what decoding yields, whatever the header says."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.mp3 import bare, mp3

from audiopg.audio import decode
from audiopg.audio.length import measure
from audiopg.errors import AudiopgError

RATE_HZ = 44_100
SOUND = np.random.Generator(np.random.Philox(5)).uniform(-0.5, 0.5, 3 * RATE_HZ)
UNKNOWN_SIZES = (0xFFFFFFFF, 0xFFFFFFFF - 44, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0x7F000000)
W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


def written(path: Path, container: str) -> bytes:
    soundfile.write(path, SOUND, RATE_HZ, format=container, subtype="PCM_16")
    return path.read_bytes()


def agrees(path: Path, n_samples: int) -> None:
    """Whether both ways to learn the length yield this one."""
    assert len(decode.read(path, RATE_HZ)) == n_samples
    assert measure(path)[0] == round(n_samples / RATE_HZ, 6)


def test_measure(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), 44_100)
    assert measure(tmp_path / "a.wav")[0] == 0.022676
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 44_100)
    (tmp_path / "text.wav").write_text("not audio")
    for name, reason in {
        "empty.wav": "contains no samples",
        "text.wav": "cannot be decoded",
        "no.wav": "no such audio file; check the path",
    }.items():
        with pytest.raises(AudiopgError, match=rf"{name}: {reason}"):
            measure(tmp_path / name)


@pytest.mark.parametrize(
    ("container", "mark", "layout", "size"),
    [("WAV", b"data", "<I", size) for size in UNKNOWN_SIZES]
    + [("AIFF", b"SSND", ">I", size) for size in UNKNOWN_SIZES]
    + [("AU", b".snd\0\0\0\x18", ">I", 0xFFFFFFFF), ("W64", W64_DATA, "<Q", (1 << 64) - 1), ("W64", W64_DATA, "<Q", 0)],
)
def test_a_size_that_a_pipe_left_open_is_that_of_the_file(
    tmp_path: Path, container: str, mark: bytes, layout: str, size: int
) -> None:
    path = tmp_path / "piped"
    data = written(path, container)
    place = data.index(mark) + len(mark)
    path.write_bytes(data[:place] + struct.pack(layout, size) + data[place + struct.calcsize(layout) :])
    agrees(path, len(SOUND))


@pytest.mark.parametrize("with_digest", [True, False])
def test_flac_without_a_total_is_decoded_to_its_end(tmp_path: Path, with_digest: bool) -> None:
    path = tmp_path / "piped.flac"
    data = bytearray(written(path, "FLAC"))
    expected = decode.read(path, RATE_HZ)
    data[21] &= 0xF0  # 36 bits of the number of samples, then the digest of the sound
    data[22:26] = bytes(4)
    data[26:42] = data[26:42] if with_digest else bytes(16)
    path.write_bytes(data)
    agrees(path, len(SOUND))
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), expected)
    path.write_bytes(data[:-999])
    with pytest.raises(AudiopgError, match=r"piped\.flac: cannot be decoded .*download it again"):
        decode.read(path, RATE_HZ)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_is_as_long_as_its_frames(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "sound.mp3"
    data = mp3(SOUND, RATE_HZ, mode)
    path.write_bytes(data)
    agrees(path, len(SOUND))  # by the Xing header, which also says what the encoder added
    path.write_bytes(bare(data))
    agrees(path, 116 * 1152)  # the fewest frames for the sound, and one more
