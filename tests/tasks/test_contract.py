"""What every registered task must fulfil: the small ones on their real recordings, the large ones in miniature."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiopg.audio import decode, packages
from audiopg.errors import AudiopgError
from audiopg.evaluate.protocol import split
from audiopg.tasks.manifest import Manifest
from audiopg.tasks.registry import TASKS
from audiopg.tasks.task import Download

downloaded = pytest.mark.parametrize(
    "present", [name for name in TASKS if isinstance(TASKS[name].source, Download)], indirect=True
)
N_DECODED = 100  # of the larger ones not every clip is decoded


@pytest.fixture(scope="session")
def manifest(present: Any) -> Manifest:
    made: Manifest = present.task.make_manifest(present.root)
    return made


def test_manifest_is_as_published(present: Any, manifest: Manifest) -> None:
    manifest.check(present.task.card, present.root)
    assert present.task.card.name == present.name
    assert len(manifest) == present.task.card.n_clips
    for row, targets in zip(manifest.rows, manifest.targets, strict=True):
        assert row.labels == tuple(name for name, on in zip(manifest.class_names, targets, strict=True) if on)


def test_clips_sound(present: Any, manifest: Manifest) -> None:
    for row in manifest.rows[:: -(-len(manifest) // N_DECODED)]:
        waveform = decode.read(present.root / row.path, 16_000)
        assert len(waveform) == pytest.approx(row.duration_s * 16_000, abs=2), row.path
        assert np.abs(waveform).max() > 1e-3 or "_silence_" in row.labels, row.path


def test_no_test_clip_and_no_group_of_one_reaches_training_or_selection(present: Any, manifest: Manifest) -> None:
    card = present.task.card
    tested: Counter[int] = Counter()
    for run in range(1, card.n_folds + 1):
        train, val, test = split(manifest, run)
        assert len(train) + len(val) + len(test) == len(manifest)
        for learned in (train, val):
            assert not set(test.tolist()) & set(learned.tolist())
            assert not set(manifest.groups[test]) & set(manifest.groups[learned])
        assert not set(manifest.groups[train]) & set(manifest.groups[val])
        assert manifest.targets[train].any(axis=0).all()
        assert bool(len(val)) == (card.protocol == "split")
        tested.update(test.tolist())
    if card.protocol == "folds":
        assert tested == Counter(range(len(manifest)))
    else:
        assert len(tested) == card.sizes[2]


def test_a_group_moved_across_is_refused(present: Any, manifest: Manifest) -> None:
    """The check and the split both see a group that lies on two sides."""
    first = manifest.rows[0]
    other = next(row for row in manifest.rows if (row.fold, row.split) != (first.fold, first.split))
    rows = [*manifest.rows[1:], type(first)(**{**vars(first), "group": other.group})]
    with pytest.raises(AudiopgError, match="group"):
        Manifest(tuple(rows)).check(present.task.card)
    with pytest.raises(AudiopgError, match="group .* lies in"):
        split(Manifest(tuple(rows)), first.fold or 1)


def test_manifest_survives_its_file(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.csv")
    assert Manifest.read(tmp_path / "manifest.csv") == manifest


@pytest.fixture
def copied(present: Any, tmp_path: Path) -> Path:
    """A copy of a task's recordings, to be damaged."""
    shutil.copytree(present.root, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy"


@downloaded
def test_another_folder_gives_the_same_manifest(present: Any, manifest: Manifest, copied: Path) -> None:
    assert present.task.make_manifest(copied) == manifest


@downloaded
def test_a_missing_clip_is_an_error_that_names_it(present: Any, manifest: Manifest, copied: Path) -> None:
    path = manifest.rows[-1].path
    (copied / path).unlink()
    with pytest.raises(AudiopgError) as caught:
        present.task.make_manifest(copied).check(present.task.card, copied)
    listed = present.name not in {"esc10", "speech_commands_mini"}  # which come without a list
    in_training = present.name == "speech_commands" and manifest.rows[-1].split == "train"
    assert (path in str(caught.value)) == (listed and not in_training)
    assert "missing" in str(caught.value) or "found" in str(caught.value)


@downloaded
def test_an_unreadable_clip_is_an_error_that_names_it(present: Any, manifest: Manifest, copied: Path) -> None:
    path = manifest.rows[3].path
    (copied / path).unlink()
    (copied / path).write_bytes(b"RIFF and nothing more")
    with pytest.raises(AudiopgError, match="cannot be decoded") as caught:
        present.task.make_manifest(copied)
    assert path in str(caught.value)


@pytest.mark.parametrize("name", ["drums", "instruments"])
def test_missing_package_names_the_remedy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    source = TASKS[name].source
    assert callable(source)
    with pytest.raises(AudiopgError, match=rf"^{name}: the package \w+, .* is not installed; run `make setup`$"):
        source(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["drums", "instruments"])
def test_two_data_directories_give_the_same_manifest(name: str, data_dir: Path, tmp_path: Path) -> None:
    source = TASKS[name].source
    assert callable(source)
    first, second = (TASKS[name].make_manifest(source(folder)) for folder in (data_dir, tmp_path))
    assert first == second


def test_import_runs_no_foreign_code() -> None:
    code = "import sys, audiopg.tasks; print(*{'torch', 'FoxDot', 'pretty_midi', 'tinysoundfont'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
