"""Clips per second against clip length, batch size, events per clip and cores; and what a training needs.

    python benchmarks/synth_scaling.py        # writes benchmarks/results/synth_scaling.csv and .png

All points are measured in turn, several times over, so that other work on the machine disturbs all of them alike.
"""

import argparse
import csv
import multiprocessing
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import measure
import torch
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CLIP_S, BATCH_SIZE = 10.24, 32  # where they are not varied
CORES = tuple(sorted({1, min(2, measure.n_cores()), measure.n_cores()}))
VALUES = {
    "clip_s": (0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 30.0),
    "batch_size": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    "events": (1, 2, 4, 8, 12, 16),
    "threads": CORES,  # of one process, in each call
    "processes": CORES,  # of one thread each
}
AXES = {
    "clip_s": "clip length (s)",
    "batch_size": "batch size (clips)",
    "events": "events per source (number)",
    "threads": "cores (number)",
    "processes": "cores (number)",
}
LINES = {"threads": ("--", "threads of one process"), "processes": ("-", "processes")}
PRESETS = {"paper": ("#0072B2", "o"), "world": ("#D55E00", "s")}  # blue and vermilion of Okabe and Ito

GPU_FLOPS = 400e12  # what a large accelerator may do per second in bfloat16
# ViT-B masked autoencoder, forward and backward, 75 % masked, one clip of 10.24 s: 145 to 160 counted
FLOP_PER_CLIP = 160e9


@dataclass
class Point:
    """One thing to measure, and what came out in each round."""

    preset: str
    varied: str
    value: float
    made: measure.Bench
    n_threads: int
    n_processes: int
    ms_per_clip: list[float] = field(default_factory=list)

    def measure(self, seconds: float, pool: Pool) -> None:
        """Measure synthesis and log-mel together, once."""
        if self.varied == "processes":
            rates = pool.map(measure_alone, [(self.preset, seconds)] * self.world_size, chunksize=1)
            self.ms_per_clip.append(1000 / sum(rates))
        else:
            torch.set_num_threads(self.n_threads)
            times = self.made.measure(seconds)["synth_and_logmel"]
            self.ms_per_clip.append(1000 * statistics.median(times) / self.made.batch_size)

    def row(self) -> dict[str, Any]:
        """Return the line of the CSV file."""
        middle, fastest, slowest = statistics.median(self.ms_per_clip), min(self.ms_per_clip), max(self.ms_per_clip)
        synth = self.made.world.synth
        return {
            "preset": self.preset,
            "varied": self.varied,
            "value": self.value,
            "clip_s": synth.clip_s,
            "batch_size": self.made.batch_size,
            "threads": self.n_threads,
            "processes": self.world_size,
            "ms_per_clip": round(middle, 4),
            "ms_per_clip_min": round(fastest, 4),
            "ms_per_clip_max": round(slowest, 4),
            "clips_per_s": round(1000 / middle, 1),
            "clips_per_s_min": round(1000 / slowest, 1),
            "clips_per_s_max": round(1000 / fastest, 1),
            "msample_per_s": round(synth.n_samples / middle / 1000, 1),
        }


@cache
def alone(preset: str) -> measure.Bench:
    """Set up a preset in a process of one thread."""
    torch.set_num_threads(1)
    made = measure.prepare(preset, CLIP_S, BATCH_SIZE)
    made.warm_up()
    return made


def measure_alone(what: tuple[str, float]) -> float:
    """Return clips per second of this process, while others may run beside it."""
    preset, seconds = what
    return BATCH_SIZE / statistics.median(alone(preset).measure(seconds)["synth_and_logmel"])


def points() -> list[Point]:
    """List what is measured."""
    listed = []
    for preset in PRESETS:
        for varied, values in VALUES.items():
            for value in values:
                size = {
                    "clip_s": CLIP_S,
                    "batch_size": BATCH_SIZE,
                    "events": 0,
                    "threads": 1,
                    "processes": 1,
                    varied: value,
                }
                change = _exactly(int(size["events"])) if size["events"] else _as_it_is
                made = measure.prepare(preset, size["clip_s"], int(size["batch_size"]), change)
                listed.append(Point(preset, varied, value, made, int(size["threads"]), int(size["processes"])))
    return listed


def _as_it_is(values: dict[str, Any]) -> None:
    pass


def _exactly(n_events: int) -> Callable[[dict[str, Any]], None]:
    """Return the change that gives each source so many events."""

    def change(values: dict[str, Any]) -> None:
        values["synth"]["events"]["count"].update(min=n_events, max=n_events)

    return change


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw one panel for each thing that is varied."""
    mpl.use("Agg")
    figure, grid = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    panels = dict(zip(VALUES, [*grid.flat, grid[1, 1]], strict=True))
    for varied, panel in panels.items():
        style, which = LINES.get(varied, ("-", ""))
        for preset, (colour, marker) in PRESETS.items():
            line = [row for row in rows if row["varied"] == varied and row["preset"] == preset]
            at, middle = [row["value"] for row in line], [row["clips_per_s"] for row in line]
            below = [row["clips_per_s"] - row["clips_per_s_min"] for row in line]
            above = [row["clips_per_s_max"] - row["clips_per_s"] for row in line]
            label = f"{preset}, {which}" if which else f"preset {preset}"
            panel.errorbar(at, middle, (below, above), c=colour, marker=marker, ls=style, capsize=3, label=label)
        panel.set_xlabel(AXES[varied])
        panel.set_ylabel("clips per second")
        panel.grid(alpha=0.3)
        if varied in {"clip_s", "batch_size"}:
            panel.set_xscale("log", base=2)
            panel.set_xticks(VALUES[varied], [f"{value:g}" for value in VALUES[varied]])
            panel.minorticks_off()
        else:
            panel.set_xticks(VALUES[varied])
        if varied == "clip_s":
            panel.set_yscale("log")
            panel.tick_params(axis="x", labelsize="small")
    for panel in [panel for varied, panel in panels.items() if varied != "clip_s"]:
        panel.set_ylim(0, 1.15 * panel.dataLim.y1)
    panels["processes"].legend(loc="upper left", fontsize="small")
    panels["clip_s"].legend()
    figure.suptitle(
        f"Synthesis + log-mel; {CLIP_S} s clips in batches of {BATCH_SIZE} on 1 thread where not varied\n"
        "median of the rounds, with the fastest and the slowest"
    )
    figure.savefig(path, dpi=120)


def needs(rows: list[dict[str, Any]]) -> str:
    """Compare what a training needs with what cores give."""
    needed, n_cores = GPU_FLOPS / FLOP_PER_CLIP, CORES[-1]
    lines = []
    for preset in PRESETS:
        rates = {(row["varied"], row["value"]): row["clips_per_s"] for row in rows if row["preset"] == preset}
        one, threads, processes = (
            rates[what] for what in (("processes", 1), ("threads", n_cores), ("processes", n_cores))
        )
        beyond = [f"{n * processes / n_cores:,.0f}" for n in (4, 8, 16)]
        measured = [f"{one:,.0f}", *(f"{rate:,.0f} ({rate / one:.2f} ×)" for rate in (threads, processes))]
        lines.append((preset, *measured, *beyond, f"{needed * n_cores / processes:.1f}"))
    names = (
        "1 core",
        f"{n_cores} threads",
        f"{n_cores} processes",
        "4 cores*",
        "8 cores*",
        "16 cores*",
        "cores needed*",
    )
    shown = tabulate(lines, ("preset", *names), "github", disable_numparse=True)
    return (
        f"ViT-B at {GPU_FLOPS / 1e12:.0f} TFLOP/s and {FLOP_PER_CLIP / 1e9:.0f} GFLOP per clip takes {needed:,.0f} "
        f"clips/s of {CLIP_S} s. Clips/s, synthesis + log-mel:\n\n{shown}\n\n"
        f"* not measured: the rate of {n_cores} processes, extended linearly"
    )


def main() -> None:
    """Measure, and write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each point in each round")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the table and the plot")
    options = parser.parse_args()
    listed = points()
    for point in listed:
        point.made.warm_up()
    with multiprocessing.get_context("spawn").Pool(CORES[-1]) as pool:
        pool.map(measure_alone, [(preset, options.seconds) for preset in PRESETS] * CORES[-1], chunksize=len(PRESETS))
        for _ in range(options.rounds):
            for point in listed:
                point.measure(options.seconds, pool)
    rows = [point.row() for point in listed]
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "synth_scaling.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, options.out / "synth_scaling.png")
    machine = measure.machine()
    print(f"{machine['cpu']} ({machine['vector_instructions']}), {machine['n_cores']} cores")
    print(needs(rows))


if __name__ == "__main__":
    main()
