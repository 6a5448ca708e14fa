"""Results of all folds of a task together: figures of each class, confusions, and losses of the training."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audiopg import storage
from audiopg.report import figures

INITS = ("pretrained", "scratch")
READS = ("predictions.csv", "classes.csv", "loss.csv", "search.csv")  # of each fold
TABLES = ("confusion", "classes", "loss", "search")
DRAWN = ("confusion", "classes", "loss")


def write(folds: Sequence[Path], measure: str, out: Path) -> list[Path]:
    """Write and draw the results of all folds together; return the files.

    Args:
        folds: ``…/<pretrained|scratch>/fold<k>``, the folders of all folds.
        measure: what a class is measured by, such as "recall".
        out: folder for ``<pretrained|scratch>_<table>.csv`` of each of ``TABLES``, and ``<table>.png`` of ``DRAWN``.
    """
    predictions, by_class, losses, searched = (gather(folds, name) for name in READS)
    tables = {
        "confusion": confusion(predictions),
        "classes": classes(by_class),
        "loss": loss(losses),
        "search": search(searched),
    }
    for name, table in tables.items():
        for init in INITS:
            storage.write_table(out / f"{init}_{name}.csv", table[table["init"] == init].drop(columns="init"))
    figures.confusion(tables["confusion"], out / "confusion.png")
    figures.classes(tables["classes"], measure, out / "classes.png")
    figures.losses(tables["loss"], out / "loss.png")
    return [out / f"{init}_{name}.csv" for init in INITS for name in TABLES] + [out / f"{name}.png" for name in DRAWN]


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Pair every label of a clip with the class that scored highest, columns ``init, actual, predicted``."""
    highest = predictions["predicted"].str.partition("|")[0]
    pairs = predictions.assign(actual=predictions["actual"].str.split("|"), predicted=highest).explode("actual")
    return pairs.sort_values(["init", "actual", "predicted"], ignore_index=True)[["init", "actual", "predicted"]]


def classes(by_class: pd.DataFrame) -> pd.DataFrame:
    """Average each class over the folds, weighted by its clips; columns ``init, class, n_clips, score``."""
    sums = by_class.assign(score=by_class["score"] * by_class["n_clips"]).groupby(["init", "class"], as_index=False)
    table = sums[["n_clips", "score"]].sum()
    return table.assign(score=table["score"] / table["n_clips"])


def loss(losses: pd.DataFrame) -> pd.DataFrame:
    """Average the training loss over the steps of an epoch, then over the folds; columns ``init, epoch, loss``."""
    by_fold = losses.groupby(["init", "epoch", "fold"])["loss"].mean()
    return by_fold.groupby(["init", "epoch"]).mean().reset_index()


def search(searched: pd.DataFrame) -> pd.DataFrame:
    """Average each candidate over the folds; columns ``init, lr, n_epochs, figure``."""
    numbers = searched.astype({"lr": float, "n_epochs": int, "figure": float})
    return numbers.groupby(["init", "lr", "n_epochs"])[["figure"]].mean().reset_index()


def gather(folds: Sequence[Path], name: str) -> pd.DataFrame:
    """Read one table of all folds, with ``init`` and ``fold`` as columns."""
    # a class may be called "null" or "007", and a step that was skipped has no loss
    texts = dict.fromkeys(("path", "actual", "predicted", "class"), str)
    tables = [
        pd.read_csv(fold / name, keep_default_na=False, na_values={"loss": [""]}, dtype=texts).assign(
            init=fold.parent.name, fold=fold.name
        )
        for fold in folds
    ]
    return pd.concat(tables, ignore_index=True)
