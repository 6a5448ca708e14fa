"""The stage that averages the folds of one task."""

from collections.abc import Sequence
from pathlib import Path

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.evaluate.metrics import mean_and_std
from audiopg.tasks import TASKS


def run(task: str, fold_metrics: Sequence[Path], probe: Path, out: Path) -> None:
    """Average fine-tuned folds and probe rows into one file, ``{row: {metric: {mean, std, n}}}``.

    Args:
        task: name of the task.
        fold_metrics: ``…/<pretrained|scratch>/fold<k>/metrics.json`` of all folds.
        probe: result of the probe stage.
        out: where the averages go.

    Raises:
        AudiopgError: a fold is missing, counted twice or of another task.
    """
    card = TASKS[task].card
    wanted = list(range(1, card.n_folds + 1))
    folds: dict[str, dict[int, float]] = {"pretrained": {}, "scratch": {}}
    for path in fold_metrics:
        metrics = storage.read_json(path)
        if metrics["task"] != task:
            msg = f"{path}: is about {metrics['task']}, not {task}"
            raise AudiopgError(msg)
        folds[metrics["init"]][metrics["fold"]] = metrics[card.metric]
    for init, values in folds.items():
        if sorted(values) != wanted or len(fold_metrics) != 2 * len(wanted):
            msg = (
                f"{task}: folds {wanted} wanted, {init} has {sorted(values)}; remove results/finetune/{task}, run again"
            )
            raise AudiopgError(msg)
    rows = {init: [values[fold] for fold in wanted] for init, values in folds.items()}
    rows |= storage.read_json(probe)
    storage.write_json(out, {row: {card.metric: mean_and_std(values)} for row, values in rows.items()})
