"""The cache of spectrograms: right, reused, renewed when anything it depends on changes, never half."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiopg import config
from audiopg.audio import decode as audio
from audiopg.config import Config
from audiopg.data import clips, decode
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.storage import file_digest
from audiopg.tasks.manifest import Manifest, Row

RATE_HZ = 16000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A short and a long recording."""
    generator = np.random.Generator(np.random.Philox(1))
    for name, seconds in (("short", 0.1), ("long", 0.9)):
        soundfile.write(tmp_path / f"{name}.wav", generator.uniform(-0.5, 0.5, round(seconds * RATE_HZ)), RATE_HZ)
    return tmp_path


def load(folder: Path, manifest: Path, features: config.Features, clip_s: float) -> Clips:
    """The recordings of a folder, decoded."""
    decode.write("x", Manifest.read(manifest), folder, LogMel(features), clip_s, folder / "decoded", 2)
    return clips.load(folder / "decoded", features, clip_s)


def write_manifest(folder: Path) -> Path:
    rows = [
        Row(f"{name}.wav", ("x",), 1, "", name, 0.1, name, "none", file_digest(folder / f"{name}.wav"))
        for name in ("short", "long")
    ]
    Manifest(tuple(rows)).write(folder / "manifest.csv")
    return folder / "manifest.csv"


def test_windows_equal_the_spectrogram_of_the_padded_waveform(folder: Path, quick: Config) -> None:
    found = load(folder, write_manifest(folder), quick.features, 0.32)
    assert found.window == 32
    assert [found.n_frames(row) for row in range(2)] == [90, 32]  # in the order of the manifest: long, short
    short = torch.from_numpy(audio.read(folder / "short.wav", RATE_HZ))
    padded = torch.nn.functional.pad(short, (0, round(0.32 * RATE_HZ) - len(short)))
    torch.testing.assert_close(found.batch([1], [0])[0], LogMel(quick.features)(padded[None])[0])
    assert found.log_mel.silence == pytest.approx(found.cut(1, 0)[-1].max(), abs=1e-5)


def test_a_corrupt_file_is_named_and_leaves_no_cache(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    (folder / "short.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(AudiopgError, match=r"short\.wav"):
        load(folder, manifest, quick.features, 0.32)
    assert not [path for path in (folder / "decoded").rglob("[!.]*") if path.is_file()]


def test_another_file_under_the_listed_name_is_refused(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    soundfile.write(folder / "short.wav", np.full(1600, 0.25), RATE_HZ)
    with pytest.raises(AudiopgError, match=r"short\.wav: is not the file that the manifest lists"):
        load(folder, manifest, quick.features, 0.32)
    assert not [path for path in (folder / "decoded").rglob("[!.]*") if path.is_file()]


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(path.read_bytes()[:-512]), Path.unlink])
@pytest.mark.parametrize("file", ["frames.f32", "starts.npy"])
def test_what_was_decoded_is_whole_or_named(
    folder: Path, quick: Config, file: str, change: Callable[[Path], object]
) -> None:
    load(folder, write_manifest(folder), quick.features, 0.32)
    change(folder / "decoded" / file)
    with pytest.raises(AudiopgError, match=r"decoded: the decoded recordings cannot be read .* run `snakemake` again"):
        clips.load(folder / "decoded", quick.features, 0.32)


def test_no_number_depends_on_how_many_recordings_are_read_at_a_time(folder: Path, quick: Config) -> None:
    manifest, log_mel = Manifest.read(write_manifest(folder)), LogMel(quick.features)
    for n_threads in (1, 5):
        decode.write("x", manifest, folder, log_mel, 0.32, folder / str(n_threads), n_threads)
    for file in ("frames.f32", "starts.npy"):
        assert (folder / "1" / file).read_bytes() == (folder / "5" / file).read_bytes()


@pytest.mark.parametrize("n_samples", [1, 10, 399, 401])
def test_a_clip_shorter_than_a_frame_is_a_window_that_ends_in_silence(
    folder: Path, quick: Config, n_samples: int
) -> None:
    soundfile.write(folder / "short.wav", np.resize([0.5, -0.2, 0.1], n_samples), RATE_HZ)
    found = load(folder, write_manifest(folder), quick.features, 0.32)
    window = found.cut(1, 0)
    assert window.shape == (32, 128)
    assert window[0].max() > found.log_mel.silence + 0.1
    assert np.allclose(window[4:], found.log_mel.silence, atol=1e-5)
