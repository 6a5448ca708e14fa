"""Files are whole or absent."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from audiopg import plotting, storage, tensors
from audiopg.errors import AudiopgError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stopped(path: Path, reason: BaseException) -> None:
    """Write half a file, then stop."""
    with storage.replacing(path) as temporary:
        temporary.write_text("half")
        raise reason


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    storage.write_json(path, {"a": 1})
    with pytest.raises(KeyboardInterrupt):
        stopped(path, KeyboardInterrupt())
    assert storage.read_json(path) == {"a": 1}
    assert names(tmp_path) == ["x.json"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As root a rename over `/dev/null` succeeds."""
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a device or pipe"), (tmp_path, "a folder"), (Path(), "a folder")):
        with pytest.raises(AudiopgError, match=rf"{path}: is {kind}.*; choose the name of a file"):
            storage.write_text(path, "x")
    assert names(tmp_path) == ["pipe"]


def test_a_full_disk_is_one_line_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(AudiopgError, match=r"x\.json: cannot be written \(No space left"):
        stopped(path, OSError(errno.ENOSPC, "No space left on device"))
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_checkpoint_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(b"x")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(AudiopgError, match=r"w\.safetensors: cannot be written \(No space left on device\)"):
        tensors.write(tmp_path / "w.safetensors", {"a": torch.zeros(3)}, {})
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AudiopgError, match="cannot be written"):
        storage.write_text(tmp_path / "file" / "x.txt", "x")


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/x.txt", "a" * 250])
def test_a_name_that_is_too_long(tmp_path: Path, name: str) -> None:
    with pytest.raises(AudiopgError, match="cannot be written .File name too long.; .* choose another place"):
        storage.write_text(tmp_path / name, "x")
    assert names(tmp_path) == []


def test_json_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match="no such file"):
        storage.read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(
        AudiopgError, match=r"bad\.json: not a JSON mapping .* if it is the workflow's, delete it and run again"
    ):
        storage.read_json(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(AudiopgError, match=r"bad\.json: not a JSON mapping \(a list\)"):
        storage.read_json(tmp_path / "bad.json")
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "nan.json", {"x": float("nan")})
    assert names(tmp_path) == ["bad.json"]


def test_tensors_round_trip(tmp_path: Path) -> None:
    written = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}
    tensors.write(tmp_path / "t.safetensors", written, {"note": "x"})
    read, header = tensors.read(tmp_path / "t.safetensors")
    assert header == {"note": "x"}
    assert all(torch.equal(written[k], read[k]) for k in written)


def test_equal_tensors_are_equal_bytes(tmp_path: Path) -> None:
    header = {name: name for name in "abcdefgh"}
    for number in range(4):
        tensors.write(tmp_path / str(number), {"a": torch.zeros(3), "b": torch.ones(2)}, header)
    assert len({(tmp_path / str(number)).read_bytes() for number in range(4)}) == 1


@pytest.fixture(params=[0o022, 0o002, 0o077, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """What the user lets others do."""
    value: int = request.param
    before = os.umask(value)
    yield value
    os.umask(before)


def test_every_file_gets_what_the_umask_allows(umask: int, tmp_path: Path) -> None:
    """Also checkpoints, which safetensors writes for their owner alone: colleagues share a folder."""
    storage.write_text(tmp_path / "a.txt", "a")
    storage.write_json(tmp_path / "a.json", {})
    tensors.write(tmp_path / "a.safetensors", {"a": torch.zeros(3)}, {})
    plotting.save(Figure(), tmp_path / "a.png")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        name: 0o666 & ~umask for name in ("a.txt", "a.json", "a.safetensors", "a.png")
    }


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"fLaC", "a FLAC recording"), (b"PK\x03\x04", "a PyTorch checkpoint (.pth, .pt)")],
)
def test_what_is_no_checkpoint_is_not_called_a_damaged_one(content: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(AudiopgError) as caught:
        tensors.read(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: is {kind}")
    assert str(caught.value).endswith(
        "not a checkpoint of audiopg; name another file, or delete it if `snakemake` made it"
    )
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(AudiopgError, match=r"x: damaged checkpoint \(.*\); delete it and run again"):
        tensors.read(tmp_path / "x")
    with pytest.raises(AudiopgError, match="is a folder, not a checkpoint of audiopg"):
        tensors.read(tmp_path)
