"""Draws learning-curve.png, accuracy over the clips of the pre-training, from results/learning/curve.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg.plotting import BLUE, GREY, VERMILION, save

HERE = Path(__file__).parent
TABLE = HERE / "results/learning/curve.csv"
# task: its title, the number of recordings that were scored, and its colour
TASKS = {
    "esc50_16k": ("ESC-50, 16 kHz copy (five folds)", 2000, BLUE),
    "speech_commands_mini": ("words (folds 1 and 2)", 1955, VERMILION),
}
MARKERS = {42: "o", 43: "s"}  # of seeds


def main() -> None:
    """Draw a panel for each task: a point per run, and random weights as a line."""
    table = pd.read_csv(TABLE)
    runs = table.groupby(["task", "clips", "seed", "draw"])["accuracy"].mean().reset_index()
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    for panel, (task, (title, n_scored, colour)) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
        of_task = runs[runs["task"] == task]
        trained, random = of_task[of_task["clips"] > 0], of_task[of_task["clips"] == 0]
        panel.axhline(random["accuracy"].mean(), color=GREY, linestyle="--", label="random weights, mean of draws")
        for seed, points in trained.groupby("seed"):
            error = np.sqrt(points["accuracy"] * (1 - points["accuracy"]) / n_scored)
            style = {"fmt": MARKERS[seed], "color": colour, "capsize": 3, "markersize": 6}
            panel.errorbar(points["clips"], points["accuracy"], yerr=error, label=f"seed {seed}", **style)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted(trained["clips"].unique()), [f"{clips:,}" for clips in sorted(trained["clips"].unique())])
        panel.minorticks_off()
        panel.set_xlabel("clips of the pre-training")
        panel.set_title(title, fontsize=11)
        panel.grid(axis="y", alpha=0.3)
        panel.legend(frameon=False, fontsize=9)
    figure.axes[0].set_ylabel("accuracy, ± one standard error")
    save(figure, HERE / "learning-curve.png")


if __name__ == "__main__":
    main()
