"""Reading the lists that come with a data set."""

import csv
from pathlib import Path

from audiopg.errors import AudiopgError

REMEDY = "`audiopg fetch --check` downloads it again"


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file that has at least these columns.

    Raises:
        AudiopgError: it is missing, lacks a column, or a line is too short.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable list ({error}); {REMEDY}"
        raise AudiopgError(msg) from None
    for number, row in enumerate(rows, start=2):
        absent = [column for column in columns if not row.get(column)]
        if absent:
            msg = f"{path}:{number}: no '{absent[0]}'; {REMEDY}"
            raise AudiopgError(msg)
    return rows


def read_lines(path: Path) -> list[str]:
    """Read a list with one entry per line.

    Raises:
        AudiopgError: it is missing or not text.
    """
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable list ({error}); {REMEDY}"
        raise AudiopgError(msg) from None


def compare(root: Path, files: set[str], listed: set[str]) -> None:
    """Compare the files that are there with the listed ones.

    Args:
        root: folder of the data set.
        files: paths of the audio files below it.
        listed: paths in the data set's own list.

    Raises:
        AudiopgError: a file is missing, or is not listed.
    """
    for problem, paths in (("missing", listed - files), ("not listed", files - listed)):
        if paths:
            msg = f"{root / min(paths)}: {problem} ({len(paths)} such files); {REMEDY}"
            raise AudiopgError(msg)
