"""The manifest: its file, its arrays, and each thing that it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import COLUMNS, Manifest, Row

CARD = Card("pets", "Pets", "CC0", "nobody", "https://example.org", "folds", (2, 2), 2, "accuracy")


def row(path: str, label: str, fold: int) -> Row:
    return Row(path, (label,), fold, "", path, 1.25, f"pets/{path}", "CC0", "0" * 64)


ROWS = (row("b.wav", "dog", 1), row("a.wav", "cat", 1), row("c/d, e.wav", "cat", 2), row("f.wav", "dog", 2))


def with_row(number: int, **changes: object) -> Manifest:
    """The good manifest with one row changed."""
    return Manifest((*ROWS[:number], replace(ROWS[number], **changes), *ROWS[number + 1 :]))  # type: ignore[arg-type]


def test_columns() -> None:
    assert COLUMNS == ("path", "labels", "fold", "split", "group", "duration_s", "source_id", "licence", "sha256")


def test_arrays_follow_the_sorted_paths() -> None:
    manifest = Manifest(ROWS)
    assert manifest.paths == ["a.wav", "b.wav", "c/d, e.wav", "f.wav"]
    assert manifest.class_names == ("cat", "dog")
    assert manifest.targets.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert manifest.parts.tolist() == [1, 1, 2, 2]
    assert manifest.groups.tolist() == manifest.paths
    assert [row.duration_s for row in manifest.rows] == [1.25] * 4
    assert len(manifest) == 4


def test_several_labels_are_several_targets() -> None:
    manifest = with_row(1, labels=("cat", "dog"))
    assert manifest.targets.tolist() == [[1, 1], [0, 1], [1, 0], [0, 1]]
    manifest.check(replace(CARD, metric="mAP"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([("cat", "dog"), ("dog", "cat"), ("cat",), ("dog",)], "fold 1 have the same labels (cat|dog)"),
        ([("cat",), ("dog",), ("cat",), ("cat",)], "fold 2 have the same labels (cat)"),
    ],
)
def test_a_part_that_gives_no_class_anything_to_rank_is_refused(labels: list[tuple[str, ...]], message: str) -> None:
    rows = [replace(each, labels=own) for each, own in zip(ROWS, labels, strict=True)]
    rows += [replace(each, path=f"again/{each.path}", group=f"again/{each.path}", fold=3) for each in ROWS]
    with pytest.raises(AudiopgError) as caught:
        Manifest(tuple(rows)).check(replace(CARD, sizes=(2, 2, 4), metric="mAP"))
    assert str(caught.value) == f"pets: all clips of {message}; put others there"


def in_splits() -> Manifest:
    """Two classes in training, one clip to select on and one to report."""
    splits = ("val", "train", "test", "train")
    return Manifest(tuple(replace(row, fold=None, split=split) for row, split in zip(ROWS, splits, strict=True)))


SPLIT_CARD = replace(CARD, protocol="split", sizes=(2, 1, 1))


def test_round_trip_and_bytes(tmp_path: Path) -> None:
    manifest = Manifest((*ROWS, replace(ROWS[0], path="g.wav", labels=("cat", "dog"), fold=None, split="val")))
    manifest.write(tmp_path / "one.csv")
    Manifest(manifest.rows[::-1]).write(tmp_path / "two.csv")
    assert Manifest.read(tmp_path / "one.csv") == manifest
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    lines = (tmp_path / "one.csv").read_text().splitlines()
    assert lines[1] == f"a.wav,cat,1,,a.wav,1.250000,pets/a.wav,CC0,{'0' * 64}"
    assert lines[-1] == f"g.wav,cat|dog,,val,b.wav,1.250000,pets/b.wav,CC0,{'0' * 64}"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.csv", "two.csv"]


def test_check_passes(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    for one in ROWS:
        (tmp_path / one.path).touch()
    Manifest(ROWS).check(CARD)
    in_splits().check(SPLIT_CARD)
    Manifest(ROWS).check(CARD, tmp_path)
    (tmp_path / "f.wav").unlink()
    with pytest.raises(AudiopgError) as caught:
        Manifest(ROWS).check(CARD, tmp_path)
    assert str(caught.value) == f"pets: expected 4 clips, found 3 under {tmp_path} (missing f.wav)"


@pytest.mark.parametrize(
    ("manifest", "card", "message"),
    [
        (Manifest(ROWS[1:]), CARD, "pets: expected 4 clips, found 3"),
        (with_row(0, path="a.wav"), CARD, "pets: path a.wav occurs twice"),
        (with_row(0, fold=3), CARD, "pets: expected folds of 1: 2, 2: 2 clips, found 1: 1, 2: 2, 3: 1"),
        (with_row(0, fold=None), CARD, "pets: expected folds of 1: 2, 2: 2 clips, found none: 1, 1: 1, 2: 2"),
        (with_row(0, fold=2), CARD, "pets: expected folds of 1: 2, 2: 2 clips, found 1: 1, 2: 3"),
        (
            Manifest(ROWS),
            replace(CARD, sizes=(2, 1, 1)),
            "pets: expected folds of 1: 2, 2: 1, 3: 1 clips, found 1: 2, 2: 2",
        ),
        (
            Manifest(ROWS),
            SPLIT_CARD,
            "pets: expected split of test: 1, train: 2, val: 1 clips, found 1: 2, 2: 2",
        ),
        (
            in_splits(),
            replace(SPLIT_CARD, sizes=(1, 2, 1)),
            "pets: expected split of test: 1, train: 1, val: 2 clips, found test: 1, train: 2, val: 1",
        ),
        (with_row(3, group="a.wav"), CARD, "pets: group 'a.wav' is in 1 and in 2 (f.wav)"),
        (
            Manifest(tuple(replace(row, group="x") if row.path[0] in "ab" else row for row in in_splits().rows)),
            SPLIT_CARD,
            "pets: group 'x' is in train and in val (b.wav)",
        ),
        (with_row(1, labels=("cat", "dog")), CARD, "a.wav: has 2 labels (cat|dog), expected one"),
        (with_row(0, labels=("bird",)), CARD, "pets: expected 2 classes, found 3 (bird, cat, dog …)"),
        (Manifest(ROWS), replace(CARD, n_classes=3), "pets: expected 3 classes, found 2 (cat, dog …)"),
        (with_row(3, labels=("cat",)), CARD, "pets: class 'dog' has no clip in the training part of fold 1"),
        (
            Manifest(tuple(replace(r, labels=("cat",)) if r.split == "train" else r for r in in_splits().rows)),
            SPLIT_CARD,
            "pets: class 'dog' has no clip in the training split",
        ),
    ],
)
def test_check_names_what_is_wrong(manifest: Manifest, card: Card, message: str) -> None:
    with pytest.raises(AudiopgError) as caught:
        manifest.check(card)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("path", "", "path: is empty"),
        ("labels", "", "labels: is empty"),
        ("group", "", "group: is empty"),
        ("fold", "0", "fold: '0' is neither empty nor a whole number from 1"),
        ("fold", "one", "fold: 'one' is neither empty nor a whole number from 1"),
        ("split", "eval", "split: 'eval' is neither empty nor one of train, val, test"),
        ("duration_s", "long", "duration_s: 'long' is not a number"),
    ],
)
def test_read_names_the_line_and_the_value(tmp_path: Path, column: str, value: str, message: str) -> None:
    cells = {"path": "a.wav", "labels": "cat", "fold": "1", "group": "a", "duration_s": "1.0"} | {column: value}
    line = ",".join(cells.get(name, "") for name in COLUMNS)
    path = tmp_path / "pets.csv"
    path.write_text(",".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(AudiopgError) as caught:
        Manifest.read(path)
    assert str(caught.value) == f"{path}:2: {message}"


def test_read_refuses_lines_that_are_too_short(tmp_path: Path) -> None:
    path = tmp_path / "pets.csv"
    path.write_text(",".join(COLUMNS) + "\na.wav,cat\n")
    with pytest.raises(AudiopgError, match=r"pets\.csv:2: "):
        Manifest.read(path)


def test_read_refuses_a_list_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pets.csv"
    path.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(AudiopgError, match=r"pets\.csv: lists no recordings"):
        Manifest.read(path)


def test_read_names_missing_columns_and_files(tmp_path: Path) -> None:
    path = tmp_path / "pets.csv"
    with pytest.raises(AudiopgError, match=r"pets\.csv: not a readable manifest"):
        Manifest.read(path)
    path.write_text("path,labels\na.wav,cat\n")
    with pytest.raises(AudiopgError, match=r"pets\.csv: columns missing: fold, split, group"):
        Manifest.read(path)
