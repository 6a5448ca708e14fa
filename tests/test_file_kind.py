"""What a file is, where weights were expected."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiopg import tensors
from audiopg.file_kind import unlike_tensors


def sound(suffix: str, **how: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        soundfile.write(path.with_suffix(suffix), np.zeros(4000), 16_000, **how)
        path.with_suffix(suffix).rename(path)

    return write


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (sound(".wav"), "a WAV recording"),
        (sound(".flac"), "a FLAC recording"),
        (sound(".ogg"), "an Ogg recording"),
        (sound(".mp3"), "an MP3 recording"),
        (sound(".aiff"), "an AIFF recording"),
        (sound(".au"), "an AU recording"),
        (sound(".caf"), "a CAF recording"),
        (sound(".w64"), "a W64 recording"),
        (
            lambda path: torch.save({"a": torch.zeros(2)}, path),
            "a PyTorch checkpoint (.pth, .pt) or another ZIP archive",
        ),
        (
            lambda path: torch.save({}, path, _use_new_zipfile_serialization=False),
            "a pickle, as PyTorch's .pth files of long ago",
        ),
        (lambda path: path.write_bytes(pickle.dumps({}, protocol=4)), "a pickle"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0AVI LIST"), "a RIFF file of type AVI "),
        (lambda path: path.write_bytes(b"\0\0\0 ftypM4A \0\0\0\0"), "an MP4 or M4A file"),
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_text("path,labels\na.wav,x\n"), "a text file"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
            "a placeholder of Git LFS (`git lfs pull` fetches the file)",
        ),
        (lambda path: path.write_bytes(bytes(range(0, 256, 7))), "a file of another kind"),
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "not a regular file"),
    ],
)
def test_other_files_are_named(write: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    write(tmp_path / "x")
    assert unlike_tensors(tmp_path / "x") == kind


@pytest.mark.parametrize("n_bytes", [9, 20, 100, None])
def test_tensors_are_tensors_also_where_they_were_cut(n_bytes: int | None, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors.write(path, {"a": torch.arange(30.0)}, {"encoder": "x"})
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert not unlike_tensors(path)
