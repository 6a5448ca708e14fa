"""What people hand over for a recording: each kind is refused in one line, with a remedy that can help."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg.audio import decode
from audiopg.audio.length import measure
from audiopg.errors import AudiopgError

RATE_HZ = 16_000
SOUND = np.random.Generator(np.random.Philox(7)).uniform(-0.5, 0.5, 1000)
CONVERT = "; convert it to WAV or FLAC"
AGAIN = "download it again"


def refused(path: Path) -> str:
    """The one line that both ways to open a recording say."""
    with pytest.raises(AudiopgError) as caught:
        decode.read(path, RATE_HZ)
    with pytest.raises(AudiopgError) as measured:
        measure(path)
    message = str(caught.value)
    assert message == str(measured.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def wav(data: bytes, *, tag: int = 1, n_channels: int = 1, block: int, bits: int, more: bytes = b"") -> bytes:
    """Write a WAV file by hand."""
    layout = struct.pack("<HHIIHH", tag, n_channels, RATE_HZ, RATE_HZ * block, block, bits) + more
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.wav").startswith("no such audio file; check the path, or download it again")
    assert refused(tmp_path) == "a folder, not an audio file; give a file in it"
    os.mkfifo(tmp_path / "pipe.wav")
    assert (
        refused(tmp_path / "pipe.wav")
        == "a pipe or device, not an audio file; write the sound into a file first"
        == refused(Path(os.devnull))
    )
    (tmp_path / "link.wav").symlink_to(".git/annex/objects/x.wav")
    assert refused(tmp_path / "link.wav").startswith("is a link to .git/annex/objects/x.wav, which is not there; fetch")


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"\0\0\0\x20ftypM4A ", f"MPEG-4 sound (m4a, mp4), which libsndfile does not read{CONVERT}"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", f"WMA sound, which libsndfile does not read{CONVERT}"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", f"Matroska or WebM sound, which libsndfile does not read{CONVERT}"),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc\xde", f"AAC sound, which libsndfile does not read{CONVERT}"),
        (b"wvpk\0\0\0\0", f"WavPack sound, which libsndfile does not read{CONVERT}"),
        (b"MThd\0\0\0\6\0\1\0\2", "a MIDI file, notes without sound; render it to WAV"),
        (b"PK\3\4\x14\0\0\0", "a ZIP archive; unpack it"),
        (b"<!DOCTYPE html><html>", f"a page of text, perhaps a server's answer; {AGAIN}"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, without its content; `git lfs pull`"),
        (b"/annex/objects/MD5E-s12--0.wav\n", "a pointer of git-annex, without its content; `git annex get`"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, start: bytes, reason: str) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(start + bytes(500))
    assert refused(path).removeprefix("cannot be decoded: ").startswith(reason)


def test_remedies_by_what_the_decoder_says(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_text("not audio")
    assert refused(path).startswith(f"cannot be decoded (Format not recognised){CONVERT}, or {AGAIN}")
    path.write_bytes(b"")
    assert refused(path).startswith(f"cannot be decoded (empty file); {AGAIN}")
    path.write_bytes(wav(bytes(4000), tag=0x55, block=1, bits=0))  # MP3 in WAV
    assert refused(path) == f"cannot be decoded: WAV of codec 0x0055, which libsndfile does not read{CONVERT}"
    soundfile.write(path, SOUND, RATE_HZ)
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes(4) + data[44:])
    assert refused(path) == "contains no samples, or its header does not count them; record or convert it again"


INTEGERS = (np.arange(1000) * 1000).astype("<i4").tobytes()
EXTENDED = struct.pack("<HHI", 22, 24, 4) + bytes.fromhex("0100000000001000800000aa00389b71")


@pytest.mark.parametrize(
    ("data", "bits", "n_channels", "block"),
    [
        (wav(INTEGERS, block=4, bits=24), 24, 1, 4),  # arecord's S24_LE
        (wav(INTEGERS, n_channels=2, block=8, bits=24), 24, 2, 8),
        (wav(INTEGERS, tag=0xFFFE, block=4, bits=24, more=EXTENDED), 24, 1, 4),
        (wav(INTEGERS, block=4, bits=20), 20, 1, 4),
        (wav(INTEGERS, block=4, bits=16), 16, 1, 4),
        (wav(INTEGERS, block=2, bits=8), 8, 1, 2),
    ],
)
def test_samples_in_wider_blocks_are_not_guessed(
    tmp_path: Path, data: bytes, bits: int, n_channels: int, block: int
) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    assert refused(path) == (
        f"has {bits}-bit samples in blocks of {block} bytes (channels: {n_channels}), so that the decoder "
        "would guess; convert it to 16, 24 or 32 bits with the program that made it"
    )


@pytest.mark.parametrize(("bits", "block"), [(24, 3), (20, 3), (16, 2), (12, 2), (16, 0), (16, 1)])
def test_samples_as_wide_as_their_blocks_are_read(tmp_path: Path, bits: int, block: int) -> None:
    path = tmp_path / "sound.wav"
    width = 3 if block == 3 else 2  # a block of 0 or 1 is a mistake
    values = np.arange(-500, 500) * 16
    data = b"".join(int(value).to_bytes(width, "little", signed=True) for value in values)
    path.write_bytes(wav(data, block=block, bits=bits))
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), np.float32(values / (1 << (8 * width - 1))))


@pytest.mark.parametrize("rate_hz", [1, 99, 10_000_001, 2**31 - 1])
def test_a_sample_rate_of_no_sound_is_refused(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, SOUND, rate_hz)
    assert refused(path) == f"has a sample rate of {rate_hz} Hz, not 100 to 10000000; correct its header"


@pytest.mark.parametrize("rate_hz", [100, 250, 384_000, 1_000_000])
def test_infrasound_and_ultrasound_are_read(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.tile(SOUND, 10), rate_hz)
    assert len(decode.read(path, RATE_HZ)) == pytest.approx(10_000 * RATE_HZ / rate_hz, abs=1)
    assert measure(path)[0] == round(10_000 / rate_hz, 6)


@pytest.mark.parametrize("peak", [101, 127, 32_768, 2**31])
def test_integers_as_floats_are_refused(tmp_path: Path, peak: int) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.array([0, peak / 2, -peak]), RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudiopgError) as caught:
        decode.read(path, RATE_HZ)
    assert f"has a peak of {peak:g} where full scale is 1 (integers as floats?); divide it by" in str(caught.value)


@pytest.mark.parametrize("peak", [1, 3, 100])
def test_a_loud_float_recording_is_read_as_it_is(tmp_path: Path, peak: int) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.array([0.0, 0.5, -peak]), RATE_HZ, subtype="FLOAT")
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), np.float32([0, 0.5, -peak]))
