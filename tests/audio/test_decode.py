"""Reading audio: levels and frequencies in closed form over formats and rates, and every refusal."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from audiopg.audio import decode
from audiopg.errors import AudiopgError

RATE_HZ = 16_000
LEVEL = 0.5


def tone(f_hz: float, rate_hz: int, seconds: float = 0.48) -> NDArray[np.float64]:
    return LEVEL * np.sin(2 * np.pi * f_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def level_at(waveform: NDArray[np.float32], f_hz: float) -> float:
    """Amplitude of the sinusoid at one frequency, over whole periods away from the edges."""
    middle = waveform[2000:6000].astype(np.float64)
    carrier = np.exp(-2j * np.pi * f_hz * np.arange(len(middle)) / RATE_HZ)
    return float(2 * abs(np.mean(middle * carrier)))


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 3e-3),
        ("wav", "PCM_16", 3e-4),
        ("wav", "PCM_24", 3e-4),
        ("wav", "PCM_32", 3e-4),
        ("wav", "FLOAT", 3e-4),
        ("wav", "DOUBLE", 3e-4),
        ("wav", "IMA_ADPCM", 1e-2),
        ("wav", "MS_ADPCM", 1e-2),
        ("flac", "PCM_16", 3e-4),
        ("flac", "PCM_24", 3e-4),
        ("ogg", "VORBIS", 3e-2),
    ],
)
def test_tone_keeps_frequency_and_level(
    tmp_path: Path, rate_hz: int, suffix: str, subtype: str, tolerance: float
) -> None:
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(440, rate_hz), rate_hz, subtype=subtype)
    waveform = decode.read(path, RATE_HZ)
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    # ADPCM comes in blocks and is padded to a whole one.
    assert 7680 <= len(waveform) <= (7680 if "ADPCM" not in subtype else 9800)
    assert level_at(waveform, 440) == pytest.approx(LEVEL, abs=tolerance)
    assert level_at(waveform, 600) < tolerance


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_mp3(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "tone.mp3"
    soundfile.write(path, tone(440, rate_hz), rate_hz, format="MP3")
    waveform = decode.read(path, RATE_HZ)
    assert level_at(waveform, 440) == pytest.approx(LEVEL, abs=3e-2)
    assert len(waveform) == pytest.approx(7680, abs=2400)  # the encoder adds up to two of its frames


@pytest.mark.parametrize("f_hz", [9000, 12_000, 20_000])
def test_what_lies_above_the_new_nyquist_frequency_is_removed(tmp_path: Path, f_hz: float) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(f_hz, 44_100), 44_100, subtype="FLOAT")
    assert np.abs(decode.read(path, RATE_HZ)[1000:7000]).max() < 1e-4


def test_samples_at_the_same_rate_are_untouched(tmp_path: Path) -> None:
    path = tmp_path / "ramp.wav"
    values = np.arange(-32_768, 32_768, 17, dtype=np.int16)
    soundfile.write(path, values, RATE_HZ)
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), values.astype(np.float32) / 32_768)


def test_channels_become_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.array([[0.75, 0.25], [0.5, -0.5], [-1.0, 0.0]]), RATE_HZ, subtype="FLOAT")
    np.testing.assert_array_equal(decode.read(path, RATE_HZ), np.float32([0.5, 0.0, -0.5]))


def broken_files(folder: Path) -> dict[str, Path]:
    """Write one file of each kind that must be refused."""
    paths = {name: folder / name for name in ("missing.wav", "folder.wav", "text.wav", "empty.wav", "silent.wav")}
    paths["folder.wav"].mkdir()
    paths["text.wav"].write_text("not audio")
    paths["empty.wav"].touch()
    soundfile.write(paths["silent.wav"], np.zeros(0), RATE_HZ)
    for name, value in {"nan": np.nan, "inf": np.inf}.items():
        paths[name] = folder / f"{name}.wav"
        soundfile.write(paths[name], np.array([0.0, value, 0.0]), RATE_HZ, subtype="FLOAT")
    return paths


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.wav", "no such audio file"),
        ("folder.wav", "a folder, not an audio file"),
        ("text.wav", "cannot be decoded"),
        ("empty.wav", "cannot be decoded"),
        ("silent.wav", "contains no samples"),
        ("nan", "contains samples that are not finite"),
        ("inf", "contains samples that are not finite"),
    ],
)
@pytest.mark.parametrize("rate_hz", [RATE_HZ, 8000])
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, name: str, reason: str, rate_hz: int) -> None:
    path = broken_files(tmp_path)[name]
    with pytest.raises(AudiopgError) as caught:
        decode.read(path, rate_hz)
    message = str(caught.value)
    assert message.startswith(f"{path}: {reason}")
    assert re.search("again|give a file in it|replace NaN", message)
    assert "\n" not in message


def test_channels_that_cancel_in_the_mean_are_looked_at_as_well(tmp_path: Path) -> None:
    wave = np.sin(np.arange(1000))
    soundfile.write(tmp_path / "x.wav", 32768 * np.stack([wave, -wave], axis=1), RATE_HZ, subtype="FLOAT")
    with pytest.raises(AudiopgError, match="has a peak of 327"):
        decode.read(tmp_path / "x.wav", RATE_HZ)
