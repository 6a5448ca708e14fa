"""The stage that averages the folds of one task, and collects the figures of its classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiopg import config, storage
from audiopg.errors import AudiopgError
from audiopg.provenance import run_cards, stages, verify
from audiopg.report import summary
from audiopg.report.rows import mean_and_std
from audiopg.tasks.card import Card


def run(
    cfg: config.Config, card_path: Path, fold_metrics: Sequence[Path], probe: Path, out: Path, folder: Path
) -> None:
    """Average fine-tuned folds and probe rows into one file.

    The file has ``{row: {metric: {mean, std, n, scores}}}``, and the recordings of each fold as ``n_train, n_test``.
    Where fine-tuning has searched, ``search`` has ``{init: {number of epochs: figure}}``, the figure of the best
    learning rate on training recordings that were left out.

    Args:
        cfg: all parameters.
        card_path: card of the task.
        fold_metrics: ``…/<pretrained|scratch>/fold<k>/metrics.json`` of all folds, each with the fold's other files.
        probe: ``scores.json`` of the probe stage.
        out: where the averages go.
        folder: where the predictions, classes and losses of all folds go, as tables and pictures, and the run card.

    Raises:
        AudiopgError: a fold is missing, counted twice, of another task, or not of the present parameters and code.
    """
    card = Card.read(card_path)
    folds = sorted(path.parent for path in fold_metrics)
    read = [probe, *(fold / name for fold in folds for name in ("metrics.json", *summary.READS))]
    rows = _figures(card, fold_metrics) | storage.read_json(probe)
    verify.check([path.with_name("run.json") for path in [*fold_metrics, probe]], cfg, read)
    averages = {
        row: {metric: mean_and_std(values) | {"scores": values} for metric, values in figures.items()}
        for row, figures in rows.items()
    }
    storage.write_json(out, averages | _sizes(fold_metrics) | _searched(folds))
    made = summary.write(folds, "average precision" if card.multi_label else "recall", folder)
    run_cards.write_card(
        folder / "run.json",
        "aggregate",
        stages.reads(cfg, "aggregate", card.name),
        [card_path, *read],
        [out, *made],
        task=card.name,
    )


def _sizes(fold_metrics: Sequence[Path]) -> dict[str, list[int]]:
    """Collect how many recordings each fold trains on and reports, from its run cards, in the order of the folds."""
    runs = [storage.read_json(path.with_name("run.json")) for path in fold_metrics]
    by_fold = dict(sorted((run["fold"], run) for run in runs if run["init"] == "pretrained"))
    return {name: [run[name] for run in by_fold.values()] for name in ("n_train", "n_test")}


def _searched(folds: Sequence[Path]) -> dict[str, Any]:
    """Collect what each number of epochs reached with its best learning rate, for both initialisations."""
    compared = summary.search(summary.gather(folds, "search.csv"))
    found = {
        init: {str(number): round(figure, 6) for number, figure in rows.groupby("n_epochs")["figure"].max().items()}
        for init, rows in compared.groupby("init")
    }
    return {"search": found} if found else {}


def _figures(card: Card, fold_metrics: Sequence[Path]) -> dict[str, Any]:
    """Collect the figures of all folds, ``{init: {metric: [figure of each fold]}}``.

    Raises:
        AudiopgError: a fold is missing, counted twice or of another task.
    """
    wanted = list(range(1, card.n_folds + 1))
    folds: dict[str, dict[int, dict[str, float]]] = {init: {} for init in summary.INITS}
    for path in fold_metrics:
        found = storage.read_json(path)
        if found["task"] != card.name:
            msg = f"{path}: is about {found['task']}, not {card.name}"
            raise AudiopgError(msg)
        folds[found["init"]][found["fold"]] = found["metrics"]
    for init, figures in folds.items():
        if sorted(figures) != wanted or len(fold_metrics) != 2 * len(wanted):
            msg = (
                f"{card.name}: folds {wanted} wanted, {init} has {sorted(figures)};"
                f" remove results/finetune/{card.name}, run again"
            )
            raise AudiopgError(msg)
    return {
        init: {metric: [figures[fold][metric] for fold in wanted] for metric in figures[1]}
        for init, figures in folds.items()
    }
