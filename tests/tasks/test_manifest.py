"""The manifest: its file, its arrays, and each thing that it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import COLUMNS, Manifest, Row, measure

CARD = Card("pets", "Pets", "CC0", "nobody", "https://example.org", 4, ("cat", "dog"), 2, "accuracy", "last epoch")


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
    assert manifest.classes.tolist() == [0, 1, 0, 1]
    assert manifest.folds.tolist() == [1, 1, 2, 2]
    assert manifest.groups.tolist() == manifest.paths
    assert [row.duration_s for row in manifest.rows] == [1.25] * 4
    assert len(manifest) == 4


def test_several_labels_have_no_single_class() -> None:
    with pytest.raises(AudiopgError, match=r"^a\.wav: has 2 labels \(cat\|dog\), expected one$"):
        _ = with_row(1, labels=("cat", "dog")).classes


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
        (with_row(0, fold=3), CARD, "pets: expected folds 1 to 2, found [1, 2, 3] (0 stands for none)"),
        (with_row(0, fold=None), CARD, "pets: expected folds 1 to 2, found [0, 1, 2] (0 stands for none)"),
        (
            Manifest(ROWS),
            replace(CARD, n_folds=3),
            "pets: expected folds 1 to 3, found [1, 2] (0 stands for none)",
        ),
        (with_row(3, group="a.wav"), CARD, "pets: group 'a.wav' is in folds 1 and 2 (f.wav)"),
        (
            with_row(0, labels=("bird",)),
            CARD,
            "pets: expected 2 classes; unknown ['bird'], without clips []",
        ),
        (
            Manifest(ROWS),
            replace(CARD, class_names=("cat", "cow", "dog")),
            "pets: expected 3 classes; unknown [], without clips ['cow']",
        ),
        (with_row(3, labels=("cat",)), CARD, "pets: class 'dog' has no clip in the training part of fold 1"),
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


def test_read_names_missing_columns_and_files(tmp_path: Path) -> None:
    path = tmp_path / "pets.csv"
    with pytest.raises(AudiopgError, match=r"pets\.csv: not a readable manifest"):
        Manifest.read(path)
    path.write_text("path,labels\na.wav,cat\n")
    with pytest.raises(AudiopgError, match=r"pets\.csv: columns missing: fold, split, group"):
        Manifest.read(path)


def test_measure(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), 44_100)
    assert measure(tmp_path / "a.wav")[0] == 0.022676
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 44_100)
    (tmp_path / "text.wav").write_text("not audio")
    for name, reason in {
        "empty.wav": "contains no samples",
        "text.wav": "not a readable",
        "no.wav": "not a readable",
    }.items():
        with pytest.raises(AudiopgError, match=rf"{name}: {reason}"):
            measure(tmp_path / name)


def test_card_numbers_classes_as_a_manifest_does() -> None:
    with pytest.raises(ValueError, match="pets: class_names must be sorted"):
        replace(CARD, class_names=("dog", "cat"))
