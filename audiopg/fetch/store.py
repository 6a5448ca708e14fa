"""The recordings of a task on this machine: fetched and unpacked once, verified, shared by all projects of a user."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock, Timeout

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.fetch import receipt
from audiopg.fetch.archives import listing_digest, members
from audiopg.fetch.download import download
from audiopg.fetch.receipt import File
from audiopg.progress import progress, say
from audiopg.tasks.card import Card
from audiopg.tasks.task import Archive, Download, Task

SHOWN = 10


def data_folder() -> Path:
    """Return where recordings and caches live: ``$AUDIOPG_DATA``, else the user's cache folder."""
    chosen = os.environ.get("AUDIOPG_DATA")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("audiopg", appauthor=False))


def archive_path(archive: Archive) -> Path:
    """Return where an archive is kept. The folder ``downloads`` is laid out as a mirror, and can serve as one."""
    parts = urlsplit(archive.url)
    return data_folder() / "downloads" / parts.netloc / parts.path.lstrip("/")


def fetch(task: Task) -> Path:
    """Return the folder with a task's recordings; what is not on this machine is fetched or rendered first.

    Raises:
        AudiopgError: the disk is too small, no source has the right files, or an archive is damaged.
    """
    if not isinstance(task.source, Download):
        return task.source(data_folder())
    root = data_folder() / task.card.name
    if not (root / receipt.NAME).exists():
        with _alone(task.card.name):
            if not (root / receipt.NAME).exists():
                _introduce(task.card)
                _obtain(task.source.archives, task.card, task.source, task.source.n_bytes)
                _unpack(task.source, root)
    return root


def check(task: Task) -> None:
    """Verify all files of a task; name the damaged or missing ones, and fetch only those again.

    Archives that were deleted to save space are fetched again only if something has to be taken from them.

    Raises:
        AudiopgError: as `fetch`.
    """
    root = data_folder() / task.card.name
    if not isinstance(task.source, Download):
        fetch(task)
        say(f"{task.card.name}: nothing was fetched; its manifest holds a digest of each recording")
        return
    if not (root / receipt.NAME).exists():
        fetch(task)  # which verifies all that it downloads
        return
    with _alone(task.card.name):
        _introduce(task.card)
        here = [archive for archive in task.source.archives if archive_path(archive).exists()]
        _obtain(here, task.card, task.source)
        files = receipt.read(root)
        damaged = receipt.altered(root, files, task.card.name, {})
        if damaged:
            _name_some(root, [file.path for file in damaged])
            _unpack_again(task.card, task.source, root, damaged)
        say(f"{task.card.name}: {len(files)} files are as they were fetched, {len(damaged)} of them fetched again")


def _name_some(root: Path, paths: list[str]) -> None:
    for path in paths[:SHOWN]:
        say(f"{root / path}: {'damaged' if (root / path).exists() else 'missing'}")
    if len(paths) > SHOWN:
        say(f"… and {len(paths) - SHOWN} more")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time touch a task's files."""
    data_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_folder() / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: waiting for another process that fetches it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _introduce(card: Card) -> None:
    say(f"{card.name}: {card.title}, {card.url}; licence: {card.licence}; cite: {card.citation}")


def missing_bytes(archives: Sequence[Archive]) -> int:
    """Return how much of some archives is still to be downloaded, in bytes."""
    missing = 0
    for archive in archives:
        path = archive_path(archive)
        if not path.exists():
            parts = path.parent.glob(f".{path.stem}.*.part{path.suffix}")
            missing += max(archive.n_bytes - max((part.stat().st_size for part in parts), default=0), 0)
    return missing


def free_bytes() -> int:
    """Return the free space where the data goes, in bytes."""
    folder = data_folder().absolute()
    return shutil.disk_usage(next(parent for parent in [folder, *folder.parents] if parent.exists())).free


def _obtain(archives: Sequence[Archive], card: Card, source: Download, n_unpacked: int = 0) -> None:
    """Download archives that are missing or wrong, if there is room for them and ``n_unpacked`` bytes."""
    for archive in archives:
        path = archive_path(archive)
        if path.exists():
            try:
                _verify(archive, source, path)
            except AudiopgError as error:
                say(f"{path}: damaged ({error}), fetching it again")
                path.unlink()
    needed, free = missing_bytes(archives) + n_unpacked, free_bytes()
    if needed > free:
        msg = (
            f"{card.name}: needs {needed / 1e9:.1f} GB under {data_folder()}, {free / 1e9:.1f} GB are free;"
            " set AUDIOPG_DATA to a folder on a larger disk"
        )
        raise AudiopgError(msg)
    for archive in archives:
        path = archive_path(archive)
        if not path.exists():
            download(archive.url, path, partial(_verify, archive, source))


def _verify(archive: Archive, source: Download, path: Path) -> None:
    """Compare a file with the size and digests of an archive.

    Raises:
        AudiopgError: it is another one, or damaged.
    """
    if archive.digest:
        algorithm, _, expected = archive.digest.partition(":")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        _compare(f"{algorithm} of {archive_path(archive).name}", found, expected)
    if archive.audio_digest or archive.member_digests:
        algorithms = {name: digest.partition(":")[0] for name, digest in archive.member_digests.items()}
        found_in = {}
        for member in members([path], top_folder=source.top_folder):
            digest = hashlib.new(algorithms.get(member.path, "sha256"))
            for chunk in member.chunks:
                digest.update(chunk)
            found_in[member.path] = digest.hexdigest()
        for name, expected in archive.member_digests.items():
            _compare(f"{algorithms[name]} of {name}", found_in.get(name, "missing"), expected.partition(":")[2])
        if archive.audio_digest:
            _compare("sha256 of the list of audio files", listing_digest(found_in.items()), archive.audio_digest)


def _compare(what: str, found: str, expected: str) -> None:
    if found != expected:
        msg = f"{what} is {found[:12]}…, expected {expected[:12]}…"
        raise AudiopgError(msg)


def volume_sets(source: Download) -> list[list[Archive]]:
    """Group archives that are volumes of one, in their order: ``x.z01``, ``x.z02`` … ``x.zip``."""
    sets: dict[str, list[Archive]] = {}
    for archive in source.archives:
        name = archive_path(archive)
        is_volume = name.suffix == ".zip" or name.suffix[1:2] == "z"
        sets.setdefault(str(name.with_suffix("")) if is_volume else str(name), []).append(archive)
    # "zip" sorts after "z01" to "z99"
    return [sorted(volumes, key=lambda archive: archive.url) for volumes in sets.values()]


def _unpack(source: Download, root: Path) -> None:
    """Unpack all archives into a folder that appears only when it is complete."""
    if root.exists():
        msg = f"{root}: exists without {receipt.NAME}, so audiopg did not fetch it; move it away"
        raise AudiopgError(msg)
    temporary = root.with_name(f".{root.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    files = [file for volumes in volume_sets(source) for file in _take(volumes, source, temporary, None)]
    receipt.write(temporary, files)
    temporary.rename(root)


def _unpack_again(card: Card, source: Download, root: Path, damaged: list[File]) -> None:
    """Unpack single files again, from the archives that they came from."""
    origins = {file.archive for file in damaged}
    sets = [volumes for volumes in volume_sets(source) if archive_path(volumes[-1]).name in origins]
    _obtain([archive for volumes in sets for archive in volumes], card, source)
    wanted = {file.path: file.sha256 for file in damaged}
    taken = {file.path: file.sha256 for volumes in sets for file in _take(volumes, source, root, set(wanted))}
    wrong = [path for path, sha256 in wanted.items() if taken.get(path) != sha256]
    if wrong:
        msg = f"{root}: {wrong[0]} is not in its archive as {receipt.NAME} lists it; delete the folder and fetch again"
        raise AudiopgError(msg)


def _take(volumes: list[Archive], source: Download, folder: Path, wanted: set[str] | None) -> list[File]:
    """Write the members of one archive below a folder, all or only the wanted ones."""
    name = archive_path(volumes[-1]).name
    taken = []
    found = members([archive_path(archive) for archive in volumes], top_folder=source.top_folder)
    for member in progress(found, f"{name}: unpacking", total=0, unit="files"):
        if wanted is not None and member.path not in wanted:
            continue
        if member.path == receipt.NAME:
            msg = f"{name}: member {receipt.NAME} has the name of the list that audiopg itself keeps"
            raise AudiopgError(msg)
        digest = hashlib.sha256()
        with storage.replacing(folder / member.path) as temporary, temporary.open("wb") as file:
            for chunk in member.chunks:
                digest.update(chunk)
                file.write(chunk)
        taken.append(File(member.path, digest.hexdigest(), name))
    return taken
