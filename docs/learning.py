"""Draws learning.png, what each idea is worth over random weights, from results/learning/pilots.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audiopg.plotting import BLUE, GREY, VERMILION, save

HERE = Path(__file__).parent
TABLE = HERE / "results/learning/pilots.csv"
# task: its title, the number of recordings that were scored, its colour and its place beside the other
TASKS = {
    "esc50_16k": ("ESC-50, 16 kHz copy (folds 1 to 3)", 1200, BLUE, -0.14),
    "speech_commands_mini": ("words (folds 1 and 2)", 1955, VERMILION, 0.14),
}
TITLES = {
    "mean, deviation": "read-out: mean and deviation of each band",
    "five statistics": "read-out: five statistics of each band; same patches for the control",
}


def draw(panel: Axes, pilots: pd.DataFrame, controls: pd.DataFrame) -> None:
    """Draw a row per pilot of one read-out, the best of ESC-50 on top."""
    pilots = pilots.sort_values("esc50_16k")
    places = np.arange(len(pilots))
    for task, (title, n_scored, colour, shift) in TASKS.items():
        points = 100 * (pilots[task].to_numpy() - controls.loc[pilots["control"], task].to_numpy())
        error = 100 * np.sqrt(pilots[task] * (1 - pilots[task]) / n_scored)
        style = {"fmt": "o", "color": colour, "capsize": 3, "markersize": 5}
        panel.errorbar(points, places + shift, xerr=error, label=title, **style)
    panel.axvline(0, color=GREY, linewidth=1)
    panel.set_yticks(places, pilots["what"], fontsize=9)
    panel.set_title(TITLES[pilots["readout"].iloc[0]], fontsize=10)
    panel.grid(axis="x", alpha=0.3)


def main() -> None:
    """Draw a panel for each read-out."""
    table = pd.read_csv(TABLE).set_index("pilot")
    controls, pilots = table[table["control"].isna()], table[table["control"].notna()]
    groups = [pilots[pilots["readout"] == readout] for readout in TITLES]
    figure = Figure(figsize=(9.4, 7.6), layout="constrained")
    panels = figure.subplots(2, sharex=True, height_ratios=[len(group) for group in groups])
    for panel, group in zip(panels, groups, strict=True):
        draw(panel, group, controls)
    panels[-1].set_xlabel("points of accuracy over random weights, ± one standard error of the accuracy")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    save(figure, HERE / "learning.png")


if __name__ == "__main__":
    main()
