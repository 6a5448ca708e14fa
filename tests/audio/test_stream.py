"""Decoding in blocks: the samples and the refusals of reading a file at once, in little memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg.audio import decode, opened
from audiopg.errors import AudiopgError

RATE_HZ = 16_000
KINDS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]


def noise(n_samples: int, n_channels: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(3)).uniform(-0.5, 0.5, (n_samples, n_channels))


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 48_000])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(("container", "subtype"), KINDS)
@pytest.mark.parametrize("block", [1 << 12, 1 << 18])
def test_blocks_make_the_waveform_of_the_whole_file(
    tmp_path: Path,
    rate_hz: int,
    n_channels: int,
    container: str,
    subtype: str | None,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "sound"
    soundfile.write(path, noise(20_011, n_channels), rate_hz, format=container, subtype=subtype)
    monkeypatch.setattr(opened, "BLOCK", block)
    with decode.streamed(path, RATE_HZ) as found:
        np.testing.assert_array_equal(found.numpy(), decode.read(path, RATE_HZ))


def test_what_cannot_be_read_is_refused_as_by_reading_it_at_once(tmp_path: Path) -> None:
    for name in ("missing", "folder", "text", "empty", "silent", "nan", "cut.wav", "cut.flac", "cut.ogg", "cut.mp3"):
        path = tmp_path / name
        stem, _, suffix = name.partition(".")
        if stem == "folder":
            path.mkdir()
        elif stem in {"text", "empty"}:
            path.write_text("not audio" if stem == "text" else "")
        elif stem != "missing":
            samples = {"silent": np.zeros((0, 1)), "nan": np.full((9, 1), np.nan)}.get(stem, noise(90_000, 2))
            soundfile.write(path, samples, 48_000, format=suffix or "WAV", subtype=None if suffix else "FLOAT")
        if stem == "cut":
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(AudiopgError) as whole:
            decode.read(path, RATE_HZ)
        with pytest.raises(AudiopgError) as blocks, decode.streamed(path, RATE_HZ):
            pass
        assert str(blocks.value) == str(whole.value)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros((48_000 * 120, 2), dtype=np.int16), 48_000)  # 46 MB as samples of float32
    with decode.streamed(path, RATE_HZ):  # what is imported and compiled at the first call
        pass
    tracemalloc.start()
    with decode.streamed(path, RATE_HZ) as found:
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == RATE_HZ * 120
    assert peak < 10e6
