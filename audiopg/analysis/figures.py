"""Figures of the latent analysis."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from audiopg.pictures import BLUE, GREY, VERMILION, save

LABELS = {"f0_octaves": "fundamental frequency (octaves)", "event_level_db": "event level re loudest (dB)"}


def r2_per_layer(table: pd.DataFrame, path: Path) -> None:
    """Draw held-out R² against depth, a panel per factor.

    Args:
        table: columns ``factor, encoder, layer, r2``; the log-mel statistics have a single layer.
        path: PNG file.
    """
    factors = list(dict.fromkeys(table["factor"]))
    figure = Figure(figsize=(4.2 * len(factors), 3.4))
    panels = figure.subplots(1, len(factors), sharey=True, squeeze=False)
    for panel, factor in zip(panels[0], factors, strict=True):
        rows = table[table["factor"] == factor]
        for encoder, colour, marker in (("pretrained", BLUE, "o"), ("random", VERMILION, "s")):
            line = rows[rows["encoder"] == encoder]
            panel.plot(line["layer"], line["r2"], marker=marker, color=colour, label=f"{encoder} weights")
        panel.axhline(
            rows[rows["encoder"] == "logmel_stats"]["r2"].iloc[0],
            color=GREY,
            linestyle="--",
            label="log-mel statistics",
        )
        panel.set(
            title=LABELS[factor],
            xlabel="layer (0 = patches, last = final norm)",
            ylim=(min(-0.05, table["r2"].min() - 0.05), 1.02),
        )
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("held-out R² of a ridge probe")
    panels[0, -1].legend(frameon=False)
    save(figure, path)


def embedding(features: NDArray[np.float64], factors: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw the first two principal components of an embedding, a panel per factor as colour.

    Args:
        features: shape (N, D).
        factors: physics by name, shape (N,) each.
        path: PNG file.
    """
    centred = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    share = singular**2 / (singular**2).sum()
    figure = Figure(figsize=(4.6 * len(factors), 3.6))
    panels = figure.subplots(1, len(factors), squeeze=False)
    for panel, (factor, values) in zip(panels[0], factors.items(), strict=True):
        points = panel.scatter(*(left[:, :2] * singular[:2]).T, c=values, s=6, cmap="cividis")
        panel.set(xlabel=f"PC 1 ({share[0]:.0%} of variance)", ylabel=f"PC 2 ({share[1]:.0%})")
        figure.colorbar(points, ax=panel, label=LABELS[factor])
    figure.tight_layout()
    save(figure, path)
