"""The search for a learning rate and a number of epochs: its candidates, what it leaves out, and what it remembers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.finetuning import separable_task

from audiopg import config, storage
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.config.train import Search as Candidates
from audiopg.evaluate.protocol import inner, split
from audiopg.tasks.manifest import Manifest
from audiopg.train import finetune
from audiopg.train.search import Search

CPU = Backend(torch.device("cpu"), None)


def recipe_of(tiny: Config, **lists: list[float]) -> config.Finetune:
    """The recipe with candidates."""
    search = Candidates.model_validate({"lr": [], "n_epochs": [], "n_folds": 1} | lists)
    return tiny.finetune.model_copy(update={"search": search})


def figures(known: dict[tuple[float, int], float], seen: list[tuple[float, int]]) -> Callable[[config.Finetune], float]:
    """What candidates are worth; notes which are asked for."""

    def figure_of(candidate: config.Finetune) -> float:
        seen.append((candidate.optimizer.lr, candidate.n_epochs))
        return known[seen[-1]]

    return figure_of


def test_each_learning_rate_is_tried_with_each_number_of_epochs(tiny: Config, tmp_path: Path) -> None:
    recipe = recipe_of(tiny, lr=[0.1, 0.2], n_epochs=[3, 4])
    known = {(0.1, 3): 0.5, (0.1, 4): 0.7, (0.2, 3): 0.7, (0.2, 4): 0.6}
    seen: list[tuple[float, int]] = []
    search = Search(recipe, tmp_path / "search.json", "run")
    best = search.best(figures(known, seen), CPU)
    assert seen == list(known)
    assert (best.optimizer.lr, best.n_epochs) == (0.1, 4)  # the earlier one of two equals
    assert best.optimizer.weight_decay == recipe.optimizer.weight_decay
    assert search.table().to_numpy().tolist() == [[*pair, figure] for pair, figure in known.items()]


def test_without_candidates_nothing_is_tried(tiny: Config, tmp_path: Path) -> None:
    search = Search(recipe_of(tiny), tmp_path / "search.json", "run")
    assert search.best(figures({}, []), CPU) == recipe_of(tiny)
    assert search.table().empty
    assert not (tmp_path / "search.json").exists()


def test_an_interrupted_search_goes_on_and_that_of_another_run_does_not(tiny: Config, tmp_path: Path) -> None:
    recipe, file = recipe_of(tiny, lr=[0.1, 0.2, 0.3]), tmp_path / "search.json"
    known = {(lr, recipe.n_epochs): lr for lr in (0.1, 0.2)}  # the third one stops
    seen: list[tuple[float, int]] = []
    with pytest.raises(KeyError):
        Search(recipe, file, "run").best(figures(known, seen), CPU)
    known[0.3, recipe.n_epochs] = 0.25
    again = Search(recipe, file, "run")
    assert again.best(figures(known, seen), CPU).optimizer.lr == 0.3
    assert [lr for lr, _ in seen] == [0.1, 0.2, 0.3, 0.3]
    seen.clear()
    Search(recipe, file, "other parameters").best(figures(known, seen), CPU)
    assert [lr for lr, _ in seen] == [0.1, 0.2, 0.3]
    again.forget()
    assert not file.exists()


@pytest.mark.parametrize(("fold", "left_out"), [(1, [2, 3]), (3, [4, 1]), (4, [1, 2])])
def test_training_folds_are_left_out_in_turn(fold: int, left_out: list[int], tiny: Config, tmp_path: Path) -> None:
    manifest = Manifest.read(separable_task(tiny, tmp_path)[0])
    rows = split(manifest, fold)
    parts = inner(manifest, rows, fold, 2)
    assert [np.unique(manifest.parts[part.test]).tolist() for part in parts] == [[each] for each in left_out]
    for part in parts:
        assert sorted([*part.train, *part.test]) == rows.train.tolist()
    assert len(inner(manifest, rows, fold, 9)) == 3  # no more than there are


def test_a_split_leaves_out_its_validation_part(tiny: Config, tmp_path: Path) -> None:
    manifest = Manifest.read(separable_task(tiny, tmp_path, "split")[0])
    rows = split(manifest, 1)
    (part,) = inner(manifest, rows, 1, 3)
    assert [part.train.tolist(), part.test.tolist()] == [rows.train.tolist(), rows.val.tolist()]
    assert not len(part.val)  # or a candidate would be scored on what chose its epoch


def test_a_rate_that_learns_is_chosen_before_one_that_does_not(tiny: Config, tmp_path: Path) -> None:
    paths = separable_task(tiny, tmp_path)
    recipe = recipe_of(tiny, lr=[1e-9, 0.005], n_epochs=[1, 8]).model_copy(update={"batch_size": 6})
    cfg = tiny.model_copy(update={"finetune": recipe, "tasks": {"drums": tiny.tasks["drums"]}})
    finetune.run(cfg, "drums", 2, "scratch", *paths, None, resume=tmp_path / "resume", out=tmp_path / "out")
    found = storage.read_json(tmp_path / "out" / "metrics.json")
    assert found["lr"] == 0.005
    table = pd.read_csv(tmp_path / "out" / "search.csv")
    best = table.loc[table["figure"].idxmax()]
    assert (best["lr"], best["n_epochs"]) == (found["lr"], found["n_epochs"])
    assert len(pd.read_csv(tmp_path / "out" / "loss.csv")) == 3 * found["n_epochs"]  # 18 clips, six in a step
    assert not (tmp_path / "resume").exists()
