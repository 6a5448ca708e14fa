"""Draws gain.png, what pre-training is worth, from the committed comparisons below docs/results/small."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audiopg.plotting import BLUE, GREY, VERMILION, save

HERE = Path(__file__).parent
SMALL = HERE / "results/small"
TASKS = {"esc10": "ESC-10, ten classes of sound", "speech_commands_mini": "Speech Commands, words"}
SHARES = {"all labels": SMALL / "compared.csv", "a tenth of the labels": SMALL / "few/compared.csv"}
# the same tenth of ESC-10's labels with four times the steps; one seed
LONGER = SMALL / "few/epochs200/table.csv"
BARS = {"pretrained": ("pre-trained on synthetic sound", BLUE), "scratch": ("from scratch", GREY)}
WIDTH = 0.38
STEP = WIDTH + 0.02  # from one bar of a pair to the other


def rows_of(path: Path, task: str) -> pd.DataFrame:
    """Return mean and standard deviation of one task, by the name of the row."""
    table = pd.read_csv(path)
    return table[table["task"] == task].set_index("row")[["mean", "std"]]


def draw(axes: Axes, task: str) -> None:
    """Draw a pair of bars for each share of the labels, and the gain above it."""
    for place, path in enumerate(SHARES.values()):
        rows = rows_of(path, task)
        for number, (row, (label, colour)) in enumerate(BARS.items()):
            x, (mean, std) = place + (number - 0.5) * STEP, rows.loc[row]
            axes.bar(x, mean, WIDTH, color=colour, label=label if place == 0 else None)
            axes.errorbar(x, mean, std, color="black", capsize=3, linewidth=1)
            axes.text(x, 0.03, f"{mean:.2f}", ha="center", color="white", fontsize=11)
        gain = 100 * rows.loc["pretrained - scratch", "mean"]
        top = (rows.loc[list(BARS)].sum(axis=1)).max() + 0.03
        axes.text(place, top, f"{gain:+.1f} points", ha="center", color=VERMILION, fontsize=12, weight="bold")
    axes.set_title(TASKS[task], fontsize=12)
    axes.set_xticks(range(len(SHARES)), list(SHARES), fontsize=11)
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Draw both tasks side by side."""
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharey=True)
    for axes, task in zip(panels, TASKS, strict=True):
        draw(axes, task)
    longer = rows_of(LONGER, "esc10").loc["scratch", "mean"]
    style = {
        "linestyle": "none",
        "marker": "D",
        "markersize": 7,
        "markerfacecolor": "white",
        "markeredgecolor": "black",
    }
    panels[0].plot(1 + STEP / 2, longer, label="from scratch, 4 × the steps", **style)
    panels[0].set_ylabel("accuracy, mean ± deviation", fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    order = [labels.index(label) for label, _ in BARS.values()]
    order += [number for number in range(len(labels)) if number not in order]
    figure.legend(
        [handles[number] for number in order],
        [labels[number] for number in order],
        loc="outside lower center",
        ncols=len(labels),
        frameon=False,
        fontsize=11,
    )
    save(figure, HERE / "gain.png")


if __name__ == "__main__":
    main()
