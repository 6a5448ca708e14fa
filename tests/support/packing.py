"""Archives for tests: of folders, whole or in volumes."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

SPLIT_MARK = b"PK\7\x08"
EPOCH = (2020, 1, 1, 0, 0, 0)


def zipped(folder: Path, top: str = "") -> bytes:
    """A zip of all files below a folder, every second one stored, with entries for folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, path in enumerate(sorted(folder.rglob("*"))):
            name = top + path.relative_to(folder).as_posix()
            if path.is_dir():
                archive.writestr(zipfile.ZipInfo(f"{name}/", EPOCH), b"")
                continue
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            archive.writestr(info, path.read_bytes())
    return buffer.getvalue()


def tarred(folder: Path, top: str = "./") -> bytes:
    """A tar.gz of all files below a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, top)
    return buffer.getvalue()


def split(archive: bytes, n_bytes: int) -> list[bytes]:
    """Split a zip into volumes of this size; the last may be smaller.

    A mark goes first; the directory then gives the volume of each member and the offset in it. Here a header may lie in
    two volumes, which real packers avoid.
    """
    data = bytearray(SPLIT_MARK + archive)
    end = data.rindex(b"PK\5\6")
    n_entries, size, directory = struct.unpack_from("<H2L", data, end + 10)
    directory += len(SPLIT_MARK)
    place = directory
    for _ in range(n_entries):
        lengths = struct.unpack_from("<3H", data, place + 28)
        (offset,) = struct.unpack_from("<L", data, place + 42)
        volume, offset = divmod(offset + len(SPLIT_MARK), n_bytes)
        struct.pack_into("<H", data, place + 34, volume)
        struct.pack_into("<L", data, place + 42, offset)
        place += 46 + sum(lengths)
    first, offset = divmod(directory, n_bytes)
    last = (len(data) - 1) // n_bytes
    struct.pack_into("<4H2L", data, end + 4, last, first, n_entries, n_entries, size, offset)
    return [bytes(data[begin : begin + n_bytes]) for begin in range(0, len(data), n_bytes)]


def volumes(archive: bytes, n_bytes: int, folder: Path, stem: str) -> list[Path]:
    """Write a split zip as ``stem.z01`` … ``stem.zip``."""
    parts = split(archive, n_bytes)
    suffixes = [f".z{number:02d}" for number in range(1, len(parts))] + [".zip"]
    paths = [folder / f"{stem}{suffix}" for suffix in suffixes]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    return paths
