"""Draws learning-curve.png, accuracy over the clips of the pre-training, from results/learning/curve.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg.plotting import BLUE, GREY, VERMILION, save

HERE = Path(__file__).parent
TABLE = HERE / "results/learning/curve.csv"
# task: its title, the folds that all runs have, the number of their recordings, and its colour
TASKS = {
    "esc50_16k": ("ESC-50, 16 kHz copy (folds 1 to 3)", ["1", "2", "3", "1 to 3"], 1200, BLUE),
    "speech_commands_mini": ("words (folds 1 and 2)", ["1", "2", "1 and 2"], 1955, VERMILION),
}
MARKERS = {42: "o", 43: "s", 44: "^"}  # of seeds
APART = {42: 1.0, 43: 1.06, 44: 1.12}  # factors of the clips, so that points do not hide each other


def main() -> None:
    """Draw a panel for each task: a point per run, and random weights as a line."""
    table = pd.read_csv(TABLE, dtype={"fold": str})
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    for panel, (task, (title, folds, n_scored, colour)) in zip(
        figure.subplots(1, len(TASKS)), TASKS.items(), strict=True
    ):
        of_task = table[(table["task"] == task) & table["fold"].isin(folds)]
        runs = of_task.groupby(["clips", "seed", "draw"], dropna=False)["accuracy"].mean().reset_index()
        random, trained = runs[runs["clips"] == 0], runs[runs["clips"] > 0]
        panel.axhline(random["accuracy"].mean(), color=GREY, linestyle="--", label="random weights, mean of draws")
        for seed, points in trained.groupby("seed"):
            error = np.sqrt(points["accuracy"] * (1 - points["accuracy"]) / n_scored)
            style = {"fmt": MARKERS[seed], "color": colour, "capsize": 3, "markersize": 5}
            panel.errorbar(points["clips"] * APART[seed], points["accuracy"], yerr=error, label=f"seed {seed}", **style)
        panel.set_xscale("log", base=2)
        clips = sorted(trained["clips"].unique())
        panel.set_xticks(clips, [f"{n // 1000}k" for n in clips])
        panel.minorticks_off()
        panel.set_xlabel("clips of the pre-training")
        panel.set_title(title, fontsize=11)
        panel.grid(axis="y", alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    figure.axes[0].set_ylabel("accuracy, ± one standard error")
    save(figure, HERE / "learning-curve.png")


if __name__ == "__main__":
    main()
