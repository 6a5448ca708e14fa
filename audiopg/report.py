"""The results table, from the averages of each task."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from audiopg import storage
from audiopg.tasks import TASKS

COLUMNS = ["task", "row", "metric", "mean", "std", "n", "selection", "paper"]
TITLES = {
    "pretrained": "fine-tuned, pre-trained on synthetic sound",
    "scratch": "fine-tuned from scratch, same recipe and budget",
    "probe_linear": "frozen encoder, linear probe",
    "probe_knn": "frozen encoder, nearest neighbours",
    "probe_random": "frozen random weights, linear probe",
    "logmel_stats": "log-mel mean and deviation, linear probe",
}
# How the rows that are not fine-tuned choose among variants; the fine-tuned ones follow their task's card.
PROBE_SELECTION = {
    "probe_linear": "layer and penalty inside the training folds",
    "probe_knn": "layer inside the training folds",
    "probe_random": "layer and penalty inside the training folds",
    "logmel_stats": "penalty inside the training folds",
}


def table(metrics: Sequence[Path]) -> pd.DataFrame:
    """Collect the averages of all tasks in the columns ``COLUMNS``; ``paper`` is empty where the paper has no figure.

    Args:
        metrics: ``…/<task>.json`` of each task.
    """
    rows = []
    for path in metrics:
        card = TASKS[path.stem].card
        averages = storage.read_json(path)
        for row in TITLES:
            figure = averages[row][card.metric]
            selection = PROBE_SELECTION.get(row, card.selection)
            paper = card.paper if row == "pretrained" else None
            rows.append((card.name, row, card.metric, *(figure[key] for key in ("mean", "std", "n")), selection, paper))
    return pd.DataFrame(rows, columns=COLUMNS)


def markdown(frame: pd.DataFrame, latent: Path) -> str:
    """Return the table for the eye, and below it what the latent analysis found."""
    figures = [
        [
            row["task"],
            TITLES[row["row"]],
            f"{row['mean']:.3f} ± {row['std']:.3f}",
            row["metric"],
            row["n"],
            row["selection"],
            "–" if pd.isna(row["paper"]) else f"{row['paper']:.3f}",
        ]
        for row in frame.to_dict("records")
    ]
    found = storage.read_json(latent)
    encoders = ["pretrained", "random", "logmel_stats"]
    factors = [[name, *(f"{r2[key]:.3f}" for key in encoders)] for name, r2 in found["r2"].items()]
    angles = [
        [name, f"{o['mean_angle_deg']:.1f}", f"{o['null_mean_angle_deg']:.1f}", f"{o['p_value']:.3f}"]
        for name, o in found["orthogonality"].items()
    ]
    parts = [
        "# Results",
        _table(figures, ["task", "what", "mean ± std over folds", "metric", "folds", "selection", "paper"]),
        "Held-out R² of physical factors, read linearly from the last layer (synthetic probe corpus):",
        _table(factors, ["factor", "pre-trained", "random weights", "log-mel statistics"]),
        "Mean principal angle between the subspaces of f0 and event level (null: random subspaces):",
        _table(angles, ["encoder", "angle (°)", "null (°)", "p"]),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    # the figures are formatted already; left to itself tabulate would drop trailing zeros
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def run(metrics: Sequence[Path], latent: Path, out: Path) -> None:
    """Write ``table.csv`` and ``table.md`` into the folder ``out``."""
    frame = table(metrics)
    storage.write_text(out / "table.csv", frame.to_csv(index=False))
    storage.write_text(out / "table.md", markdown(frame, latent))
