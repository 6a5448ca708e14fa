"""The stage that averages the folds of one task."""

from collections.abc import Sequence
from pathlib import Path

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.evaluate.metrics import mean_and_std
from audiopg.tasks.card import Card


def run(card_path: Path, fold_metrics: Sequence[Path], probe: Path, out: Path) -> None:
    """Average fine-tuned folds and probe rows into one file, ``{row: {metric: {mean, std, n}}}``.

    Args:
        card_path: card of the task.
        fold_metrics: ``…/<pretrained|scratch>/fold<k>/metrics.json`` of all folds.
        probe: result of the probe stage.
        out: where the averages go.

    Raises:
        AudiopgError: a fold is missing, counted twice or of another task.
    """
    card = Card.read(card_path)
    wanted = list(range(1, card.n_folds + 1))
    folds: dict[str, dict[int, dict[str, float]]] = {"pretrained": {}, "scratch": {}}
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
    rows = {
        init: {metric: [figures[fold][metric] for fold in wanted] for metric in figures[1]}
        for init, figures in folds.items()
    }
    rows |= storage.read_json(probe)
    averages = {
        row: {metric: mean_and_std(values) for metric, values in figures.items()} for row, figures in rows.items()
    }
    storage.write_json(out, averages)
