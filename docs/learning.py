"""Draws learning.png, what each idea is worth over random weights, from results/learning/pilots.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from audiopg.plotting import BLUE, GREY, VERMILION, save

HERE = Path(__file__).parent
TABLE = HERE / "results/learning/pilots.csv"
# task: its title, the number of recordings that were scored, its colour and its place beside the other
TASKS = {
    "esc50_16k": ("ESC-50, 16 kHz copy (folds 1 to 3)", 1200, BLUE, -0.14),
    "speech_commands_mini": ("words (folds 1 and 2)", 1955, VERMILION, 0.14),
}


def main() -> None:
    """Draw a row per pilot, the best of ESC-50 on top."""
    pilots = pd.read_csv(TABLE).set_index("pilot")
    random = pilots.loc["rand"]
    pilots = pilots.drop("rand").sort_values("esc50_16k")
    figure = Figure(figsize=(8.6, 5.4), layout="constrained")
    panel = figure.subplots()
    places = np.arange(len(pilots))
    for task, (title, n_scored, colour, shift) in TASKS.items():
        points = 100 * (pilots[task] - random[task])
        error = 100 * np.sqrt(pilots[task] * (1 - pilots[task]) / n_scored)
        style = {"fmt": "o", "color": colour, "capsize": 3, "markersize": 5}
        panel.errorbar(points, places + shift, xerr=error, label=title, **style)
    panel.axvline(0, color=GREY, linewidth=1)
    panel.set_yticks(places, pilots["what"], fontsize=9)
    panel.set(xlabel="points of accuracy over random weights, ± one standard error of the accuracy")
    panel.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    save(figure, HERE / "learning.png")


if __name__ == "__main__":
    main()
