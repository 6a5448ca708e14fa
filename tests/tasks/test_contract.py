"""What every registered task must fulfil."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiopg import audio
from audiopg.errors import AudiopgError
from audiopg.tasks import TASKS, packages
from audiopg.tasks.manifest import Manifest

every_task = pytest.mark.parametrize("name", list(TASKS))


@every_task
def test_manifest_is_as_published(name: str, data_dir: Path) -> None:
    task = TASKS[name]
    root = task.locate(data_dir)
    manifest = task.make_manifest(root)
    manifest.check(task.card, root)
    assert task.card.name == name
    assert len(manifest) == task.card.n_clips
    labels = [row.labels[0] for row in manifest.rows]
    assert [task.card.class_names[number] for number in manifest.classes] == labels


@every_task
def test_every_clip_sounds(name: str, data_dir: Path) -> None:
    root = TASKS[name].locate(data_dir)
    manifest = TASKS[name].make_manifest(root)
    for row in manifest.rows:
        waveform = audio.read(root / row.path, 16_000)
        assert np.abs(waveform).max() > 1e-3, row.path
        assert len(waveform) == pytest.approx(row.duration_s * 16_000, abs=2), row.path


@every_task
def test_folds_share_no_group_and_train_on_every_class(name: str, data_dir: Path) -> None:
    manifest = TASKS[name].make_manifest(TASKS[name].locate(data_dir))
    for fold in range(1, TASKS[name].card.n_folds + 1):
        test = manifest.folds == fold
        assert test.any()
        assert not set(manifest.groups[test]) & set(manifest.groups[~test])
        assert set(manifest.classes[~test]) == set(range(len(TASKS[name].card.class_names)))


@every_task
def test_two_data_directories_give_the_same_bytes(name: str, data_dir: Path, tmp_path: Path) -> None:
    written = []
    for number, folder in enumerate((data_dir, tmp_path)):
        manifest = TASKS[name].make_manifest(TASKS[name].locate(folder))
        manifest.write(tmp_path / f"{number}.csv")
        written.append((tmp_path / f"{number}.csv").read_bytes())
    assert written[0] == written[1]


@every_task
def test_manifest_survives_its_file(name: str, data_dir: Path, tmp_path: Path) -> None:
    manifest = TASKS[name].make_manifest(TASKS[name].locate(data_dir))
    manifest.write(tmp_path / "manifest.csv")
    assert Manifest.read(tmp_path / "manifest.csv") == manifest


@every_task
def test_missing_package_names_the_remedy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(AudiopgError, match=rf"^{name}: the package \w+, .* is not installed; run `make setup`$"):
        TASKS[name].locate(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_import_runs_no_foreign_code() -> None:
    code = "import sys, audiopg.tasks; print(*{'torch', 'FoxDot', 'pretty_midi', 'tinysoundfont'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
