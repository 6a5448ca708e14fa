"""What folds say about the classes."""

from pathlib import Path

import pandas as pd
import pytest

from audiopg import storage
from audiopg.report import summary


def test_classes_may_be_called_by_numbers(tmp_path: Path) -> None:
    for init in summary.INITS:
        storage.write_text(tmp_path / init / "fold1/predictions.csv", "path,actual,predicted\n1,007,7\n2,7,null\n")
        storage.write_text(tmp_path / init / "fold1/classes.csv", "class,n_clips,score\n007,1,0\n7,1,0\n")
        storage.write_text(tmp_path / init / "fold1/loss.csv", "epoch,step,loss\n1,0,1\n")
        storage.write_text(tmp_path / init / "fold1/search.csv", "lr,n_epochs,figure\n")
    summary.write([tmp_path / init / "fold1" for init in summary.INITS], "recall", tmp_path / "out")
    text = (tmp_path / "out/scratch_confusion.csv").read_text()
    assert text == "actual,predicted\n007,7\n7,null\n"
    assert (tmp_path / "out/pretrained_search.csv").read_text() == "lr,n_epochs,figure\n"


def test_a_step_that_was_skipped_has_no_loss(tmp_path: Path) -> None:
    """`on_non_finite: skip` leaves the cell empty; the mean of the epoch is that of its other steps."""
    steps = pd.DataFrame({"epoch": 1, "step": range(4), "loss": [1.0, float("nan"), 0.5, 0.3]})
    storage.write_table(tmp_path / "scratch/fold1/loss.csv", steps)
    found = summary.loss(summary.gather([tmp_path / "scratch/fold1"], "loss.csv"))
    assert found["loss"].tolist() == pytest.approx([0.6])


def test_classes_and_confusions_and_losses_of_all_folds_by_hand() -> None:
    by_class = pd.DataFrame({"init": "scratch", "class": ["x", "y", "x"], "n_clips": [1, 2, 3], "score": [1, 0.5, 0]})
    assert summary.classes(by_class).to_numpy().tolist() == [["scratch", "x", 4, 0.25], ["scratch", "y", 2, 0.5]]
    predictions = pd.DataFrame({"init": "scratch", "actual": ["x|y", "x"], "predicted": ["y|x", "x"]})
    pairs = summary.confusion(predictions).to_numpy().tolist()
    assert pairs == [["scratch", "x", "x"], ["scratch", "x", "y"], ["scratch", "y", "y"]]
    losses = pd.DataFrame({"init": "scratch", "fold": ["1", "1", "2"], "epoch": 1, "loss": [1.0, 3.0, 5.0]})
    assert summary.loss(losses).to_numpy().tolist() == [["scratch", 1, 3.5]]  # a fold counts the same, however long


def test_a_candidate_is_worth_the_mean_of_the_folds() -> None:
    searched = pd.DataFrame({"init": "scratch", "fold": ["1", "1", "2"], "lr": 0.1, "n_epochs": [5, 9, 5]})
    found = summary.search(searched.assign(figure=[0.25, 0.5, 0.75]))
    assert found.to_numpy().tolist() == [["scratch", 0.1, 5, 0.5], ["scratch", 0.1, 9, 0.5]]
