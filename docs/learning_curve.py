"""Draws learning-curve.png, what the clips of the pre-training are worth, from results/learning/curve.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg.plotting import CLASSES, GREY, MARKERS, save

HERE = Path(__file__).parent
TABLE = HERE / "results/learning/curve.csv"
# task: its title, the folds that all runs have (or one row with their mean), and the number of their recordings
TASKS = {
    "esc50_16k": ("ESC-50, 16 kHz copy (folds 1 to 3)", ["1", "2", "3", "1 to 3"], 1200),
    "speech_commands_mini": ("words (folds 1 and 2)", ["1", "2", "1 and 2"], 1955),
}
SEEDS = (42, 43, 44)
APART = 1.06  # between seeds, a factor of the clips, so that points do not hide each other


def main() -> None:
    """Draw a panel for each task: a point per run over the mean of the draws of random weights."""
    table = pd.read_csv(TABLE, dtype={"fold": str})
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for panel, (task, (title, folds, n_scored)) in zip(panels, TASKS.items(), strict=True):
        of_task = table[(table["task"] == task) & table["fold"].isin(folds)]
        runs = of_task.groupby(["clips", "seed", "draw"], dropna=False)["accuracy"].mean().reset_index()
        random, trained = runs[runs["clips"] == 0], runs[runs["clips"] > 0]
        for number, seed in enumerate(SEEDS):
            points = trained[trained["seed"] == seed]
            accuracy = points["accuracy"]
            lead, error = accuracy - random["accuracy"].mean(), np.sqrt(accuracy * (1 - accuracy) / n_scored)
            style = {"fmt": MARKERS[number], "color": CLASSES[number], "capsize": 3, "markersize": 5}
            panel.errorbar(points["clips"] * APART**number, 100 * lead, yerr=100 * error, label=f"seed {seed}", **style)
        panel.axhline(0, color=GREY, linewidth=1)
        panel.set_xscale("log", base=2)
        clips = sorted(trained["clips"].unique())
        panel.set_xticks(clips, [f"{n // 1000}k" for n in clips])
        panel.minorticks_off()
        panel.set_xlabel("clips of the pre-training")
        panel.set_title(title, fontsize=11)
        panel.grid(axis="y", alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    panels[0].set_ylabel("points over random weights,\n± one standard error of the accuracy")
    save(figure, HERE / "learning-curve.png")


if __name__ == "__main__":
    main()
