"""The one schema in which every data set lists its clips: a CSV file with one row per clip."""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiopg.errors import AudiopgError
from audiopg.provenance import file_digest
from audiopg.storage import write_text
from audiopg.tasks.card import Card

SPLITS = ("", "train", "val", "test")


@dataclass(frozen=True)
class Row:
    """One clip.

    Attributes:
        path: relative to the folder of the audio, with forward slashes.
        labels: class names; one, or several where the task is multi-label.
        fold: 1 to n_folds; None where the protocol has a split.
        split: ``train``, ``val`` or ``test``; empty where the protocol has folds.
        group: clips of one group share a recording, a speaker or an instrument, and stay in one fold.
        duration_s: duration in seconds, rounded to microseconds.
        source_id: what the source calls the clip.
        licence: licence of the clip.
        sha256: digest of the file.
    """

    path: str
    labels: tuple[str, ...]
    fold: int | None
    split: str
    group: str
    duration_s: float
    source_id: str
    licence: str
    sha256: str


COLUMNS = tuple(field.name for field in fields(Row))


def measure(file: Path) -> tuple[float, str]:
    """Return the duration of an audio file in seconds, rounded to microseconds, and its sha256.

    Raises:
        AudiopgError: the file is missing, is not audio or holds no samples.
    """
    try:
        info = soundfile.info(file)
        digest = file_digest(file)
    except (OSError, soundfile.SoundFileError) as error:
        msg = f"{file}: not a readable audio file; fetch the data again"
        raise AudiopgError(msg) from error
    if info.frames == 0:
        msg = f"{file}: contains no samples; fetch the data again"
        raise AudiopgError(msg)
    return round(info.frames / info.samplerate, 6), digest


@dataclass(frozen=True)
class Manifest:
    """The clips of one data set, sorted by path."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        """Sort, so that equal contents are equal manifests and equal files."""
        object.__setattr__(self, "rows", tuple(sorted(self.rows, key=lambda row: row.path)))

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.rows)

    @property
    def paths(self) -> list[str]:
        """Paths of the clips, relative to the folder of the audio."""
        return [row.path for row in self.rows]

    @property
    def folds(self) -> NDArray[np.int64]:
        """Fold of each clip, shape (n_clips,), int64 from 1; 0 where a clip has none."""
        return np.array([row.fold or 0 for row in self.rows], dtype=np.int64)

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each clip, shape (n_clips,)."""
        return np.array([row.group for row in self.rows], dtype=np.str_)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Labels that occur, in alphabetical order; after `check` these are the card's."""
        return tuple(sorted({label for row in self.rows for label in row.labels}))

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class of each clip of a single-label task, its place in ``class_names``, shape (n_clips,), int64.

        Raises:
            AudiopgError: a clip has several labels.
        """
        index = {name: number for number, name in enumerate(self.class_names)}
        for row in self.rows:
            if len(row.labels) != 1:
                msg = f"{row.path}: has {len(row.labels)} labels ({'|'.join(row.labels)}), expected one"
                raise AudiopgError(msg)
        return np.array([index[row.labels[0]] for row in self.rows], dtype=np.int64)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            AudiopgError: the file is missing, or a column or a value is not of the schema.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: not a readable manifest ({error}); make it again"
            raise AudiopgError(msg) from error
        reader = csv.DictReader(io.StringIO(text, newline=""))
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            msg = f"{path}: columns missing: {', '.join(missing)}; expected {', '.join(COLUMNS)}"
            raise AudiopgError(msg)
        rows = []
        for cells in reader:
            try:
                rows.append(parse(cells))
            except ValueError as error:
                msg = f"{path}:{reader.line_num}: {error}"
                raise AudiopgError(msg) from error
        return cls(tuple(rows))

    def write(self, path: Path) -> None:
        """Write the manifest atomically; equal manifests give equal bytes."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            cells = {"labels": "|".join(row.labels), "fold": row.fold or "", "duration_s": f"{row.duration_s:.6f}"}
            writer.writerow(asdict(row) | cells)
        write_text(path, buffer.getvalue())

    def check(self, card: Card, root: Path | None = None) -> None:
        """Compare the manifest with what was published, and the files with the manifest.

        Args:
            card: the published facts.
            root: folder of the audio, to look for the files too.

        Raises:
            AudiopgError: clips, classes or folds are not as published, a path occurs twice, a group is in two folds,
                or a class is missing from the training part of a fold. The message is one line.
        """
        self._check_clips(card, root)
        self._check_folds(card)
        self._check_classes(card)

    def _check_clips(self, card: Card, root: Path | None) -> None:
        twice = next((a for a, b in zip(self.paths, self.paths[1:], strict=False) if a == b), None)
        if twice is not None:
            msg = f"{card.name}: path {twice} occurs twice"
            raise AudiopgError(msg)
        missing = [path for path in self.paths if root is not None and not (root / path).is_file()]
        n_found = len(self) - len(missing)
        if missing or n_found != card.n_clips:
            place = "" if root is None else f" under {root}"
            names = f" (missing {', '.join(missing[:3])}{' …' * (len(missing) > 3)})" if missing else ""  # noqa: PLR2004
            msg = f"{card.name}: expected {card.n_clips} clips, found {n_found}{place}{names}"
            raise AudiopgError(msg)

    def _check_folds(self, card: Card) -> None:
        found, expected = set(self.folds.tolist()), set(range(1, card.n_folds + 1))
        if found != expected:
            msg = f"{card.name}: expected folds 1 to {card.n_folds}, found {sorted(found)} (0 stands for none)"
            raise AudiopgError(msg)
        fold_of: dict[str, int | None] = {}
        for row in self.rows:
            if fold_of.setdefault(row.group, row.fold) != row.fold:
                msg = f"{card.name}: group '{row.group}' is in folds {fold_of[row.group]} and {row.fold} ({row.path})"
                raise AudiopgError(msg)

    def _check_classes(self, card: Card) -> None:
        found = set(self.class_names)
        if found != set(card.class_names):
            unknown, absent = sorted(found - set(card.class_names)), sorted(set(card.class_names) - found)
            msg = f"{card.name}: expected {len(card.class_names)} classes; unknown {unknown}, without clips {absent}"
            raise AudiopgError(msg)
        for fold in range(1, card.n_folds + 1):
            trained = {label for row in self.rows if row.fold != fold for label in row.labels}
            absent = sorted(found - trained)
            if absent:
                msg = f"{card.name}: class '{absent[0]}' has no clip in the training part of fold {fold}"
                raise AudiopgError(msg)


def parse(cells: dict[str, str]) -> Row:
    """Convert the cells of one line.

    Raises:
        ValueError: a value is not of the schema; the message names the column and the value.
    """
    empty = [column for column in ("path", "labels", "group", "duration_s") if not cells[column]]
    if empty:
        msg = f"{empty[0]}: is empty"
        raise ValueError(msg)
    if cells["fold"] and not (cells["fold"].isdecimal() and int(cells["fold"]) > 0):
        msg = f"fold: '{cells['fold']}' is neither empty nor a whole number from 1"
        raise ValueError(msg)
    if cells["split"] not in SPLITS:
        msg = f"split: '{cells['split']}' is neither empty nor one of {', '.join(SPLITS[1:])}"
        raise ValueError(msg)
    try:
        duration_s = float(cells["duration_s"])
    except ValueError:
        msg = f"duration_s: '{cells['duration_s']}' is not a number"
        raise ValueError(msg) from None
    return Row(
        path=cells["path"],
        labels=tuple(cells["labels"].split("|")),
        fold=int(cells["fold"]) if cells["fold"] else None,
        split=cells["split"],
        group=cells["group"],
        duration_s=duration_s,
        source_id=cells["source_id"],
        licence=cells["licence"],
        sha256=cells["sha256"],
    )
