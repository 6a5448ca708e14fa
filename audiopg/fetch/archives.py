"""Members of zip, split zip and tar.gz archives, one by one; members that no honest archive holds are refused."""

import gzip
import hashlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from audiopg.errors import AudiopgError
from audiopg.fetch.split_zip import SplitZip

CHUNK = 1 << 18
AUDIO = {".wav", ".ogg", ".flac"}
# Recordings shrink to a half or a third, text to a tenth; nothing that is meant to be unpacked shrinks to a hundredth.
RATIO_MAX = 100
TYPE, PLAIN = 0o170000, {0, 0o100000}  # of Unix file modes; zip archives from elsewhere have none
ENCRYPTED = 1
FORBIDDEN = ("\\", "\0", ":")  # separators and drives of other systems
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    struct.error,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)


class Member(NamedTuple):
    """One file in an archive; read its bytes before you ask for the next member."""

    path: str
    chunks: Iterator[bytes]


class Entry(NamedTuple):
    """What an archive says of a member, and how to read it."""

    name: str
    n_bytes: int
    is_folder: bool
    is_file: bool
    chunks: Callable[[], Iterator[bytes]]


def members(volumes: Sequence[Path], *, top_folder: bool) -> Iterator[Member]:
    """Yield the files of an archive in their order.

    Args:
        volumes: one zip or tar.gz; or the volumes of a split zip in their order, ``.zip`` last.
        top_folder: whether there is one folder around everything; paths are then given without it.

    Raises:
        AudiopgError: the archive is damaged; or a member would leave the folder that it is unpacked to, is neither file
            nor folder, is encrypted, occurs twice, or all of them together are absurdly large.
    """
    limit = RATIO_MAX * sum(volume.stat().st_size for volume in volumes)
    archive, total = volumes[-1].name, 0
    seen: set[str] = set()
    entries = _entries(volumes)
    while True:
        try:
            entry = next(entries)
        except StopIteration:
            return
        except DAMAGE as error:
            msg = f"{archive}: damaged archive ({error})"
            raise AudiopgError(msg) from error
        path = _path(entry, archive, top_folder=top_folder)
        if entry.is_folder:
            continue
        total += entry.n_bytes
        if path in seen or total > limit:
            problem = "occurs twice" if path in seen else f"makes it larger than {limit} bytes when unpacked"
            msg = f"{archive}: member {entry.name} {problem}"
            raise AudiopgError(msg)
        seen.add(path)
        yield Member(path, _chunks(entry, archive))


def _path(entry: Entry, archive: str, *, top_folder: bool) -> str:
    """Return where a member belongs below the folder that it is unpacked to."""
    path = PurePosixPath(entry.name)
    escapes = path.is_absolute() or ".." in path.parts or any(sign in entry.name for sign in FORBIDDEN)
    if escapes or not (entry.is_folder or entry.is_file):
        problem = "would leave the folder" if escapes else "is neither file nor folder"
        msg = f"{archive}: member {entry.name!r} {problem}"
        raise AudiopgError(msg)
    parts = path.parts[1:] if top_folder else path.parts
    if not parts and not entry.is_folder:
        msg = f"{archive}: member {entry.name!r} lies outside the folder that should be around everything"
        raise AudiopgError(msg)
    return "/".join(parts)


def _chunks(entry: Entry, archive: str) -> Iterator[bytes]:
    """Yield the bytes of a member; no reader of these archives yields more than were announced."""
    try:
        yield from entry.chunks()
    except DAMAGE as error:
        msg = f"{archive}: damaged archive, member {entry.name} ({error})"
        raise AudiopgError(msg) from error


def listing_digest(files: Iterable[tuple[str, str]]) -> str:
    """Return the digest of the audio files of a data set, however they are packed.

    It is the sha256 over the lines ``<sha256 of the file>  <path>``, sorted by path.

    Args:
        files: (path, sha256 of the file) of each file; only audio files count.
    """
    audio = sorted((path, digest) for path, digest in files if PurePosixPath(path).suffix in AUDIO)
    return hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in audio).encode()).hexdigest()


def _entries(volumes: Sequence[Path]) -> Iterator[Entry]:
    if len(volumes) > 1:
        with closing(SplitZip(volumes)) as split:
            for info in split.infolist():
                yield _zipped(info, partial(split.chunks, info))
    elif volumes[0].suffix == ".zip":
        with zipfile.ZipFile(volumes[0]) as file:
            for info in file.infolist():
                yield _zipped(info, partial(_pieces, partial(file.open, info)))
    else:
        with gzip.open(volumes[0]) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    chunks = partial(_pieces, partial(tar.extractfile, member))
                    yield Entry(member.name, member.size, member.isdir(), member.isreg(), chunks)
            # the checksum of everything comes last
            while stream.read(CHUNK):
                pass


def _zipped(info: zipfile.ZipInfo, chunks: Callable[[], Iterator[bytes]]) -> Entry:
    if info.flag_bits & ENCRYPTED:
        msg = f"member {info.filename} is encrypted"
        raise zipfile.BadZipFile(msg)
    plain = (info.external_attr >> 16) & TYPE in PLAIN
    return Entry(info.filename, info.file_size, info.is_dir(), plain, chunks)


def _pieces(opened: Callable[[], IO[bytes] | None]) -> Iterator[bytes]:
    file = opened()
    assert file is not None  # tarfile has one for every plain file
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
