"""The receipt of a task: which files were unpacked into its folder, with a digest of each."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.progress import progress

NAME = "contents.csv"


class File(NamedTuple):
    """One unpacked file: path, sha256, and the archive it came from."""

    path: str
    sha256: str
    archive: str


def write(folder: Path, files: Iterable[File]) -> None:
    """Write the receipt of a folder, sorted."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([File._fields, *sorted(files)])
    storage.write_text(folder / NAME, buffer.getvalue())


def read(folder: Path) -> list[File]:
    """Read the receipt of a folder.

    Raises:
        AudiopgError: it is missing or damaged.
    """
    try:
        with (folder / NAME).open(encoding="utf-8", newline="") as file:
            return [File(**row) for row in csv.DictReader(file)]
    except (OSError, TypeError, UnicodeDecodeError) as error:
        msg = f"{folder / NAME}: damaged ({error}); delete the folder {folder} and fetch again"
        raise AudiopgError(msg) from error


def altered(folder: Path, files: Sequence[File], label: str, known: Mapping[str, str]) -> list[File]:
    """Return the files that are missing or changed.

    Args:
        folder: the folder.
        files: what its receipt lists.
        label: whose progress is shown.
        known: sha256 by path of files that have just been read, and need not be read again.
    """

    def as_listed(file: File) -> bool:
        path = folder / file.path
        return path.is_file() and (known.get(file.path) or storage.file_digest(path)) == file.sha256

    listed = progress(files, f"{label}: verifying", total=len(files), unit="files")
    return [file for file in listed if not as_listed(file)]
