"""Own recordings: a CSV file that lists them is all that a task needs."""

import csv
import hashlib
import io
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from audiopg import config, storage
from audiopg.audio.files import SUFFIXES, printable, search
from audiopg.audio.length import measure
from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.folds import deal
from audiopg.tasks.manifest import SPLITS, Manifest, Row, parse
from audiopg.tasks.task import Task

REQUIRED = ("path", "labels")
OPTIONAL = ("fold", "split", "group", "source_id", "licence")
INVISIBLE, CONTROL = "Cf", "Cc"  # kinds of characters in Unicode
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}  # what spreadsheets write in place of commas


def task(name: str, section: config.Task) -> Task:
    """Build the task that a list of recordings describes; no audio is touched.

    Args:
        name: key of the task in ``params.yaml``.
        section: its section, with ``manifest`` (the CSV file), ``audio_root`` and ``protocol``.

    Raises:
        AudiopgError: the list cannot be read, or does not hold what its protocol needs.
    """
    listed, root = Path(section.manifest or "").expanduser(), Path(section.audio_root or "").expanduser()
    rows = read(listed)
    protocol = section.protocol or ""
    n_folds = 0 if protocol == "split" else int(protocol.partition("-")[0])
    if n_folds and not any(row.fold for row in rows):
        n_groups = len({row.group for row in rows})
        if n_groups < n_folds:
            msg = f"{listed}: {n_folds} folds need as many groups of recordings, found {n_groups}"
            raise AudiopgError(msg)
        rows = list(deal(rows, n_folds))  # before anything is left out, which moves no other recording
    rows = _used(rows, section.leave_out, f"tasks.{name}.leave_out", listed)
    rows, sizes = _folds(rows, n_folds, listed) if n_folds else _split(rows, listed)
    labels = {label for row in rows for label in row.labels}
    if len(labels) == 1:
        msg = f"{listed}: all recordings are of class '{labels.pop()}'; at least two classes are needed"
        raise AudiopgError(msg)
    card = Card(
        name=name,
        title=name,
        licence=" | ".join(sorted({row.licence for row in rows if row.licence})) or "not stated",
        citation="none",
        url=listed.as_posix(),
        protocol="split" if protocol == "split" else "folds",
        sizes=sizes,
        n_classes=len(labels),
        metric="mAP" if any(len(row.labels) > 1 for row in rows) else "accuracy",
    )
    Manifest(tuple(rows)).check(card)
    return Task(card, partial(_locate, name, root), partial(_make_manifest, name, rows))


def digest(section: config.Task) -> str:
    """Return a digest of a task's list of own recordings and its settings, or ``""`` for a registered task.

    Raises:
        AudiopgError: the list cannot be read.
    """
    if not section.own:
        return ""
    text = _text(Path(section.manifest or "").expanduser())
    return hashlib.sha256(
        storage.canonical([text, section.audio_root, section.protocol, section.leave_out]).encode()
    ).hexdigest()


def read(listed: Path) -> list[Row]:
    """Read a list of recordings: columns ``path`` and ``labels`` (several joined by ``|``), and optional ones.

    Optional columns: ``fold``, ``split``, ``group`` (the path itself), ``source_id``, ``licence``.

    Returns:
        Rows sorted by path, without duration and digest, which `measure` adds.

    Raises:
        AudiopgError: the file is missing or empty, lacks a column, a value is not allowed, or a recording occurs twice.
    """
    reader = csv.DictReader(io.StringIO(_text(listed), newline=""))
    try:
        columns = list(reader.fieldnames or ())
    except csv.Error as error:
        msg = f"{listed}:1: {error}"
        raise AudiopgError(msg) from error
    problem = _wrong_columns(columns)
    if problem:
        msg = f"{listed}: {problem}; needed: {', '.join(REQUIRED)}; possible: {', '.join(OPTIONAL)}"
        raise AudiopgError(msg)
    rows: dict[str, Row] = {}
    try:
        for cells in reader:
            row = _row(cells)
            if row.path in rows:
                msg = f"path: {row.path} is listed already"
                raise ValueError(msg)
            rows[row.path] = row
    except (ValueError, csv.Error) as error:
        msg = f"{listed}:{reader.line_num}: {error}"
        raise AudiopgError(msg) from error
    if not rows:
        msg = f"{listed}: lists no recordings"
        raise AudiopgError(msg)
    _refuse_look_alikes(rows.values(), listed)
    return sorted(rows.values(), key=lambda row: row.path)


def paths(section: config.Task) -> list[str]:
    """Return the paths of the recordings that a task uses, sorted.

    Args:
        section: of the task, which `task` has accepted.
    """
    unused = {posixpath.normpath(path) for path in section.leave_out}
    return [row.path for row in read(Path(section.manifest or "").expanduser()) if row.path not in unused]


def _used(rows: list[Row], leave_out: list[str], place: str, listed: Path) -> list[Row]:
    """Leave out recordings by their paths.

    Raises:
        AudiopgError: a path is not in the list, or nothing is left.
    """
    unused = {posixpath.normpath(path) for path in leave_out}
    unknown = sorted(unused - {row.path for row in rows})
    if unknown:
        msg = f"{place}: {unknown[0]} is not in {listed}"
        raise AudiopgError(msg)
    if len(unused) == len(rows):
        msg = f"{place}: leaves out all {len(rows)} recordings of {listed}"
        raise AudiopgError(msg)
    return [row for row in rows if row.path not in unused]


def _wrong_columns(columns: list[str]) -> str:
    """Say what is wrong with the first line of a list; nothing if it is right."""
    absent = [column for column in REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in REQUIRED + OPTIONAL]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if absent:
        found = f"found: {', '.join(map(repr, columns))}" if columns else "the first line is empty"
        return f"column '{absent[0]}' is missing, {found}{_guess(absent[0], unknown)}"
    if unknown:
        return f"unknown column {unknown[0]!r}"
    return f"column '{twice[0]}' is there {columns.count(twice[0])} times" if twice else ""


def _guess(absent: str, unknown: list[str]) -> str:
    """Guess what is meant by a first line in which a column is missing."""
    close = get_close_matches(absent, [column.strip().lower() for column in unknown], n=1)
    name = next((column for column in unknown if close and column.strip().lower() == close[0]), None)
    if name is not None:
        return f"; rename {name!r} to '{absent}'"
    if any(PurePosixPath(column).suffix.lower() in SUFFIXES for column in unknown):
        return "; the first line has to name the columns"
    separator = next((sign for sign in SEPARATORS if any(sign in column for column in unknown)), None)
    return f"; {SEPARATORS[separator]} seem to separate the columns, use commas" if separator else ""


def _refuse_look_alikes(rows: Iterable[Row], listed: Path) -> None:
    """Refuse labels that differ in nothing that can be seen, such as "fish" with "fi" in one character or in two."""
    seen: dict[str, str] = {}
    for label in sorted({label for row in rows for label in row.labels}):
        shown = "".join(
            sign for sign in unicodedata.normalize("NFKC", label) if unicodedata.category(sign) != INVISIBLE
        )
        other = seen.setdefault(shown, label)
        if other != label:
            msg = f"{listed}: the labels {other!a} and {label!a} look alike; write only one of them"
            raise AudiopgError(msg)


def _row(cells: dict[str | None, Any]) -> Row:
    """Convert the cells of one line; paths are normalised, and labels and groups composed (Unicode NFC).

    Raises:
        ValueError: as `parse`, or there are more cells than columns, or a cell goes over several lines.
    """
    if None in cells:  # where csv puts them
        msg = f"more cells than columns ({', '.join(cells[None])}); a cell with a comma in it needs quotes"
        raise ValueError(msg)
    filled = {column: (cells.get(column) or "").strip() for column in REQUIRED + OPTIONAL}
    if any(len(cell.splitlines()) > 1 for cell in filled.values()):
        msg = "a cell goes over several lines; is a quote missing?"
        raise ValueError(msg)
    control = next((sign for sign in filled["labels"] if unicodedata.category(sign) == CONTROL), None)
    if control is not None:
        msg = f"labels: {filled['labels']!a} has the control character {control!a} in it"
        raise ValueError(msg)
    # equal to the eye, such as "é" in one character or in two, as macOS writes it
    filled |= {column: unicodedata.normalize("NFC", filled[column]) for column in ("labels", "group")}
    if filled["path"]:
        filled["path"] = posixpath.normpath(filled["path"])
    return parse(filled | {"group": filled["group"] or filled["path"], "duration_s": "0", "sha256": ""})


def scan(root: Path) -> str:
    """List the audio files below a folder; the label of a file is the name of its folder.

    Returns:
        A list for `read`: columns ``path`` and ``labels``, sorted by path.

    Raises:
        AudiopgError: there is no such folder, a file lies in no folder of its own class, none is audio, a link is
            broken, or a name cannot be in a list.
    """
    if not root.is_dir():
        msg = f"{printable(root)}: no such folder"
        raise AudiopgError(msg)
    found = search(root)
    found.report()
    files = [file.relative_to(root) for file in found.recordings]
    stray = next((file for file in files if len(file.parts) == 1), None)
    if stray is not None:
        msg = f"{root}: {stray} lies in no folder named after its class"
        raise AudiopgError(msg)
    buffer = io.StringIO(newline="")
    rows = [REQUIRED, *((file.as_posix(), _label(root, file)) for file in files)]
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _label(root: Path, file: Path) -> str:
    """Return the label of a recording, by its folder, and check that a list gives both back as they are."""
    label = unicodedata.normalize("NFC", file.parts[-2])
    row = _row({"path": file.as_posix(), "labels": label})
    wrong = file.parent if row.labels != (label,) else file if row.path != file.as_posix() else None
    if wrong is not None:
        problem = "has a bar in it, which separates labels" if "|" in label else "begins or ends with a blank"
        msg = f"{root / wrong}: the name {problem}; rename it"
        raise AudiopgError(msg)
    return label


def _text(listed: Path) -> str:
    if listed.exists() and not listed.is_file():
        msg = f"{printable(listed)}: not a readable list of recordings (a folder, pipe or device)"
        raise AudiopgError(msg)
    try:
        return listed.read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"{printable(listed)}: not a readable list of recordings ({error.strerror or error})"
        raise AudiopgError(msg) from None
    except UnicodeDecodeError as error:
        msg = f"{printable(listed)}: not a readable list of recordings ({error.reason}); save it as UTF-8"
        raise AudiopgError(msg) from None


def _split(rows: list[Row], listed: Path) -> tuple[list[Row], tuple[int, ...]]:
    sizes = Counter(row.split for row in rows)
    absent = [split for split in SPLITS[1:] if not sizes[split]]
    if absent or sizes[""]:
        problem = f"no row has split '{absent[0]}'" if absent else f"{sizes['']} rows have no split"
        msg = f"{listed}: {problem}; protocol 'split' needs one of {', '.join(SPLITS[1:])} in each row"
        raise AudiopgError(msg)
    return [replace(row, fold=None) for row in rows], tuple(sizes[split] for split in SPLITS[1:])


def _folds(rows: list[Row], n_folds: int, listed: Path) -> tuple[list[Row], tuple[int, ...]]:
    rows = [replace(row, split="") for row in rows]
    sizes = Counter(row.fold for row in rows)
    if set(sizes) != set(range(1, n_folds + 1)):
        found = ", ".join(str(fold or "none") for fold in sorted(sizes, key=lambda fold: fold or 0))
        msg = f"{listed}: protocol '{n_folds}-fold' needs folds 1 to {n_folds}, found {found}"
        raise AudiopgError(msg)
    return rows, tuple(sizes[fold] for fold in range(1, n_folds + 1))


def _locate(name: str, root: Path, data_dir: Path) -> Path:  # noqa: ARG001 - own recordings stay where they are
    if not root.is_dir():
        msg = f"tasks.{name}.audio_root: {root} is not a folder"
        raise AudiopgError(msg)
    return root


def _make_manifest(name: str, rows: list[Row], root: Path) -> Manifest:
    measured = []
    first: dict[str, Row] = {}
    for listed in rows:
        try:
            duration_s, sha256 = measure(root / listed.path)
        except AudiopgError as error:
            msg = f"{error}; `audiopg check {name}` lists all recordings that cannot be used"
            raise AudiopgError(msg) from error
        row = replace(listed, duration_s=duration_s, sha256=sha256)
        # Own recordings only: published protocols stay as they are, even if they hold copies.
        copy = first.setdefault(sha256, row)
        if (copy.fold, copy.split) != (row.fold, row.split):
            msg = (
                f"{name}: {copy.path} and {row.path} are the same recording in {copy.fold or copy.split} and in"
                f" {row.fold or row.split}; remove one, or give both the same group"
            )
            raise AudiopgError(msg)
        measured.append(row)
    return Manifest(tuple(measured))
