"""The cache of spectrograms: right, reused, renewed when anything it depends on changes, never half."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support.recordings import RATE_HZ, load, write_manifest

from audiopg.audio import decode as audio
from audiopg.config import Config
from audiopg.data import clips
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel


def test_windows_equal_the_spectrogram_of_the_padded_waveform(folder: Path, quick: Config) -> None:
    found = load(folder, write_manifest(folder), quick.features, 0.32)
    assert found.window == 32
    assert [found.n_frames(row) for row in range(2)] == [90, 32]  # in the order of the manifest: long, short
    short = torch.from_numpy(audio.read(folder / "short.wav", RATE_HZ))
    padded = torch.nn.functional.pad(short, (0, round(0.32 * RATE_HZ) - len(short)))
    # float16 between 1 and 2 has steps of 2^-10
    torch.testing.assert_close(found.batch([1], [0])[0], LogMel(quick.features)(padded[None])[0], rtol=0, atol=2**-11)
    assert (folder / "decoded" / "frames.f16").stat().st_size == 2 * (90 + 32) * 128
    assert clips.STORED(found.log_mel.silence) == pytest.approx(found.cut(1, 0)[-1].max(), abs=1e-5)


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(path.read_bytes()[:-512]), Path.unlink])
@pytest.mark.parametrize("file", ["frames.f16", "starts.npy"])
def test_what_was_decoded_is_whole_or_named(
    folder: Path, quick: Config, file: str, change: Callable[[Path], object]
) -> None:
    load(folder, write_manifest(folder), quick.features, 0.32)
    change(folder / "decoded" / file)
    with pytest.raises(AudiopgError, match=r"decoded: the decoded recordings cannot be read .* run `snakemake` again"):
        clips.load(folder / "decoded", quick.features, 0.32, 2)


def test_recordings_of_another_list_are_refused(folder: Path, quick: Config) -> None:
    load(folder, write_manifest(folder), quick.features, 0.32)
    with pytest.raises(AudiopgError, match="there are 2, and the manifest lists 3"):
        clips.load(folder / "decoded", quick.features, 0.32, 3)


@pytest.mark.parametrize("n_samples", [1, 10, 399, 401])
def test_a_clip_shorter_than_a_frame_is_a_window_that_ends_in_silence(
    folder: Path, quick: Config, n_samples: int
) -> None:
    soundfile.write(folder / "short.wav", np.resize([0.5, -0.2, 0.1], n_samples), RATE_HZ)
    found = load(folder, write_manifest(folder), quick.features, 0.32)
    window = found.cut(1, 0)
    assert window.shape == (32, 128)
    assert window[0].max() > found.log_mel.silence + 0.1
    assert np.allclose(window[4:], clips.STORED(found.log_mel.silence), atol=1e-5)
