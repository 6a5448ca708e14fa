"""Figures of training and of a task's results: losses, classes, confusions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg import config
from audiopg.plotting import BLUE, GREY, VERMILION, save

STYLES = {"pretrained": ("pre-trained", BLUE, "o"), "scratch": ("scratch", VERMILION, "s")}
NAMED = 60  # classes at most that are named along an axis
PLAIN: dict[str, Any] = {"parse_math": False}  # a class may be called "$1 and $2", which is no formula


def losses(table: pd.DataFrame, path: Path) -> None:
    """Draw the training loss over epochs.

    Args:
        table: columns ``init, epoch, loss``.
        path: PNG file.
    """
    figure = Figure(figsize=(5.2, 3.4))
    panel = figure.subplots()
    for init, (label, colour, _) in STYLES.items():
        rows = table[table["init"] == init]
        panel.plot(rows["epoch"], rows["loss"], color=colour, label=label)
    panel.set(xlabel="epoch", ylabel="training loss, mean of the folds", ylim=(0, None))
    panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    save(figure, path)


def classes(table: pd.DataFrame, measure: str, path: Path) -> None:
    """Draw how well each class is recognised, the best one on top.

    Args:
        table: columns ``init, class, n_clips, score``.
        measure: what the score is, such as "recall".
        path: PNG file.
    """
    best = table[table["init"] == "pretrained"].sort_values("score", kind="stable")
    places = {name: place for place, name in enumerate(best["class"])}
    figure = Figure(figsize=(5.2, 1.2 + 0.24 * min(len(places), NAMED)))
    panel = figure.subplots()
    for init, (label, colour, marker) in STYLES.items():
        rows = table[table["init"] == init]
        panel.plot(rows["score"], rows["class"].map(places), marker, color=colour, label=label, markersize=5)
    if len(places) <= NAMED:
        labels = [f"{name} ({n_clips})" for name, n_clips in zip(best["class"], best["n_clips"], strict=True)]
        panel.set_yticks(range(len(labels)), labels, fontsize=8, **PLAIN)
    panel.set(xlabel=measure, xlim=(-0.02, 1.02), ylabel="class (clips)")
    panel.grid(alpha=0.3)
    figure.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.0))
    save(figure, path)


def confusion(pairs: pd.DataFrame, path: Path) -> None:
    """Draw which class is taken for which, as shares of the actual class, a panel per initialisation.

    Args:
        pairs: columns ``init, actual, predicted``, a row per clip and label.
        path: PNG file.
    """
    names = sorted(set(pairs["actual"]) | set(pairs["predicted"]))
    side = 1.6 + 0.22 * min(len(names), NAMED)
    figure = Figure(figsize=(2 * side + 0.8, side + 0.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (init, (label, _, _)) in zip(panels, STYLES.items(), strict=True):
        rows = pairs[pairs["init"] == init]
        counts = pd.crosstab(rows["actual"], rows["predicted"]).reindex(index=names, columns=names, fill_value=0)
        shares = counts.to_numpy() / np.maximum(counts.sum(axis=1).to_numpy()[:, None], 1)
        image = panel.imshow(shares, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        panel.set(title=label, xlabel="predicted class")
        ticks = range(len(names)) if len(names) <= NAMED else []
        panel.set_xticks(ticks, [names[tick] for tick in ticks], rotation=90, fontsize=8, **PLAIN)
        panel.set_yticks(ticks, [names[tick] for tick in ticks], fontsize=8, **PLAIN)
    panels[0].set_ylabel("actual class")
    figure.colorbar(image, ax=panels, label="share of the actual class")
    save(figure, path)


def pretraining(losses: pd.DataFrame, objectives: config.Objectives, path: Path) -> None:
    """Draw the loss of each step, and its mean over a hundredth of the run.

    Args:
        losses: columns ``step, loss``.
        objectives: what it adds up.
        path: PNG file.
    """
    figure = Figure(figsize=(5.2, 3.4))
    panel = figure.subplots()
    panel.plot(losses["step"], losses["loss"], color=GREY, alpha=0.4, linewidth=0.7, label="each step")
    window = max(len(losses) // 100, 1)
    mean = losses["loss"].rolling(window, min_periods=1).mean()
    panel.plot(losses["step"], mean, color=BLUE, label=f"mean of {window} steps")
    weights = {name: weight for name, weight in objectives if weight}
    told = " + ".join(name if weight == 1 else f"{weight:g} × {name}" for name, weight in weights.items())
    panel.set(xlabel="step", ylabel=f"loss: {told}")
    panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    save(figure, path)
