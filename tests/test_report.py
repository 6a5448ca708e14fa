"""Averages and the table, from files with known numbers."""

import csv
import json
from pathlib import Path

import pytest

from audiopg import report, storage
from audiopg.errors import AudiopgError
from audiopg.evaluate import aggregate
from audiopg.evaluate.metrics import mean_and_std
from audiopg.tasks import TASKS


def fold_files(folder: Path, task: str) -> list[Path]:
    paths = []
    for init, base in (("pretrained", 0.5), ("scratch", 0.2)):
        for fold in range(1, TASKS[task].card.n_folds + 1):
            path = folder / init / f"fold{fold}" / "metrics.json"
            storage.write_json(path, {"task": task, "init": init, "fold": fold, "accuracy": base + fold / 100})
            paths.append(path)
    return paths


def probe_file(folder: Path) -> Path:
    rows = {row: [0.1, 0.3] for row in report.TITLES if row not in {"pretrained", "scratch"}}
    storage.write_json(folder / "probe.json", rows)
    return folder / "probe.json"


def latent_file(folder: Path) -> Path:
    angles = {"angles_deg": [80.0], "null_median_deg": 45.5, "p_value": 0.01}
    found = {
        "r2": {"f0_octaves": {"pretrained": 0.9, "random": 0.5, "logmel_stats": 0.7}},
        "orthogonality": {"pretrained": angles, "random": angles},
    }
    storage.write_json(folder / "latent.json", found)
    return folder / "latent.json"


def test_mean_and_sample_deviation_by_hand() -> None:
    assert mean_and_std([0.1, 0.3]) == {"mean": 0.2, "std": pytest.approx(0.141421, abs=1e-6), "n": 2}
    assert mean_and_std([0.4]) == {"mean": 0.4, "std": 0.0, "n": 1}


def test_from_folds_to_table(tmp_path: Path) -> None:
    metrics = tmp_path / "drums.json"
    aggregate.run("drums", fold_files(tmp_path, "drums"), probe_file(tmp_path), metrics)
    report.run([metrics], latent_file(tmp_path), tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert list(rows[0]) == ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
    assert [row["row"] for row in rows] == list(report.TITLES)
    n = TASKS["drums"].card.n_folds
    assert float(rows[0]["mean"]) == pytest.approx(0.5 + sum(range(1, n + 1)) / n / 100)
    assert rows[0]["n"] == str(n)
    assert rows[0]["selection"] == TASKS["drums"].card.selection
    assert {row["paper"] for row in rows} == {""}
    text = (tmp_path / "table.md").read_text()
    assert "0.200 ± 0.141" in text
    assert "| pretrained | 80.0" in text


def test_a_missing_or_double_fold_makes_no_average(tmp_path: Path) -> None:
    paths, probe = fold_files(tmp_path, "drums"), probe_file(tmp_path)
    for wrong in (paths[1:], [*paths, paths[0]], [paths[1], *paths[1:]]):
        with pytest.raises(AudiopgError, match="drums: folds .* wanted"):
            aggregate.run("drums", wrong, probe, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_fold_of_another_task_makes_no_average(tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match=r"metrics\.json: is about drums, not instruments"):
        aggregate.run("instruments", fold_files(tmp_path, "drums"), probe_file(tmp_path), tmp_path / "out.json")


def test_averages_do_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    paths, probe = fold_files(tmp_path, "drums"), probe_file(tmp_path)
    aggregate.run("drums", paths, probe, tmp_path / "a.json")
    aggregate.run("drums", paths[::-1], probe, tmp_path / "b.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())
