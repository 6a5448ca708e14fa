"""Decoding: whole and right, or nothing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.recordings import RATE_HZ, load, write_manifest

from audiopg.config import Config
from audiopg.data import decode
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.tasks.manifest import Manifest


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


def test_no_number_depends_on_how_many_recordings_are_read_at_a_time(folder: Path, quick: Config) -> None:
    manifest, log_mel = Manifest.read(write_manifest(folder)), LogMel(quick.features)
    for n_threads in (1, 5):
        decode.write("x", manifest, folder, log_mel, 0.32, folder / str(n_threads), n_threads)
    for file in ("frames.f16", "starts.npy"):
        assert (folder / "1" / file).read_bytes() == (folder / "5" / file).read_bytes()
