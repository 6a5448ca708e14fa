"""MPEG frames: their headers by the standard, tags and padding around them, and every kind of flaw."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.mp3 import bare, frames, mp3

from audiopg.audio import decode, mpeg
from audiopg.errors import AudiopgError

RATE_HZ = 44_100
SOUND = np.random.Generator(np.random.Philox(6)).uniform(-0.5, 0.5, 2 * RATE_HZ)
WITH_HEADER = mp3(SOUND, RATE_HZ)
BARE = bare(WITH_HEADER)
N_FRAMES = 78
ID3 = b"ID3\3\0\0\0\0\1\x0a" + bytes(138)
ID3_V1 = b"TAG" + b"x" * 125
APE = b"".join(b"APETAGEX" + struct.pack("<4I8x", 2000, 42, 1, flags) + b"item" for flags in (0xA0000000, 0x80000000))
APE = APE[:-4].replace(b"item", b"\xff\xfb__an_it_")
LYRICS = b"LYRICSBEGIN" + b"la" * 20 + b"000051LYRICS200"


@pytest.mark.parametrize(
    ("header", "size", "n_samples"),
    [
        ("fffb90c4", 417, 1152),  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 144 * 128000 / 44100
        ("fffb92c4", 418, 1152),  # with padding
        ("fffbe4c4", 960, 1152),  # 320 kbit/s, 48 kHz
        ("fff380c4", 208, 576),  # MPEG-2 layer III, 64 kbit/s, 22.05 kHz: 72 * 64000 / 22050
        ("ffe348c4", 288, 576),  # MPEG-2.5 layer III, 32 kbit/s, 8 kHz: 72 * 32000 / 8000
        ("fffdc4c4", 768, 1152),  # MPEG-1 layer II, 256 kbit/s, 48 kHz
        ("fffff8c4", None, None),  # no such bit rate
        ("fff5c4c4", 768, 1152),  # MPEG-2 layer II, 128 kbit/s, 24 kHz: 144 * 128000 / 24000
        ("ffff94c4", 288, 384),  # MPEG-1 layer I, 288 kbit/s, 48 kHz: 4 * (12 * 288000 / 48000)
        ("fffb9cc4", None, None),  # no such sample rate
        ("fffb00c4", None, None),  # a bit rate that is left open
        ("fff990c4", None, None),  # no such layer: AAC
        ("ffeb90c4", None, None),  # no such version
        ("ff7b90c4", None, None),  # no mark
        ("fffb90", None, None),  # cut
    ],
)
def test_headers_by_the_standard(header: str, size: int | None, n_samples: int | None) -> None:
    frame = mpeg.frame_at(b"?" + bytes.fromhex(header), 1)
    assert (frame and frame.size, frame and frame.n_samples) == (size, n_samples)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (ID3, b""), (b"", ID3_V1), (ID3, APE + ID3_V1), (b"", LYRICS + ID3_V1), (b"", bytes(700))],
)
@pytest.mark.parametrize("with_header", [True, False])
def test_what_is_around_the_frames_changes_nothing(
    tmp_path: Path, before: bytes, after: bytes, with_header: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(before + (WITH_HEADER if with_header else BARE) + after)
    found = decode.read(path, RATE_HZ)
    assert len(found) == (len(SOUND) if with_header else N_FRAMES * 1152)
    reference = soundfile.read(io.BytesIO(WITH_HEADER), dtype="float32")[0]
    lead = 0 if with_header else 1105  # samples that the header has cut: the delays of encoder and decoder
    np.testing.assert_array_equal(found[lead:][5000:80_000], reference[5000:80_000])
    assert capfd.readouterr().err == ""


def test_a_vbri_header_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    header = bytearray(len(frames(WITH_HEADER)[0]))
    header[:4] = WITH_HEADER[:4]
    header[36:50] = b"VBRI" + struct.pack(">HHHI", 1, 0, 75, len(BARE))
    path.write_bytes(BARE)
    expected = decode.read(path, RATE_HZ)
    path.write_bytes(bytes(header) + BARE)
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), expected)


def test_a_xing_header_without_a_number_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    place = max(WITH_HEADER.find(b"Info"), WITH_HEADER.find(b"Xing"))
    path.write_bytes(WITH_HEADER[: place + 4] + bytes(4) + WITH_HEADER[place + 8 :])
    assert len(decode.read(path, RATE_HZ)) == N_FRAMES * 1152


OTHER_RATE = bare(mp3(SOUND[:40_000], 16_000))
MIDDLE = len(BARE) // 2
FLAWS = {
    "holds 2 streams joined end to end; convert it": [
        WITH_HEADER + WITH_HEADER,
        ID3 + BARE + ID3_V1 + ID3 + BARE,
        BARE + WITH_HEADER,
        BARE + OTHER_RATE,
        ID3 + WITH_HEADER + ID3_V1 + APE + mp3(SOUND[:40_000], 16_000),
    ],
    "holds 3 streams joined end to end; convert it": [WITH_HEADER * 3],
    "is damaged after [0-9]+ of [0-9]+ bytes; download it again": [
        BARE[:MIDDLE] + bytes(500) + BARE[MIDDLE + 500 :],
        BARE[:MIDDLE] + BARE[MIDDLE + 100 :],
        BARE[:MIDDLE] + b"noise" * 50 + BARE[MIDDLE:],
        WITH_HEADER[:MIDDLE] + bytes(500) + WITH_HEADER[MIDDLE + 500 :],
        BARE + b"noise" * 50,
    ],
    "ends in the middle of a frame, after [0-9]+ bytes; download it again": [BARE[:-1], WITH_HEADER[:MIDDLE]],
    "announces 89856 samples, but holds 179712; convert it": [WITH_HEADER + BARE],
    r"ends after [0-9]+ of [0-9]+ samples; download it again": [b"".join(frames(WITH_HEADER)[:-9])],
    r"cannot be decoded \(no whole MPEG frame of a known bit rate\)": [BARE[:200]],
}


@pytest.mark.parametrize(("reason", "data"), [(reason, data) for reason, all_ in FLAWS.items() for data in all_])
def test_flaws_are_refused_by_name_alone(
    tmp_path: Path, reason: str, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(data)
    with pytest.raises(AudiopgError, match=rf"^{path}: {reason}") as caught:
        decode.read(path, RATE_HZ)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # the decoder's own lines do not say which file they mean


@pytest.mark.parametrize("size", [1, 100, len(BARE) // 2, len(BARE) * 2, 2**32 - 1])
def test_a_wrong_size_in_a_xing_header_is_no_harm(tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(WITH_HEADER)
    expected = decode.read(path, RATE_HZ)
    place = max(WITH_HEADER.find(b"Info"), WITH_HEADER.find(b"Xing")) + 12
    path.write_bytes(WITH_HEADER[:place] + struct.pack(">I", size) + WITH_HEADER[place + 4 :])
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), expected)
    assert capfd.readouterr().err == ""


def test_noise_after_the_announced_frames_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(WITH_HEADER + b"noise" * 50)
    assert len(decode.read(path, RATE_HZ)) == len(SOUND)


def test_frames_at_the_beginning_that_lean_on_lost_ones_count(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    for n_lost in range(1, 41):
        path.write_bytes(b"".join(frames(BARE)[n_lost:]))
        assert len(decode.read(path, RATE_HZ)) == (N_FRAMES - n_lost) * 1152
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("begin", "end", "reason"),
    [
        (30, 39, "big_values too large"),  # after 9 + 5 + 4 bits of the frame, and 12 of its first part
        (18, 30, "dequantization failed"),  # the length of the first part: its codes do not end there
    ],
)
@pytest.mark.parametrize("with_header", [True, False])
def test_what_the_decoder_finds_in_a_frame_is_refused_by_name(
    tmp_path: Path, begin: int, end: int, reason: str, with_header: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    parts = frames(WITH_HEADER if with_header else BARE)
    side = int.from_bytes(parts[40][4:21])
    value = (1 << end - begin) - 1 if end == 39 else 40
    side = side & ~((1 << 136 - begin) - (1 << 136 - end)) | value << 136 - end
    parts[40] = parts[40][:4] + side.to_bytes(17) + parts[40][21:]
    path.write_bytes(b"".join(parts))
    with pytest.raises(AudiopgError) as caught:
        decode.read(path, RATE_HZ)
    assert str(caught.value).startswith(f"{path}: cannot be decoded ({reason}); download it again")
    assert capfd.readouterr().err == ""  # the decoder's own lines do not say which file they mean


@pytest.mark.parametrize("rate_hz", [8000, 12_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize("level", [0, 0.5, 0.99])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_whole_files_are_read(  # noqa: PLR0913, PLR0917
    tmp_path: Path, rate_hz: int, mode: str, level: float, n_channels: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sound.mp3"
    bursts = SOUND[: 2 * 8000].reshape(-1, 2) * (np.arange(8000) % 3000 < 900)[:, None]
    tone = 0.3 * np.sin(np.arange(8000) / 9)[:, None]
    sound = np.concatenate([bursts, tone + 0.01 * bursts])[:, :n_channels]
    soundfile.write(path, sound, rate_hz, format="MP3", bitrate_mode=mode, compression_level=level)
    assert len(decode.read(path, rate_hz)) == pytest.approx(16_000, abs=2400)
    path.write_bytes(bare(path.read_bytes()))
    assert len(decode.read(path, rate_hz)) == pytest.approx(16_000, abs=2400 + 1152)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("header", "n_samples", "rate_hz"),
    [("fffdc4c4", 1152, 48_000), ("ffff94c4", 384, 48_000), ("fff5c4c4", 1152, 24_000)],
)
@pytest.mark.parametrize("after", [b"", ID3_V1, APE + ID3_V1])
def test_layers_i_and_ii_are_as_long_as_their_frames(
    tmp_path: Path, header: str, n_samples: int, rate_hz: int, after: bytes
) -> None:
    path = tmp_path / "sound.mp2"
    frame = mpeg.frame_at(bytes.fromhex(header), 0)
    assert frame
    silence = bytes.fromhex(header).ljust(frame.size, b"\0")  # no bits for any band
    path.write_bytes(ID3 + silence * 231 + after)
    np.testing.assert_array_equal(decode.read(path, rate_hz), np.zeros(231 * n_samples))


@pytest.mark.parametrize(("rate_hz", "n_channels"), [(44_100, 1), (44_100, 2), (16_000, 1), (22_050, 2)])
def test_a_hole_between_two_headers_is_damage(tmp_path: Path, rate_hz: int, n_channels: int) -> None:
    path = tmp_path / "sound.mp3"
    stereo = np.random.Generator(np.random.Philox(8)).uniform(-0.5, 0.5, (rate_hz, n_channels))
    file = io.BytesIO()
    soundfile.write(file, stereo, rate_hz, format="MP3", bitrate_mode="CONSTANT", compression_level=0)  # large frames
    data = bytearray(file.getvalue())
    all_frames = frames(bytes(data))
    assert len(all_frames[9]) > 500
    path.write_bytes(data)
    decode.read(path, rate_hz)
    begin = sum(len(frame) for frame in all_frames[:9]) + 150
    data[begin : begin + 300] = bytes(300)
    path.write_bytes(data)
    with pytest.raises(AudiopgError, match=rf"{path}: is damaged after [0-9]+ of {len(data)} bytes; download it again"):
        decode.read(path, rate_hz)


@pytest.mark.parametrize("level", [0, 1e-5, 0.5])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_silence_and_pauses_are_no_holes(tmp_path: Path, level: float, mode: str) -> None:
    path = tmp_path / "sound.mp3"
    for rate_hz in (44_100, 22_050):
        path.write_bytes(bare(mp3(np.r_[level * SOUND, np.zeros(30_000), level * SOUND], rate_hz, mode)))
        assert len(decode.read(path, rate_hz)) > 2 * len(SOUND) + 30_000
