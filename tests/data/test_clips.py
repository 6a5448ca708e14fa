"""The cache of spectrograms: right, reused, renewed when anything it depends on changes, never half."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from audiopg import config
from audiopg.audio import decode
from audiopg.config import Config
from audiopg.data import clips as recordings
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.storage import file_digest
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.registry import TASKS
from audiopg.tasks.task import Task

RATE_HZ = 16000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short and a long recording, and a data folder of its own."""
    generator = np.random.Generator(np.random.Philox(1))
    for name, seconds in (("short", 0.1), ("long", 0.9)):
        soundfile.write(tmp_path / f"{name}.wav", generator.uniform(-0.5, 0.5, round(seconds * RATE_HZ)), RATE_HZ)
    monkeypatch.setenv("AUDIOPG_DATA", str(tmp_path / "data"))
    return tmp_path


def load(folder: Path, manifest: Path, features: config.Features, clip_s: float) -> Clips:
    """The recordings of a task that has its audio in ``folder``."""
    task = Task(TASKS["drums"].card, lambda _: folder, lambda _: Manifest(()))
    return recordings.load(task, manifest, features, clip_s)


def write_manifest(folder: Path) -> Path:
    rows = [
        Row(f"{name}.wav", ("x",), 1, "", name, 0.1, name, "none", file_digest(folder / f"{name}.wav"))
        for name in ("short", "long")
    ]
    Manifest(tuple(rows)).write(folder / "manifest.csv")
    return folder / "manifest.csv"


def test_windows_equal_the_spectrogram_of_the_padded_waveform(folder: Path, quick: Config) -> None:
    clips = load(folder, write_manifest(folder), quick.features, 0.32)
    assert clips.window == 32
    assert [clips.n_frames(row) for row in range(2)] == [90, 32]  # in the order of the manifest: long, short
    short = torch.from_numpy(decode.read(folder / "short.wav", RATE_HZ))
    padded = torch.nn.functional.pad(short, (0, round(0.32 * RATE_HZ) - len(short)))
    torch.testing.assert_close(clips.batch([1], [0])[0], LogMel(quick.features)(padded[None])[0])
    assert clips.log_mel.silence == pytest.approx(clips.cut(1, 0)[-1].max(), abs=1e-5)


def test_the_second_reading_decodes_nothing(folder: Path, quick: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_manifest(folder)
    first = load(folder, manifest, quick.features, 0.32)
    (folder / "short.wav").unlink()
    monkeypatch.setattr(decode, "read", lambda *_: pytest.fail("decoded again"))
    second = load(folder, manifest, quick.features, 0.32)
    assert np.array_equal(first.frames, second.frames)


def test_what_the_cache_depends_on_renews_it(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    load(folder, manifest, quick.features, 0.32)
    load(folder, manifest, quick.features, 0.64)
    load(folder, manifest, quick.features.model_copy(update={"preemphasis": 0.5}), 0.32)
    soundfile.write(folder / "short.wav", np.full(1600, 0.25), RATE_HZ)
    changed = load(folder, write_manifest(folder), quick.features, 0.32)
    assert len(list((folder / "data" / "log_mel").iterdir())) == 4
    assert changed.cut(1, 0)[0].max() < 0


def test_a_corrupt_file_is_named_and_leaves_no_cache(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    (folder / "short.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(AudiopgError, match=r"short\.wav"):
        load(folder, manifest, quick.features, 0.32)
    assert not [path for path in (folder / "data").rglob("[!.]*") if path.is_file()]


def test_another_file_under_the_listed_name_is_refused(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    soundfile.write(folder / "short.wav", np.full(1600, 0.25), RATE_HZ)
    with pytest.raises(AudiopgError, match=r"short\.wav: is not the file that the manifest lists"):
        load(folder, manifest, quick.features, 0.32)
    assert not [path for path in (folder / "data").rglob("[!.]*") if path.is_file()]


def test_a_damaged_cache_is_named(folder: Path, quick: Config) -> None:
    manifest = write_manifest(folder)
    load(folder, manifest, quick.features, 0.32)
    (frames,) = (folder / "data").rglob("frames.f32")
    frames.write_bytes(frames.read_bytes()[:100])
    with pytest.raises(AudiopgError, match="damaged cache .* delete the folder, it is made again"):
        load(folder, manifest, quick.features, 0.32)


@pytest.mark.parametrize("n_samples", [1, 10, 399, 401])
def test_a_clip_shorter_than_a_frame_is_a_window_that_ends_in_silence(
    folder: Path, quick: Config, n_samples: int
) -> None:
    soundfile.write(folder / "short.wav", np.resize([0.5, -0.2, 0.1], n_samples), RATE_HZ)
    clips = load(folder, write_manifest(folder), quick.features, 0.32)
    window = clips.cut(1, 0)
    assert window.shape == (32, 128)
    assert window[0].max() > clips.log_mel.silence + 0.1
    assert np.allclose(window[4:], clips.log_mel.silence, atol=1e-5)


def test_two_stages_that_need_a_cache_at_once_make_it_once(
    folder: Path, quick: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, read, made = write_manifest(folder), decode.read, []

    def slowly(path: Path, rate_hz: int) -> NDArray[np.float32]:
        made.append(path.name)
        time.sleep(0.1)
        return read(path, rate_hz)

    monkeypatch.setattr(decode, "read", slowly)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: load(folder, manifest, quick.features, 0.32), range(3)))
    assert sorted(made) == ["long.wav", "short.wav"]
    assert all(np.array_equal(clips.frames, found[0].frames) for clips in found)
