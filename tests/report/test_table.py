"""Averages, what folds tell of the classes, and the table, from files with known numbers."""

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from support.outcomes import DRUMS, ENCODER, LOSS, fold_files, latent_file, probe_file, source_files

from audiopg import storage
from audiopg.analysis.claims import PAPER
from audiopg.config import Config, params, profile
from audiopg.errors import AudiopgError
from audiopg.evaluate.metrics import mean_and_std
from audiopg.report import aggregate, figures, summary, table
from audiopg.tasks.card import Card
from audiopg.tasks.registry import TASKS

METRICS = Path("results/metrics")
OUT = Path("results")
CLIP = {"clip_s": 0.96}


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The paper's parameters with one task, in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    found = profile.load("paper")
    return params.parse(found.model_dump(mode="json") | {"tasks": {"drums": CLIP}}, "params.yaml")


def average(cfg: Config, folds: list[Path], card: Card = DRUMS, metrics: tuple[str, ...] = ("accuracy",)) -> list[Path]:
    """Average, and return the run cards that the table rests on."""
    runs = source_files(card, cfg)
    probe, folder = probe_file(cfg, card, metrics), Path("results/summary") / card.name
    card_path = Path("results/tasks") / card.name / "card.json"
    aggregate.run(cfg, card_path, folds, probe, METRICS / f"{card.name}.json", folder)
    return [*runs, *(path.with_name("run.json") for path in [*folds, probe]), folder / "run.json"]


def tabulate(cfg: Config, runs: list[Path], card: Card = DRUMS) -> list[dict[str, str]]:
    """Write the table and return its rows."""
    latent = latent_file(cfg)
    cards = [Path("results/tasks") / card.name / "card.json"]
    table.run(cfg, cards, METRICS, latent, LOSS, [*runs, latent.with_name("run.json")], OUT)
    return list(csv.DictReader((OUT / "table.csv").read_text().splitlines()))


def test_mean_and_sample_deviation_by_hand() -> None:
    assert mean_and_std([0.1, 0.3]) == {"mean": 0.2, "std": pytest.approx(0.141421, abs=1e-6), "n": 2}
    assert mean_and_std([0.4]) == {"mean": 0.4, "std": 0.0, "n": 1}


def test_from_folds_to_table(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    rows = tabulate(cfg, average(cfg, fold_files(cfg)))
    assert list(rows[0]) == ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
    assert [row["row"] for row in rows] == list(table.TITLES)
    n = DRUMS.n_folds
    assert float(rows[0]["mean"]) == pytest.approx(0.5 + sum(range(1, n + 1)) / n / 100)
    assert rows[0]["n"] == str(n)
    assert rows[0]["selection"] == DRUMS.selection == "last epoch, fixed number of epochs"
    assert rows[2]["selection"] == "layer and penalty inside the training folds"
    assert {row["paper"] for row in rows} == {""}
    text = (OUT / "table.md").read_text()
    assert "0.200 ± 0.115" in text
    assert text.count("| 0.900 [0.100, 0.950] | 0.500 [0.100, 0.950] | 0.700 [0.100, 0.950] |") == len(PAPER)
    assert "| pretrained | events   | 80 [71, 88]" in text


def test_a_task_with_a_split_and_several_metrics(cfg: Config) -> None:
    card = replace(DRUMS, name="many", protocol="split", sizes=(5, 3, 2), metric="mAP", paper=0.546)
    metrics = ("mAP", "d_prime", "lwlrap")
    cfg = params.parse(cfg.model_dump(mode="json") | {"tasks": {"many": CLIP}}, "params.yaml")
    source_files(card, cfg)
    rows = tabulate(cfg, average(cfg, fold_files(cfg, card, metrics), card, metrics), card)
    assert [row["metric"] for row in rows] == [*metrics] * len(table.TITLES)
    assert [row["paper"] for row in rows[:4]] == ["0.546", "", "", ""]
    assert rows[0]["selection"] == "best epoch on the validation split"
    assert rows[6]["selection"] == "layer and penalty on the validation split"
    assert [row["mean"] for row in rows[:3]] == ["0.51", "0.61", "0.71"]
    line = next(line for line in (OUT / "table.md").read_text().splitlines() if line.startswith("| many"))
    assert [cell.strip() for cell in line.split("|")[2:4]] == ["0.510 ± 0.000", "0.210 ± 0.000"]
    assert [cell.strip() for cell in line.split("|")[-4:-1]] == ["mAP", "1", "0.546"]


def test_a_missing_or_double_fold_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    paths = fold_files(cfg)
    for wrong in (paths[1:], [*paths, paths[0]], [paths[1], *paths[1:]]):
        with pytest.raises(AudiopgError, match="drums: folds .* wanted"):
            average(cfg, wrong)
    assert not METRICS.exists()


def test_a_fold_of_another_task_makes_no_average(cfg: Config) -> None:
    both = params.parse(cfg.model_dump(mode="json") | {"tasks": {"drums": CLIP, "instruments": CLIP}}, "params.yaml")
    source_files(DRUMS, both)
    with pytest.raises(AudiopgError, match=r"metrics\.json: is about drums, not instruments"):
        average(both, fold_files(both), TASKS["instruments"].card)


def test_a_fold_of_other_parameters_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    changed = cfg.model_copy(update={"seed": 7})
    fold_files(changed)
    with pytest.raises(AudiopgError, match=r"fold1/run\.json: made with seed = 7, params\.yaml has 42 \(and .* more; "):
        average(cfg, folds)
    assert not METRICS.exists()


def test_an_edited_fold_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    folds[0].write_text(folds[0].read_text().replace("0.51", "0.99"))
    with pytest.raises(AudiopgError, match=r"fold1/metrics\.json: is not what a run card describes"):
        average(cfg, folds)
    assert not METRICS.exists()


def test_folds_from_two_encoders_make_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    kept = {path: path.read_bytes() for path in folds[0].parent.iterdir()}
    storage.write_text(ENCODER, "other weights")
    folds = fold_files(cfg)
    for path, content in kept.items():
        path.write_bytes(content)
    with pytest.raises(
        AudiopgError, match=r"made from another results/pretrain/encoder\.safetensors than other results"
    ):
        average(cfg, folds)


def test_classes_may_be_called_by_numbers(tmp_path: Path) -> None:
    for init in summary.INITS:
        storage.write_text(tmp_path / init / "fold1/predictions.csv", "path,actual,predicted\n1,007,7\n2,7,null\n")
        storage.write_text(tmp_path / init / "fold1/classes.csv", "class,n_clips,score\n007,1,0\n7,1,0\n")
        storage.write_text(tmp_path / init / "fold1/loss.csv", "epoch,step,loss\n1,0,1\n")
    summary.write([tmp_path / init / "fold1" for init in summary.INITS], "recall", tmp_path / "out")
    text = (tmp_path / "out/scratch_confusion.csv").read_text()
    assert text == "actual,predicted\n007,7\n7,null\n"


def test_averages_do_not_depend_on_the_order_of_files(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    paths, found = fold_files(cfg), []
    for order in (paths, paths[::-1]):
        average(cfg, order)
        found.append(
            {path: path.read_bytes() for path in [*METRICS.iterdir(), *Path("results/summary/drums").iterdir()]}
        )
    assert found[0] == found[1]


def test_the_table_is_refused_when_an_average_or_a_card_is_not_of_this_run(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    runs = average(cfg, fold_files(cfg))
    file = METRICS / "drums.json"
    right = file.read_text()
    file.write_text(right.replace("0.5", "0.9"))
    with pytest.raises(AudiopgError, match=r"results/metrics/drums\.json: is not what a run card describes; "):
        tabulate(cfg, runs)
    file.write_text(right)
    described = Path("results/tasks/drums/card.json")
    known = described.read_text()
    described.write_text(known.replace('"paper": null', '"paper": 0.123'))
    with pytest.raises(AudiopgError, match=r"tasks/drums/card\.json: is not what a run card describes; "):
        tabulate(cfg, runs)
    described.write_text(known)
    with pytest.raises(AudiopgError, match=r"run\.json: made with probe\.knn_k = "):
        tabulate(cfg.model_copy(update={"probe": cfg.probe.model_copy(update={"knn_k": 3})}), runs)
    assert not (OUT / "table.csv").exists()
    assert tabulate(cfg, runs)


def test_classes_and_confusions_and_losses_of_all_folds_by_hand() -> None:
    by_class = pd.DataFrame({"init": "scratch", "class": ["x", "y", "x"], "n_clips": [1, 2, 3], "score": [1, 0.5, 0]})
    assert summary.classes(by_class).to_numpy().tolist() == [["scratch", "x", 4, 0.25], ["scratch", "y", 2, 0.5]]
    predictions = pd.DataFrame({"init": "scratch", "actual": ["x|y", "x"], "predicted": ["y|x", "x"]})
    pairs = summary.confusion(predictions).to_numpy().tolist()
    assert pairs == [["scratch", "x", "x"], ["scratch", "x", "y"], ["scratch", "y", "y"]]
    losses = pd.DataFrame({"init": "scratch", "fold": ["1", "1", "2"], "epoch": 1, "loss": [1.0, 3.0, 5.0]})
    assert summary.loss(losses).to_numpy().tolist() == [["scratch", 1, 3.5]]  # a fold counts the same, however long


@pytest.mark.parametrize(
    ("weight", "label"),
    [(0.0, "reconstruction loss of masked patches"), (0.3, "loss: reconstruction + 0.3 × physics")],
)
def test_the_curve_of_pretraining_is_called_what_it_is(
    weight: float, label: str, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, drawn = figures.save, list[Figure]()

    def spied(figure: Figure, path: Path) -> None:
        drawn.append(figure)
        save(figure, path)

    monkeypatch.setattr(figures, "save", spied)
    section = cfg.pretrain.model_copy(update={"physics_weight": weight})
    cfg = cfg.model_copy(update={"pretrain": section})
    source_files(DRUMS, cfg)
    tabulate(cfg, average(cfg, fold_files(cfg)))
    assert drawn[-1].axes[0].get_ylabel() == label


def test_a_card_survives_its_file_and_another_file_is_named(tmp_path: Path) -> None:
    DRUMS.write(tmp_path / "card.json")
    assert Card.read(tmp_path / "card.json") == DRUMS
    storage.write_json(tmp_path / "x.json", {"name": "x"})
    with pytest.raises(AudiopgError, match=r"x\.json: not a task's card .*; delete it and run again"):
        Card.read(tmp_path / "x.json")
