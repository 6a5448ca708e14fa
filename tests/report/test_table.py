"""Averages, what folds tell of the classes, and the table, from files with known numbers."""

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from support.averages import CLIP, METRICS, average
from support.outcomes import DRUMS, LOSS, fold_files, latent_file, source_files

from audiopg.analysis.claims import PAPER
from audiopg.config import Config, params
from audiopg.errors import AudiopgError
from audiopg.report import figures, table
from audiopg.tasks.card import Card

OUT = Path("results")


def tabulate(cfg: Config, runs: list[Path], card: Card = DRUMS) -> list[dict[str, str]]:
    """Write the table and return its rows."""
    latent = latent_file(cfg)
    cards = [Path("results/tasks") / card.name / "card.json"]
    table.run(cfg, cards, METRICS, latent, LOSS, [*runs, latent.with_name("run.json")], OUT)
    return list(csv.DictReader((OUT / "table.csv").read_text().splitlines()))


def test_from_folds_to_table(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    rows = tabulate(cfg, average(cfg, fold_files(cfg)))
    assert list(rows[0]) == ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
    assert [row["row"] for row in rows] == list(table.TITLES)
    n = DRUMS.n_folds
    assert float(rows[0]["mean"]) == pytest.approx(0.5 + sum(range(1, n + 1)) / n / 100)
    assert rows[0]["n"] == str(n)
    assert rows[0]["selection"] == DRUMS.selection == "last epoch, fixed number of epochs"
    assert rows[2]["selection"] == "layer, pooling and penalty inside the training folds"
    assert {row["paper"] for row in rows} == {""}
    text = (OUT / "table.md").read_text()
    assert "as AudioPG published" not in text
    assert "0.200 ± 0.115" in text
    assert text.count("| 0.900 [0.100, 0.950] | 0.500 [0.100, 0.950] | 0.700 [0.100, 0.950] |") == len(PAPER)
    assert "| pretrained | events   | 80 [71, 88]" in text


def test_what_is_left_out_is_said_below_the_table(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    tabulate(cfg, average(cfg, fold_files(cfg)))
    assert "Left out" not in (OUT / "table.md").read_text()
    text = table.markdown(
        pd.read_csv(OUT / "table.csv"), [], latent_file(cfg), {"drums": [], "birds": ["robin/7.wav", "wren/0.wav"]}, {}
    )
    assert "\nLeft out of birds: robin/7.wav, wren/0.wav.\n" in text
    assert "Left out of drums" not in text


def test_a_search_is_shown_over_epochs_and_says_what_was_selected(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    rows = tabulate(cfg, average(cfg, fold_files(cfg, searched=True)))
    assert rows[0]["selection"] == "learning rate and number of epochs inside the training folds, last epoch"
    text = (OUT / "table.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "| drums" in line]
    assert lines[1:] == [["drums", "5", "0.500", "0.200", "+0.300"], ["drums", "20", "0.125", "0.050", "+0.075"]]
    assert "on\ntraining recordings that were left out" in text


def test_a_task_with_a_split_and_several_metrics(cfg: Config) -> None:
    card = replace(DRUMS, name="many", protocol="split", sizes=(5, 3, 2), metric="mAP", paper=0.546)
    card = replace(card, paper_selection="best epoch of the test split")
    metrics = ("mAP", "d_prime", "lwlrap")
    cfg = params.parse(cfg.model_dump(mode="json") | {"tasks": {"many": CLIP}}, "params.yaml")
    source_files(card, cfg)
    rows = tabulate(cfg, average(cfg, fold_files(cfg, card, metrics), card, metrics), card)
    assert [row["metric"] for row in rows] == [*metrics] * len(table.TITLES)
    assert [row["paper"] for row in rows[:4]] == ["0.546", "", "", ""]
    assert rows[0]["selection"] == "best epoch on the validation split"
    assert rows[6]["selection"] == "layer, pooling and penalty on the validation split"
    assert [row["mean"] for row in rows[:3]] == ["0.51", "0.61", "0.71"]
    line = next(line for line in (OUT / "table.md").read_text().splitlines() if line.startswith("| many"))
    assert [cell.strip() for cell in line.split("|")[2:4]] == ["0.510", "0.210"]
    assert [cell.strip() for cell in line.split("|")[-4:-1]] == ["mAP", "1", "0.546"]
    text = " ".join((OUT / "table.md").read_text().split())
    assert "By its released code they were selected so: many: best epoch of the test split. " in text


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


@pytest.mark.parametrize(
    ("objectives", "label"),
    [
        ({}, "loss: reconstruction"),
        ({"physics": 0.3}, "loss: reconstruction + 0.3 × physics"),
        ({"reconstruction": 0.0, "twins": 2.0}, "loss: 2 × twins"),
    ],
)
def test_the_curve_of_pretraining_is_called_what_it_is(
    objectives: dict[str, float], label: str, cfg: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, drawn = figures.save, list[Figure]()

    def spied(figure: Figure, path: Path) -> None:
        drawn.append(figure)
        save(figure, path)

    monkeypatch.setattr(figures, "save", spied)
    weights = cfg.pretrain.objectives.model_copy(update=objectives)
    section = cfg.pretrain.model_copy(update={"objectives": weights})
    cfg = cfg.model_copy(update={"pretrain": section})
    source_files(DRUMS, cfg)
    tabulate(cfg, average(cfg, fold_files(cfg)))
    assert drawn[-1].axes[0].get_ylabel() == label
