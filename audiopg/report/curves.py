"""The picture of several runs: figures over a parameter."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from audiopg import storage
from audiopg.plotting import BLUE, CLASSES, GREY, VERMILION, save
from audiopg.report.rows import TITLES

DECADE = 10  # values of a parameter that span more are drawn on a logarithmic axis
DRAWN = {
    "pretrained": {"color": BLUE, "marker": "o"},
    "scratch": {"color": VERMILION, "marker": "s"},
    "probe_linear": {"color": BLUE, "marker": "o", "linestyle": "--", "markerfacecolor": "none"},
    "probe_random": {"color": CLASSES[1], "marker": "v", "linestyle": "--"},
    "logmel_stats": {"color": GREY, "marker": "D", "linestyle": "--"},
}


def draw(frame: pd.DataFrame, along: str, path: Path) -> None:
    """Draw the figures of each task over a parameter, mean ± standard deviation, a panel per task and metric.

    Args:
        frame: as `compare.table`, with a column named ``along`` before.
        along: the parameter.
        path: PNG file.
    """
    values = {storage.canonical(value): value for value in frame[along]}
    numbers = pd.api.types.is_numeric_dtype(frame[along])
    places = values if numbers else {key: number for number, key in enumerate(values)}
    panels = list(frame.groupby(["task", "metric"], sort=False))
    figure = Figure(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    for panel, ((task, metric), rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for row, style in DRAWN.items():
            of_row = rows[rows["row"] == row]
            x = of_row[along].map(storage.canonical).map(places)
            panel.errorbar(x, of_row["mean"], of_row["std"].fillna(0), capsize=2, label=TITLES[row], **style)
        panel.set(title=task, xlabel=along, ylabel=f"{metric}, mean ± std")
        if numbers and min(places.values()) > 0 and max(places.values()) >= DECADE * min(places.values()):
            panel.set_xscale("log")
        panel.set_xticks(list(places.values()), [str(value) for value in values.values()], minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)
