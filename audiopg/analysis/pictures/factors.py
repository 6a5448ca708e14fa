"""Figures of what is known of each factor: where it is read, in which direction, what erasing it does, how it looks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from audiopg.analysis.measures.significance import SIGNIFICANCE
from audiopg.arrays import Float64
from audiopg.plotting import BLUE, CLASSES, GREY, MARKERS, VERMILION, both, ink, write_in_cell

FACTORS = {
    "f0_octaves": "f0 (octaves re 1 Hz)",
    "event_level_db": "event level (dB re loudest)",
    "snr_db": "SNR (dB)",
    "decay_exponent": "partial decay γ",
    "modulation_index": "FM index (rad)",
    "attack_octaves": "attack time (octaves re 1 s)",
    "n_events": "number of events",
    "onset_density_octaves": "onset density (octaves re 1/s)",
    "cutoff_octaves": "cut-off (octaves re 1 Hz)",
    "primitive": "primitive",
    "family": "program family",
}
R2 = "r2"
ENCODERS = {"pretrained": ("pre-trained", BLUE, "o"), "random": ("random weights", VERMILION, "s")}
SCORE_COLUMNS, MATRIX_COLUMNS = 5, 4  # panels side by side
# the edge keeps points apart, and from a background of nearly their own colour
POINTS: dict[str, Any] = {"s": 7, "linewidths": 0.25, "edgecolors": GREY}
LEGEND: dict[str, Any] = {
    **{"loc": "upper center", "bbox_to_anchor": (0.5, -0.1), "ncols": 2, "frameon": False, "markerscale": 2},
    **{"fontsize": 6.5, "handletextpad": 0.1, "columnspacing": 0.8},
}


def label(factor: str) -> str:
    """Return a factor's name with its unit.

    Raises:
        ValueError: the factor has no label, so that a picture would show the program's name for it.
    """
    if factor not in FACTORS:
        msg = f"factor '{factor}' has no label; add it to FACTORS in audiopg/analysis/pictures/factors.py"
        raise ValueError(msg)
    return FACTORS[factor]


def _short(factor: str) -> str:
    """Return a factor's name without its unit, for the edges of a matrix."""
    return label(factor).split(" (")[0]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _grid(n_panels: int, n_columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Make a figure of equal panels, row by row; places that are left over stay empty."""
    columns = min(n_columns, n_panels)
    rows = -(-n_panels // columns)
    width = max(size[0] * columns, 4.0)  # for the lines below a single small panel
    figure = Figure(figsize=(width, size[1] * rows + 0.5), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[n_panels:]:
        unused.remove()
    return figure, panels[:n_panels]


def score_per_layer(table: pd.DataFrame, path: Path) -> None:
    """Draw how well each factor is read against depth, a panel per corpus and factor.

    Args:
        table: columns ``corpus, factor, measure, encoder, layer, pooling, score, low, high, shuffled``; of the encoders
            the rows with pooling ``mean`` are drawn, of ``logmel_stats`` the first. ``low`` and ``high`` bound the 95 %
            interval, ``shuffled`` is the score of shuffled labels.
        path: PNG file of the light version.
    """
    groups = [rows for _, rows in table.groupby(["corpus", "factor", "measure"], sort=False)]
    titles = [_title(*rows[["corpus", "factor", "measure"]].iloc[0]) for rows in groups]
    several = table["measure"].nunique() > 1

    def draw() -> Figure:
        figure, panels = _grid(len(groups), SCORE_COLUMNS, (2.25, 1.75))
        for panel, title, rows in zip(panels, titles, groups, strict=True):
            _score_panel(panel, rows)
            panel.set_title(title, fontsize=8)
        figure.supxlabel("layer (0 = patches, last = final norm)", fontsize=9)
        figure.supylabel("held-out score (R² where nothing else is said)" if several else "held-out R²", fontsize=9)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, frameon=False, ncols=4, loc="outside upper center", fontsize=8)
        return figure

    both(path, draw)


def _title(corpus: str, factor: str, measure: str) -> str:
    """Return the title of a panel of scores; R² is the rule and is not named."""
    return f"{_words(corpus)}\n{label(factor)}" + ("" if measure == R2 else f", {_words(measure)}")


def _score_panel(panel: Axes, rows: pd.DataFrame) -> None:
    """Draw the lines of one factor."""
    for encoder, (name, colour, marker) in ENCODERS.items():
        line = rows[(rows["encoder"] == encoder) & (rows["pooling"] == "mean")]
        panel.fill_between(line["layer"], line["low"], line["high"], color=colour, alpha=0.35, linewidth=0)
        panel.plot(line["layer"], line["score"], marker=marker, markersize=3, linewidth=1.2, color=colour, label=name)
    for score in rows[rows["encoder"] == "logmel_stats"]["score"].head(1):
        panel.axhline(score, color=GREY, linestyle="--", linewidth=1.2, label="log-mel statistics")
    control = rows[(rows["encoder"] == "pretrained") & (rows["pooling"] == "mean")]
    panel.plot(control["layer"], control["shuffled"], ":", linewidth=0.9, color=ink(), label="shuffled labels")
    panel.set_ylim(-0.1, 1.04)
    panel.set_yticks([0, 0.5, 1])
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.4, linewidth=0.6)


def angle_matrix(table: pd.DataFrame, path: Path) -> None:
    """Draw the angles between the main directions of each two factors in the pre-trained encoder, a matrix per corpus.

    Each cell holds the angle and, in brackets, the lower end of its interval and the median of random directions; the
    diagonal holds the angle between two estimates of the same direction, each from half of the clips.

    Args:
        table: columns ``corpus, encoder, first, second, angle_deg, low_deg, null_deg, readable, p_holm,
            self_first_deg, self_second_deg``, a row per pair.
        path: PNG file of the light version.
    """
    corpora = list(table[table["encoder"] == "pretrained"].groupby("corpus", sort=False))
    largest = max(len(_members(rows)) for _, rows in corpora)

    def draw() -> Figure:
        figure, panels = _grid(len(corpora), MATRIX_COLUMNS, (1.15 + 0.62 * largest, 1.3 + 0.5 * largest))
        for panel, (corpus, rows) in zip(panels, corpora, strict=True):
            angles, texts = _angles(rows)
            names = [_short(factor) for factor in _members(rows)]
            image = _matrix(panel, angles, texts, (names, names), Normalize(0, 90))
            panel.set_title(_words(str(corpus)), fontsize=9)
        bar = figure.colorbar(image, ax=panels, ticks=[0, 30, 60, 90], pad=0.02)
        bar.set_label("angle (deg)", fontsize=9)
        lines = (
            "in brackets: lower end of the 95 % interval, median of random directions",
            f"* both readable, and more orthogonal than random (Holm's p < {SIGNIFICANCE})",
            "diagonal: two estimates of the same direction from half of the clips each",
        )
        figure.supxlabel("\n".join(lines), fontsize=8)
        return figure

    both(path, draw)


def _members(rows: pd.DataFrame) -> list[str]:
    """Return the factors of the pairs, in the order in which they occur."""
    return list(dict.fromkeys([*rows["first"], *rows["second"]]))


def _angles(rows: pd.DataFrame) -> tuple[Float64, list[list[str]]]:
    """Lay the pairs of one corpus out as a matrix, and what each cell says."""
    place = {factor: number for number, factor in enumerate(_members(rows))}
    angles = np.full((len(place), len(place)), np.nan)
    texts = [["" for _ in place] for _ in place]
    for row in rows.to_dict("records"):
        first, second = place[row["first"]], place[row["second"]]
        star = "*" if row["readable"] and row["p_holm"] < SIGNIFICANCE else ""
        for one, other in ((first, second), (second, first)):
            angles[one, other] = row["angle_deg"]
            texts[one][other] = f"{row['angle_deg']:.0f}{star}\n({row['low_deg']:.0f}, {row['null_deg']:.0f})"
        for one, own_deg in ((first, row["self_first_deg"]), (second, row["self_second_deg"])):
            angles[one, one] = own_deg
            texts[one][one] = f"{own_deg:.0f}"
    return angles, texts


def interventions(table: pd.DataFrame, path: Path) -> None:
    """Draw what frozen probes read of each factor when another's subspace is taken out, a matrix per corpus.

    Each cell holds R² in the pre-trained encoder and, in brackets, R² without a random subspace of the same size.

    Args:
        table: columns ``corpus, encoder, erased, factor, r2_before, r2_after, r2_random``.
        path: PNG file of the light version.
    """
    groups = [rows for _, rows in table[table["encoder"] == "pretrained"].groupby("corpus", sort=False)]
    largest = max(rows["factor"].nunique() for rows in groups)

    def draw() -> Figure:
        figure, panels = _grid(len(groups), MATRIX_COLUMNS, (1.25 + 0.62 * largest, 1.6 + 0.5 * largest))
        for panel, rows in zip(panels, groups, strict=True):
            scores, texts, names = _erased(rows)
            image = _matrix(panel, scores, texts, names, Normalize(0, 1))
            panel.set_title(_words(rows["corpus"].iloc[0]), fontsize=9)
            panel.set_xlabel("factor read", fontsize=8)
        bar = figure.colorbar(image, ax=panels, ticks=[0, 0.5, 1], pad=0.02)
        bar.set_label("held-out r² of ranks", fontsize=9)
        figure.supxlabel("in brackets: without a random subspace of the same size", fontsize=8)
        return figure

    both(path, draw)


def _erased(rows: pd.DataFrame) -> tuple[Float64, list[list[str]], tuple[list[str], list[str]]]:
    """Lay one corpus out as a matrix, nothing erased first; what each cell says; names of the rows and columns."""
    read, erased = list(dict.fromkeys(rows["factor"])), list(dict.fromkeys(rows["erased"]))
    after, random = (
        rows.pivot_table(index="erased", columns="factor", values=column).reindex(index=erased, columns=read).to_numpy()
        for column in ("r2_after", "r2_random")
    )
    before = rows.groupby("factor")["r2_before"].first().reindex(read).to_numpy()
    scores = np.vstack([before, after])
    texts = [[f"{value:.2f}" for value in before]] + [
        [f"{value:.2f}\n({control:.2f})" for value, control in zip(*pair, strict=True)]
        for pair in zip(after, random, strict=True)
    ]
    names = ["nothing taken out", *(f"without {_short(factor)}" for factor in erased)]
    return scores, texts, (names, [_short(factor) for factor in read])


def _matrix(
    panel: Axes,
    values: Float64,
    texts: Sequence[Sequence[str]],
    names: tuple[Sequence[str], Sequence[str]],
    norm: Normalize,
) -> AxesImage:
    """Draw a matrix with what each cell says; ``names`` are those of the rows and of the columns."""
    image = panel.imshow(values, norm=norm, cmap="cividis", interpolation="nearest", aspect="auto")
    panel.set_yticks(range(len(names[0])), names[0], fontsize=8)
    panel.set_xticks(range(len(names[1])), names[1], fontsize=8, rotation=35, ha="right", rotation_mode="anchor")
    panel.tick_params(length=0)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            write_in_cell(panel, column, row, text, on_light=bool(norm(values[row, column]) > 0.5))  # noqa: PLR2004
    return image


def embedding(table: pd.DataFrame, path: Path) -> None:
    """Draw the clips of one corpus as points, a row per projection, a column per factor as colour.

    Args:
        table: columns ``corpus, method, x, y, x_share, y_share`` and one per factor, as `projections.project` makes it;
            a factor that holds text is categorical.
        path: PNG file of the light version.
    """
    methods = list(table.groupby("method", sort=False))
    factors = [name for name in table.columns if name not in ("corpus", "method", "x", "y", "x_share", "y_share")]
    titles = [label(factor) for factor in factors]

    def draw() -> Figure:
        figure = Figure(figsize=(2.7 * len(factors), 2.5 * len(methods) + 0.8), layout="constrained")
        panels = figure.subplots(len(methods), len(factors), squeeze=False)
        for column, (factor, title) in enumerate(zip(factors, titles, strict=True)):
            tables = [rows for _, rows in methods]
            if pd.api.types.is_numeric_dtype(table[factor]):
                points = _values(panels[:, column], tables, factor)
                bar = figure.colorbar(points, ax=list(panels[:, column]), location="top", pad=0.01, aspect=30)
                bar.set_label(title, fontsize=8)
                bar.ax.tick_params(labelsize=7)
            else:
                _classes(panels[:, column], tables, factor)
                panels[0, column].set_title(title, fontsize=8)
                panels[-1, column].legend(**LEGEND)
        for line, (method, rows) in zip(panels, methods, strict=True):
            for panel in line:
                panel.set(xticks=[], yticks=[])
            shares = rows[["x_share", "y_share"]].iloc[0]
            parts = ["" if np.isnan(share) else f" ({share:.0%} of variance)" for share in shares]
            line[0].set_ylabel(f"{method} 2{parts[1]}", fontsize=8)
            for panel in line:
                panel.set_xlabel(f"{method} 1{parts[0]}", fontsize=8)
        figure.suptitle(f"corpus: {_words(table['corpus'].iloc[0])}", fontsize=9)
        return figure

    both(path, draw)


def _values(panels: NDArray[np.object_], tables: list[pd.DataFrame], factor: str) -> PathCollection:
    """Colour the points of a column of panels by a number; clips without it are left out."""
    for panel, rows in zip(panels, tables, strict=True):
        known = rows[rows[factor].notna()]
        points: PathCollection = panel.scatter(known["x"], known["y"], c=known[factor], cmap="viridis", **POINTS)
    return points


def _classes(panels: NDArray[np.object_], tables: list[pd.DataFrame], factor: str) -> None:
    """Give each class a colour and, when the colours are used up, another mark."""
    for panel, rows in zip(panels, tables, strict=True):
        for number, name in enumerate(sorted(rows[factor].dropna().unique())):
            chosen = rows[rows[factor] == name]
            colour, marker = CLASSES[number % len(CLASSES)], MARKERS[number // len(CLASSES) % len(MARKERS)]
            panel.scatter(chosen["x"], chosen["y"], color=colour, marker=marker, label=_words(name), **POINTS)
