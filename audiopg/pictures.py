"""How figures are drawn and kept: one palette, and equal bytes for equal data."""

from pathlib import Path

from matplotlib.figure import Figure

from audiopg import storage

# Okabe and Ito's palette: told apart by colour-blind readers
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#7F7F7F"


def save(figure: Figure, path: Path) -> None:
    """Write a figure without the writer's version and date, so that equal data give equal bytes."""
    with storage.replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight", metadata={"Software": None})
