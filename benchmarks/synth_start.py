"""What a worker costs: first compilation, start from the disk, memory of the process and of each thread.

    python benchmarks/synth_start.py

Each figure is that of a fresh process on a copy of the package, so that nothing is compiled at first.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tabulate import tabulate

ROOT = Path(__file__).parents[1]
N_STARTS = 3
THREADS = (1, 2, 4, 8)
BATCH_SIZE, CLIP_S = 64, 10.24

# `VmHWM` is the peak since the last reset of it, as is done here once all code and both results have been touched
CHILD = """
import json, sys, time
from pathlib import Path
began = time.perf_counter()
import torch
torch_s = time.perf_counter() - began
import measure

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

preset, batch_size, clip_s, n_threads = sys.argv[1:]
made = measure.prepare(preset, float(clip_s), int(batch_size))
imported_s = time.perf_counter() - began
first_s = made.warm_up()
again_s = made.warm_up()
waveform = made.world.play(range(made.batch_size))
frames = made.log_mel(waveform)
torch.set_num_threads(int(n_threads))
highest = kilobytes("VmHWM")
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
del waveform, frames
for first in range(5):
    made.play(range(first * made.batch_size, (first + 1) * made.batch_size))
peak = kilobytes("VmHWM")
seconds = {"torch_s": torch_s, "import_s": imported_s - torch_s, "first_s": first_s - again_s}
print(json.dumps({**seconds, "highest_mb": highest / 1e3, "peak_mb": peak / 1e3, "growth_mb": (peak - before) / 1e3}))
"""


def child(package: Path, preset: str, n_threads: int) -> dict[str, Any]:
    """Start a process and return its figures."""
    arguments = [preset, BATCH_SIZE, CLIP_S, n_threads]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        cwd=package,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(ROOT / "benchmarks")])},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Print both tables."""
    keys = ("torch_s", "import_s", "first_s", "highest_mb")
    starts, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        shutil.copytree(ROOT / "audiopg", package / "audiopg", ignore=shutil.ignore_patterns("__pycache__"))
        for preset in ("world", "paper"):  # the first compiles everything that the second needs
            first = child(package, preset, 1)
            if preset == "world":
                starts.append(("first start, compiles", *(f"{first[key]:.1f}" for key in keys)))
            again = [child(package, preset, 1) for _ in range(N_STARTS)]
            middle = (f"{statistics.median(figures[key] for figures in again):.1f}" for key in keys)
            starts.append((f"start from the disk, {preset}, median of {N_STARTS}", *middle))
            for n_threads in THREADS:
                figures = [child(package, preset, n_threads) for _ in range(N_STARTS)]
                memory.append(
                    (
                        preset,
                        n_threads,
                        *(statistics.median(x[key] for x in figures) for key in ("peak_mb", "growth_mb")),
                    )
                )
    headers = ("", "import torch (s)", "import the rest (s)", "compile or load (s)", "peak memory (MB)")
    print(tabulate(starts, headers, "github", disable_numparse=True))
    print()
    headers = ("preset", "threads", "peak of the process (MB)", "beyond one batch and its result (MB)")
    print(tabulate(memory, headers, "github", floatfmt=".1f"))
    for preset in ("world", "paper"):
        growth = {row[1]: row[3] for row in memory if row[0] == preset}
        each = (growth[max(THREADS)] - growth[1]) / (max(THREADS) - 1)
        print(f"\n{preset}: {each:.1f} MB for each further thread")


if __name__ == "__main__":
    main()
