"""The estimate for the eye."""

from tabulate import tabulate

from audiopg import config
from audiopg.cost import flops
from audiopg.cost.estimate import assumptions, rows
from audiopg.cost.speed import Speed

FIGURES = ("M weights", "clips trained", "evaluated", "PFLOP", "memory GB", "clips/s", "written GB", "time")
HEADERS = ["stage", "task", "runs", *FIGURES]


def table(cfg: config.Config, name: str, speed: Speed) -> str:
    """Write the figures for the eye: the table, and below it the assumptions.

    Args:
        cfg: all parameters.
        name: what to call them.
        speed: what the device sustains.

    Raises:
        AudiopgError: as `rows`.
    """
    weights, clip, found = flops.parameters(cfg), flops.autoencoder_flops(cfg), rows(cfg, speed)
    lines = [
        [
            row.stage,
            row.task or "–",
            str(row.n_runs),
            f"{row.n_parameters / 1e6:.1f}",
            f"{row.clips_trained:,}" if row.clips_trained else "–",
            f"{row.clips_evaluated:,}" if row.clips_evaluated else "–",
            f"{row.device_flops / 1e15:,.3g}" if row.device_flops < 1e18 else f"{row.device_flops / 1e15:,.0f}",  # noqa: PLR2004
            f"{row.memory_bytes / 1e9:.2f}",
            f"{row.clips_per_s:,.0f}",
            written_text(row.written_bytes(row.train_s)),
            time_text(row.time_s),
        ]
        for row in found
    ]
    written, time_s = sum(row.written_bytes(row.train_s) for row in found), sum(row.time_s for row in found)
    lines.append(["all", *[""] * 8, written_text(written), time_text(time_s)])
    align = ("left", "left", *["right"] * 9)
    head = (
        f"{name}: encoder {weights.encoder:,} weights, decoder {weights.decoder:,}; pre-training takes "
        f"{clip.forward:,} FLOPs per clip forward, {clip.training:,} with backward"
    )
    shown = tabulate(lines, HEADERS, "github", disable_numparse=True, colalign=align)
    return "\n\n".join([head, shown, "\n".join(f"- {line}" for line in assumptions(cfg, speed))])


def written_text(n_bytes: int) -> str:
    """Write a number of bytes in GB, and none as a dash."""
    return f"{n_bytes / 1e9:.2f}" if n_bytes else "–"


def time_text(seconds: float) -> str:
    """Write a time as ``1:23 h``, ``4.5 min`` or ``6.7 s``."""
    if seconds >= 3600:  # noqa: PLR2004
        minutes = round(seconds / 60)
        return f"{minutes // 60}:{minutes % 60:02d} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"  # noqa: PLR2004
