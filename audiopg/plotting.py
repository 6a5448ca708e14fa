"""Draws and writes figures: one palette, a light and a dark version, and equal bytes for equal data."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from audiopg import storage

# Okabe and Ito's palette: colour-blind readers can distinguish its colours
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#7F7F7F"
CLASSES = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#F0E442")
MARKERS = ("o", "^", "s", "v", "D")
DPI = 130


def _theme(background: str, ink: str, faint: str) -> dict[str, object]:
    """Matplotlib's settings for one pair of background and ink."""
    settings: dict[str, object] = dict.fromkeys(("figure.facecolor", "axes.facecolor", "legend.facecolor"), background)
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    pads = dict.fromkeys(("figure.constrained_layout.h_pad", "figure.constrained_layout.w_pad"), 0.07)
    return settings | dict.fromkeys(inked, ink) | pads | {"grid.color": faint}


# the backgrounds of GitHub's two themes, on which the README is read
THEMES = {"": _theme("#ffffff", "#1f2328", "#b0b0b0"), "-dark": _theme("#0d1117", "#e6edf3", "#6e7681")}


def save(figure: Figure, path: Path) -> None:
    """Write a figure without the writer's version and date, so that equal data give equal bytes."""
    with storage.replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight", metadata={"Software": None})


def both(path: Path, draw: Callable[[], Figure]) -> None:
    """Write a figure for light and for dark pages, ``name.png`` and ``name-dark.png``, small and in equal bytes.

    Args:
        path: of the light version.
        draw: makes the figure, once per theme, all of it inside its edges; colours that it leaves open are the theme's.
    """
    for suffix, theme in THEMES.items():
        drawn = BytesIO()
        with rc_context(theme):  # type: ignore[arg-type]
            draw().savefig(drawn, format="png", dpi=DPI)
        # a palette takes a third of the bytes of full colours
        picture = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
        with storage.replacing(path.with_stem(path.stem + suffix)) as temporary:
            picture.save(temporary, optimize=True)


def ink() -> str:
    """Return the theme's colour of text and lines."""
    return str(rcParams["text.color"])


def write_in_cell(panel: Axes, column: int, row: int, text: str, *, on_light: bool) -> None:
    """Write into one cell of a matrix, legible on a light or on a dark field."""
    colour = "black" if on_light else "white"
    panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=7.5, linespacing=1.3)
