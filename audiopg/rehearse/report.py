"""The report of a rehearsal, one page."""

from tabulate import tabulate

from audiopg.rehearse.setting import Figures


def page(found: dict[str, Figures], forecast: str, problems: list[str]) -> str:
    """Write the page: what is wrong, the forecast, and all figures.

    Args:
        found: the figures of each part.
        forecast: of each stage, for the eye.
        problems: what is wrong.
    """
    device = found["machine"]["device"]
    wrong = "\n".join(f"- **{problem}**" for problem in problems) or "All that was checked is right."
    rows = [
        [part, ", ".join(f"{name} {_short(value)}" for name, value in figures.items())]
        for part, figures in found.items()
    ]
    shown = tabulate(rows, ["part", "found"], "github", disable_numparse=True)
    return "\n\n".join([f"# Rehearsal on {device}", wrong, "## Forecast", forecast, "## Figures", shown]) + "\n"


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
