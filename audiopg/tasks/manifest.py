"""The one schema in which every data set lists its clips: a CSV file with one row per clip."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float32, Int64
from audiopg.audio.length import measure
from audiopg.errors import AudiopgError
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

    @classmethod
    def measured(  # noqa: PLR0913
        cls,
        root: Path,
        path: str,
        labels: tuple[str, ...],
        *,
        group: str,
        source_id: str,
        licence: str,
        fold: int | None = None,
        split: str = "",
    ) -> "Row":
        """Describe a file under ``root``, with its duration and digest.

        Raises:
            AudiopgError: as `measure`.
        """
        duration_s, sha256 = measure(root / path)
        return cls(path, labels, fold, split, group, duration_s, source_id, licence, sha256)


COLUMNS = tuple(field.name for field in fields(Row))


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
    def parts(self) -> Int64 | NDArray[np.str_]:
        """Fold (from 1) or split (``train``, ``val`` or ``test``) of each clip, shape (n_clips,)."""
        return np.array([row.fold or row.split for row in self.rows])

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each clip, shape (n_clips,)."""
        return np.array([row.group for row in self.rows], dtype=np.str_)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Labels that occur, in alphabetical order, which is the order of the class numbers."""
        return tuple(sorted({label for row in self.rows for label in row.labels}))

    @cached_property
    def targets(self) -> Float32:
        """1 where a clip has a label, else 0, shape (n_clips, C), float32."""
        index = {name: number for number, name in enumerate(self.class_names)}
        targets = np.zeros((len(self), len(index)), dtype=np.float32)
        for number, row in enumerate(self.rows):
            targets[number, [index[label] for label in row.labels]] = 1
        return targets

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            AudiopgError: the file is missing or lists nothing, or a column or a value is not of the schema.
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
        if not rows:
            msg = f"{path}: lists no recordings; make it again"
            raise AudiopgError(msg)
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
        """Compare the manifest with the published facts, and the files with the manifest.

        Args:
            card: the published facts.
            root: folder of the audio, to look for the files too.

        Raises:
            AudiopgError: clips, classes, folds or splits are not as published, a path occurs twice, a group is in two
                folds or splits, a clip has several labels where one is allowed, or a class is missing from the training
                part of a fold. The message is one line.
        """
        self._check_clips(card, root)
        self._check_parts(card)
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

    def _check_parts(self, card: Card) -> None:
        names = range(1, card.n_folds + 1) if card.protocol == "folds" else SPLITS[1:]
        expected = dict(zip(names, card.sizes, strict=True))
        found = Counter(self.parts.tolist())
        if found != expected:
            msg = f"{card.name}: expected {card.protocol} of {_counts(expected)} clips, found {_counts(found)}"
            raise AudiopgError(msg)
        part_of: dict[str, int | str] = {}
        for row in self.rows:
            part = row.fold or row.split
            if part_of.setdefault(row.group, part) != part:
                first = part_of[row.group]
                msg = f"{card.name}: group '{row.group}' is in {first} and in {part} ({row.path})"
                raise AudiopgError(msg)

    def _check_classes(self, card: Card) -> None:
        found = set(self.class_names)
        if len(found) != card.n_classes:
            msg = (
                f"{card.name}: expected {card.n_classes} classes, found {len(found)} ({', '.join(sorted(found)[:5])} …)"
            )
            raise AudiopgError(msg)
        several = next((row for row in self.rows if len(row.labels) > 1), None)
        if several is not None and not card.multi_label:
            msg = f"{several.path}: has {len(several.labels)} labels ({'|'.join(several.labels)}), expected one"
            raise AudiopgError(msg)
        for run in range(1, card.n_folds + 1):
            training = [row for row in self.rows if (row.split == "train" if row.split else row.fold != run)]
            absent = sorted(found - {label for row in training for label in row.labels})
            if absent:
                place = f"training part of fold {run}" if card.protocol == "folds" else "training split"
                msg = f"{card.name}: class '{absent[0]}' has no clip in the {place}"
                raise AudiopgError(msg)
        if card.multi_label:
            self._check_differences(card)

    def _check_differences(self, card: Card) -> None:
        """Refuse a part that is scored and whose clips all have the same labels: there is nothing to rank them by."""
        labels: dict[int | str, set[frozenset[str]]] = {}
        for row in self.rows:
            labels.setdefault(row.fold or row.split, set()).add(frozenset(row.labels))
        for part, found in labels.items():
            if len(found) == 1 and part != "train":
                place = f"fold {part}" if card.protocol == "folds" else f"split '{part}'"
                same = "|".join(sorted(*found))
                msg = f"{card.name}: all clips of {place} have the same labels ({same}); put others there"
                raise AudiopgError(msg)


def _counts(sizes: Mapping[Any, int]) -> str:
    """Write how many clips each fold or split has, such as ``1: 40, 2: 38``."""
    return ", ".join(f"{part or 'none'}: {size}" for part, size in sorted(sizes.items(), key=lambda item: str(item[0])))


def parse(cells: dict[str, str]) -> Row:
    """Convert the cells of one line.

    Raises:
        ValueError: a value is not of the schema; the message names the column and the value.
    """
    empty = [column for column in ("path", "labels", "group", "duration_s") if not cells[column]]
    if empty:
        msg = f"{empty[0]}: is empty"
        raise ValueError(msg)
    labels = tuple(label.strip() for label in cells["labels"].split("|"))
    if "" in labels or len(set(labels)) < len(labels):
        msg = f"labels: '{cells['labels']}' has an empty or a repeated label"
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
        labels=labels,
        fold=int(cells["fold"]) if cells["fold"] else None,
        split=cells["split"],
        group=cells["group"],
        duration_s=duration_s,
        source_id=cells["source_id"],
        licence=cells["licence"],
        sha256=cells["sha256"],
    )
