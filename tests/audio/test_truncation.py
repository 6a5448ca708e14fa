"""Files that are not complete."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg.audio import decode
from audiopg.errors import AudiopgError

CONTAINERS = {
    "WAV": "PCM_16",
    "WAVEX": "IMA_ADPCM",
    "RF64": "PCM_24",
    "W64": "FLOAT",
    "AIFF": "PCM_16",
    "AU": "ULAW",
    "CAF": "PCM_16",
    "SVX": "PCM_16",
    "FLAC": "PCM_16",
    "MP3": "MPEG_LAYER_III",
    "OGG": "VORBIS",
    "OPUS": "OPUS",
}


@pytest.fixture(params=list(CONTAINERS))
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two seconds of noise, which fill several pages of an Ogg file."""
    path = tmp_path / "whole"
    noise = np.random.Generator(np.random.Philox(2)).uniform(-0.5, 0.5, 2 * 48_000)
    container = request.param.replace("OPUS", "OGG").replace("WAVEX", "WAV")
    soundfile.write(path, noise, 48_000, format=container, subtype=CONTAINERS[request.param])
    return path


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99, 0.999])
def test_a_truncated_file_is_refused_in_one_line(whole: Path, share: float) -> None:
    assert len(decode.read(whole, 48_000)) == pytest.approx(96_000, abs=4_000)
    cut = whole.with_name("cut")
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with pytest.raises(AudiopgError, match=rf"^{cut}: (ends|cannot be decoded).*again") as caught:
        decode.read(cut, 48_000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("whole", ["OGG", "OPUS"], indirect=True)
def test_a_damaged_or_missing_page_of_an_ogg_file_is_refused(whole: Path) -> None:
    data = whole.read_bytes()
    pages = [match.start() for match in re.finditer(b"OggS", data)]
    assert len(pages) > 4
    for place in np.random.Generator(np.random.Philox(4)).integers(0, len(data), 100):
        harmed = bytearray(data)
        harmed[place] ^= 16
        whole.write_bytes(harmed)
        with pytest.raises(AudiopgError):
            decode.read(whole, 48_000)
    for begin, end in zip(pages[3:], [*pages[4:], len(data)], strict=True):
        whole.write_bytes(data[:begin] + data[end:])
        with pytest.raises(AudiopgError, match=f"is damaged after {begin} of"):
            decode.read(whole, 48_000)


@pytest.mark.parametrize("whole", ["WAV", "RF64", "W64", "AU", "OGG"], indirect=True)
def test_what_comes_after_the_sound_is_no_harm(whole: Path) -> None:
    expected = decode.read(whole, 48_000)
    with whole.open("ab") as file:
        file.write(bytes(100))
    np.testing.assert_array_equal(decode.read(whole, 48_000)[:96_000], expected)


@pytest.mark.parametrize(
    "whole", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "OPUS"], indirect=True
)
@pytest.mark.parametrize("n_streams", [2, 3])
def test_joined_files_are_refused_with_their_number(whole: Path, n_streams: int) -> None:
    whole.write_bytes(whole.read_bytes() * n_streams)
    with pytest.raises(AudiopgError, match=rf": holds {n_streams} streams joined end to end; convert it to WAV"):
        decode.read(whole, 48_000)


def test_a_file_inside_the_sound_of_another_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "outer.wav"
    soundfile.write(path, np.zeros(1000), 48_000)
    inner = np.frombuffer(path.read_bytes(), dtype=np.int16)
    soundfile.write(path, inner, 48_000)
    np.testing.assert_array_equal(decode.read(path, 48_000), inner.astype(np.float32) / 32_768)


@pytest.mark.parametrize("whole", ["RF64", "W64"], indirect=True)
def test_a_size_beyond_all_disks_is_refused_or_read(whole: Path) -> None:
    data = whole.read_bytes()
    for place in (16, 20):
        whole.write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
        try:
            assert len(decode.read(whole, 48_000)) == 96_000
        except AudiopgError as error:
            assert "\n" not in str(error)  # noqa: PT017  (either is right)
