"""Files that are either whole or absent: written under a temporary name, then renamed; and their digests."""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` that becomes ``path`` when the block ends without an exception.

    The temporary name keeps the suffix, for writers that choose the format by it. The file gets the permissions that
    the umask allows, whatever its writer sets: safetensors would make it unreadable for everybody else.

    Raises:
        AudiopgError: there is something of the name that is no file, the disk is full, or the folder cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a device or pipe, not a file"
            msg = f"{path}: is {kind}; choose the name of a file"
            raise AudiopgError(msg)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            permissions = temporary.stat().st_mode
            yield temporary
            temporary.chmod(stat.S_IMODE(permissions))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error}); free some space or choose another place"
        raise AudiopgError(msg) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV without its index, six significant digits, atomically."""
    write_text(path, table.to_csv(index=False, float_format="%.6g"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON, atomically; the order of the keys is kept."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        AudiopgError: the file is missing, or is no JSON mapping.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            msg = f"a {type(data).__name__}"
            raise ValueError(msg)  # noqa: TRY004, TRY301  (told as what is no JSON at all)
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise AudiopgError(msg) from None
    except ValueError as error:
        msg = f"{path}: not a JSON mapping ({error}); if it is the workflow's, delete it and run again"
        raise AudiopgError(msg) from None
    return data


def canonical(value: object) -> str:
    """Write a value as JSON with sorted keys, so that comparisons ignore the order of keys.

    >>> canonical({"b": 1, "a": [2, 3]})
    '{"a":[2,3],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
