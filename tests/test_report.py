"""Averages and the table, from files with known numbers."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from audiopg import report, storage
from audiopg.errors import AudiopgError
from audiopg.evaluate import aggregate
from audiopg.evaluate.metrics import mean_and_std
from audiopg.tasks import TASKS
from audiopg.tasks.card import Card

DRUMS = TASKS["drums"].card


def fold_files(folder: Path, card: Card = DRUMS, metrics: Sequence[str] = ("accuracy",)) -> list[Path]:
    paths = []
    for init, base in (("pretrained", 0.5), ("scratch", 0.2)):
        for fold in range(1, card.n_folds + 1):
            path = folder / init / f"fold{fold}" / "metrics.json"
            figures = {metric: base + fold / 100 + place / 10 for place, metric in enumerate(metrics)}
            storage.write_json(path, {"task": card.name, "init": init, "fold": fold, "epoch": 3, "metrics": figures})
            paths.append(path)
    return paths


def card_file(folder: Path, card: Card = DRUMS) -> Path:
    card.write(folder / f"{card.name}-card.json")
    return folder / f"{card.name}-card.json"


def probe_file(folder: Path, metrics: Sequence[str] = ("accuracy",)) -> Path:
    rows = {row: dict.fromkeys(metrics, [0.1, 0.3]) for row in report.CHOICES}
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
    card = card_file(tmp_path)
    aggregate.run(card, fold_files(tmp_path), probe_file(tmp_path), tmp_path / "drums.json")
    report.run([card], tmp_path, latent_file(tmp_path), tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert list(rows[0]) == ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
    assert [row["row"] for row in rows] == list(report.TITLES)
    n = DRUMS.n_folds
    assert float(rows[0]["mean"]) == pytest.approx(0.5 + sum(range(1, n + 1)) / n / 100)
    assert rows[0]["n"] == str(n)
    assert rows[0]["selection"] == DRUMS.selection == "last epoch, fixed number of epochs"
    assert rows[2]["selection"] == "layer and penalty inside the training folds"
    assert {row["paper"] for row in rows} == {""}
    text = (tmp_path / "table.md").read_text()
    assert "0.200 ± 0.141" in text
    assert "| pretrained | 80.0" in text


def test_a_task_with_a_split_and_several_metrics(tmp_path: Path) -> None:
    card = replace(DRUMS, name="many", protocol="split", sizes=(5, 3, 2), metric="mAP", paper=0.546)
    metrics = ("mAP", "d_prime", "lwlrap")
    path = card_file(tmp_path, card)
    aggregate.run(path, fold_files(tmp_path, card, metrics), probe_file(tmp_path, metrics), tmp_path / "many.json")
    report.run([path], tmp_path, latent_file(tmp_path), tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["metric"] for row in rows] == [*metrics] * len(report.TITLES)
    assert [row["paper"] for row in rows[:4]] == ["0.546", "", "", ""]
    assert rows[0]["selection"] == "best epoch on the validation split"
    assert rows[6]["selection"] == "layer and penalty on the validation split"
    assert [row["mean"] for row in rows[:3]] == ["0.51", "0.61", "0.71"]
    line = next(line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("| many"))
    assert [cell.strip() for cell in line.split("|")[2:4]] == ["0.510 ± 0.000", "0.210 ± 0.000"]
    assert [cell.strip() for cell in line.split("|")[-4:-1]] == ["mAP", "1", "0.546"]


def test_a_missing_or_double_fold_makes_no_average(tmp_path: Path) -> None:
    paths, probe, card = fold_files(tmp_path), probe_file(tmp_path), card_file(tmp_path)
    for wrong in (paths[1:], [*paths, paths[0]], [paths[1], *paths[1:]]):
        with pytest.raises(AudiopgError, match="drums: folds .* wanted"):
            aggregate.run(card, wrong, probe, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_fold_of_another_task_makes_no_average(tmp_path: Path) -> None:
    card = card_file(tmp_path, TASKS["instruments"].card)
    with pytest.raises(AudiopgError, match=r"metrics\.json: is about drums, not instruments"):
        aggregate.run(card, fold_files(tmp_path), probe_file(tmp_path), tmp_path / "out.json")


def test_averages_do_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    paths, probe, card = fold_files(tmp_path), probe_file(tmp_path), card_file(tmp_path)
    aggregate.run(card, paths, probe, tmp_path / "a.json")
    aggregate.run(card, paths[::-1], probe, tmp_path / "b.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())


def test_a_card_survives_its_file_and_another_file_is_named(tmp_path: Path) -> None:
    assert Card.read(card_file(tmp_path)) == DRUMS
    storage.write_json(tmp_path / "x.json", {"name": "x"})
    with pytest.raises(AudiopgError, match=r"x\.json: not a task's card .*; delete it and run again"):
        Card.read(tmp_path / "x.json")
