"""Members come out as they went in, from volumes of any size; what no honest archive holds is refused."""

import hashlib
import io
import re
import shutil
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.packing import tarred, volumes, zipped

from audiopg.errors import AudiopgError
from audiopg.fetch.archives import listing_digest, members

DRAW = np.random.Generator(np.random.Philox(11))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of noise and text, an empty one, names with spaces and accents, a folder in a folder."""
    folder = tmp_path_factory.mktemp("tree")
    for name, data in {
        "a.wav": DRAW.bytes(3_000),
        "b/c d.wav": DRAW.bytes(1_777),
        "b/deep/é.csv": b"fname,labels\n" * 200,
        "empty.txt": b"",
        "z.wav": DRAW.bytes(5_001),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(paths: list[Path], *, top_folder: bool = False) -> dict[str, bytes]:
    return {member.path: b"".join(member.chunks) for member in members(paths, top_folder=top_folder)}


def write(path: Path, data: bytes) -> list[Path]:
    path.write_bytes(data)
    return [path]


def test_whole_archives(tree: Path, tmp_path: Path) -> None:
    assert unpacked(write(tmp_path / "x.zip", zipped(tree))) == contents(tree)
    assert unpacked(write(tmp_path / "x.zip", zipped(tree, "top/")), top_folder=True) == contents(tree)
    assert unpacked(write(tmp_path / "x.tar.gz", tarred(tree))) == contents(tree)
    assert unpacked(write(tmp_path / "x.tar.gz", tarred(tree, "top")), top_folder=True) == contents(tree)


@pytest.mark.parametrize("n_bytes", [97, 256, 1_000, 2_048, 3_333, 5_000, 9_990])
def test_split_zip_in_volumes_of_any_size(n_bytes: int, tree: Path, tmp_path: Path) -> None:
    paths = volumes(zipped(tree), n_bytes, tmp_path, "x")
    assert len(paths) > 1
    assert unpacked(paths) == contents(tree)


def test_split_zip_whose_directory_lies_in_two_volumes(tree: Path, tmp_path: Path) -> None:
    archive = zipped(tree)
    inside = struct.unpack_from("<L", archive, archive.rindex(b"PK\5\6") + 16)[0] + 60
    assert unpacked(volumes(archive, inside, tmp_path, "x")) == contents(tree)


@pytest.mark.skipif(shutil.which("zip") is None, reason="the program zip is not installed")
def test_split_zip_by_the_program_zip(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.wav").write_bytes(DRAW.bytes(40_000))
    (folder / "list.csv").write_bytes(b"fname,labels\n" * 5_000)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "../x.zip", "."], cwd=folder, check=True)
    paths = sorted(tmp_path.glob("x.z*"))
    assert [path.suffix for path in paths] == [".z01", ".z02", ".z03", ".zip"]
    assert unpacked(paths) == contents(folder)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "split"])
def test_no_damage_goes_unnoticed(kind: str, tree: Path, tmp_path: Path) -> None:
    whole = zipped(tree) if kind != "tar.gz" else tarred(tree)
    expected = contents(tree)
    unharmed = 0
    for place in DRAW.integers(0, len(whole), 150):
        harmed = bytearray(whole)
        harmed[place] ^= 1 << int(DRAW.integers(0, 8))
        try:
            paths = (
                volumes(bytes(harmed), 3_000, tmp_path, "x")
                if kind == "split"
                else write(tmp_path / f"x.{kind}", bytes(harmed))
            )
        except (struct.error, ValueError):
            continue  # the directory is so damaged that this test cannot split it
        try:
            found = unpacked(paths)
        except AudiopgError:
            pass
        else:
            # names and times are in no checksum; the bytes of files are
            assert sorted(found.values()) == sorted(expected.values())
            unharmed += 1
    assert unharmed < 75


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_damaged(kind: str, share: float, tree: Path, tmp_path: Path) -> None:
    whole = zipped(tree) if kind == "zip" else tarred(tree)
    paths = write(tmp_path / f"x.{kind}", whole[: int(share * len(whole))])
    with pytest.raises(AudiopgError, match=rf"^x\.{re.escape(kind)}: damaged archive"):
        unpacked(paths)


def test_missing_and_exchanged_volumes(tree: Path, tmp_path: Path) -> None:
    paths = volumes(zipped(tree), 3_000, tmp_path, "x")
    assert len(paths) == 5
    with pytest.raises(AudiopgError, match=r"damaged archive \(it has 5 volumes, found 4\)"):
        unpacked(paths[1:])
    for wrong in (paths[1:], [paths[0], *paths[2:]], [paths[1], paths[0], *paths[2:]], paths[:-1]):
        with pytest.raises(AudiopgError, match="damaged archive"):
            unpacked(wrong)


def test_split_archives_of_other_kinds_are_refused(tree: Path, tmp_path: Path) -> None:
    paths = volumes(zipped(tree), 5_000, tmp_path, "x")
    last = bytearray(paths[-1].read_bytes())
    struct.pack_into("<L", last, last.rindex(b"PK\5\6") + 16, 0xFFFFFFFF)
    paths[-1].write_bytes(last)
    with pytest.raises(AudiopgError, match="ZIP64"):
        unpacked(paths)


def zip_with(name: str, data: bytes = b"x", mode: int = 0o100644, flags: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fine.wav", b"fine")
        info = zipfile.ZipInfo("placeholder")
        info.external_attr = mode << 16
        archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    packed = buffer.getvalue().replace(b"placeholder", name.encode().ljust(11, b"x")[:11])
    at = packed.rindex(b"PK\1\2")
    return packed[: at + 8] + struct.pack("<H", flags) + packed[at + 10 :]


def tar_with(name: str, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("fine.wav"), io.BytesIO())
        info = tarfile.TarInfo(name)
        change(info)
        archive.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def of_type(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "fine.wav"

    return change


@pytest.mark.parametrize(
    ("file", "data", "reason"),
    [
        ("x.zip", zip_with("../evil.wav"), "would leave the folder"),
        ("x.zip", zip_with("/tmp/evil.w"), "would leave the folder"),
        ("x.zip", zip_with("a/../../e.w"), "would leave the folder"),
        ("x.zip", zip_with("..\\evil.wav"), "would leave the folder"),
        ("x.zip", zip_with("C:evil.wavx"), "would leave the folder"),
        ("x.zip", zip_with("link.wavxxx", mode=0o120777), "is neither file nor folder"),
        ("x.zip", zip_with("pipe.wavxxx", mode=0o010644), "is neither file nor folder"),
        ("x.zip", zip_with("secret.wavx", flags=1), "is encrypted"),
        ("x.zip", zip_with("bomb.wavxxx", data=b"\0" * 3_000_000), "makes it larger than"),
        ("x.tar.gz", tar_with("../evil.wav"), "would leave the folder"),
        ("x.tar.gz", tar_with("/tmp/evil.wav"), "would leave the folder"),
        ("x.tar.gz", tar_with("link", of_type(tarfile.SYMTYPE)), "is neither file nor folder"),
        ("x.tar.gz", tar_with("link", of_type(tarfile.LNKTYPE)), "is neither file nor folder"),
        ("x.tar.gz", tar_with("pipe", of_type(tarfile.FIFOTYPE)), "is neither file nor folder"),
        ("x.tar.gz", tar_with("disk", of_type(tarfile.BLKTYPE)), "is neither file nor folder"),
        ("x.tar.gz", tar_with("tty", of_type(tarfile.CHRTYPE)), "is neither file nor folder"),
        ("x.tar.gz", tar_with("fine.wav"), "occurs twice"),
        ("x.tar.gz", tar_with("./fine.wav"), "occurs twice"),
        ("x.tar.gz", tar_with("bomb.wav", lambda info: setattr(info, "size", 3_000_000)), "makes it larger than"),
    ],
    # the bytes hold the time of packing, and each worker of a parallel run must find the same names
    ids=lambda value: "packed" if isinstance(value, bytes) else None,
)
def test_what_no_honest_archive_holds(file: str, data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match=rf"^{re.escape(file)}: .*{reason}"):
        unpacked(write(tmp_path / file, data))


def test_a_file_outside_the_top_folder(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match=r"member 'a\.wav' lies outside the folder"):
        unpacked(write(tmp_path / "x.zip", zipped(tree)), top_folder=True)


def test_listing_digest_by_hand() -> None:
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("b/1.wav", "a.ogg", "README.md", "c.flac")}
    lines = "".join(f"{digests[name]}  {name}\n" for name in ("a.ogg", "b/1.wav", "c.flac"))
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert listing_digest(digests.items()) == expected
    assert listing_digest(reversed(digests.items())) == expected
    assert listing_digest({**digests, "a.ogg": digests["c.flac"]}.items()) != expected
