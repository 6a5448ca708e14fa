"""How fast this machine makes clips of the corpus and their log-mel spectrograms, stage by stage."""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from tabulate import tabulate

from audiopg import config
from audiopg.config import params, profile
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.synth.arrange import arrange
from audiopg.synth.compiled import player
from audiopg.synth.score import CORPUS
from audiopg.synth.world import World

# What is measured: the three stages of the synthesis one by one, then the two calls that a training makes.
STAGES = ("draw", "arrange", "render", "synth", "logmel", "synth_and_logmel")
LABELS = {
    "draw": "draw the score",
    "arrange": "arrange the playlist",
    "render": "render",
    "synth": "synthesis (the three)",
    "logmel": "log-mel",
    "synth_and_logmel": "synthesis + log-mel",
}
WARM_UP = 64  # clips that are played before the clock runs: enough to meet every source
MIN_REPEATS = 3
LONGEST_S = 3600

Times = dict[str, list[float]]  # seconds per call, by stage


@dataclass(frozen=True)
class Bench:
    """What is played, and in which batches."""

    world: World
    log_mel: LogMel
    batch_size: int

    def batches(self) -> Iterator[range]:
        """Return the indices of one batch after the other, endlessly."""
        first = 0
        while True:
            yield range(first, first + self.batch_size)
            first += self.batch_size

    def play(self, rows: Sequence[int]) -> tuple[float, float, float]:
        """Make one batch as a training does.

        Returns:
            Seconds for the waveforms, for the spectrograms, and for both; the latter two with the time that it takes
            to give the memory back.
        """
        began = time.perf_counter()
        waveform = self.world.play(rows)
        played = time.perf_counter()
        frames = self.log_mel(waveform)
        del waveform, frames
        done = time.perf_counter()
        return played - began, done - played, done - began

    def play_in_stages(self, rows: Sequence[int]) -> tuple[float, float, float]:
        """Make the waveforms of one batch; return the seconds for score, playlist and rendering."""
        began = time.perf_counter()
        score = self.world.score(rows)
        drawn = time.perf_counter()
        playlist = arrange(score, self.world.grid)
        arranged = time.perf_counter()
        player.render(playlist, torch.get_num_threads())
        return drawn - began, arranged - drawn, time.perf_counter() - arranged

    def warm_up(self) -> float:
        """Play until all code is compiled or loaded, and return the seconds that it took."""
        began = time.perf_counter()
        batches = self.batches()
        for _ in range(-(-WARM_UP // self.batch_size)):
            self.play(next(batches))
        return time.perf_counter() - began

    def measure(self, seconds: float) -> Times:
        """Measure all stages for so many seconds, on torch's number of threads; the ways to play take turns."""
        times: Times = {stage: [] for stage in STAGES}
        until = time.perf_counter() + seconds
        for rows in self.batches():
            for stage, took in zip(STAGES, (*self.play_in_stages(rows), *self.play(rows)), strict=True):
                times[stage].append(took)
            if time.perf_counter() > until and len(times["draw"]) >= MIN_REPEATS:
                break
        return times


def prepare(
    preset: str,
    clip_s: float,
    batch_size: int,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Bench:
    """Set up a preset with clips of some length.

    Where the clip is shorter than that of the preset, so is the shortest event, which else might not fit.

    Args:
        preset: name of the preset.
        clip_s: length of a clip in s.
        batch_size: clips per call.
        change: edits the parameters, as a mapping, before they are checked.

    Raises:
        AudiopgError: no such preset, parameters that are not allowed, too long a clip, or too short a one for what
            plays in it.
    """
    values = yaml.safe_load(profile.text(profile.COMPLETE, preset))
    change(values)
    checked = params.parse(values, f"preset {preset}")
    synth, longest_s = checked.synth, checked.synth.transient.duration_s.max
    if clip_s > LONGEST_S:
        msg = f"a clip of {clip_s:g} s is too long: at most {LONGEST_S} s"
        raise AudiopgError(msg)
    if not clip_s >= longest_s:
        msg = f"a clip of {clip_s:g} s is too short: at least {longest_s:g} s are needed, for the transient"
        raise AudiopgError(msg)
    shortest_s = synth.events.duration_s_min * min(clip_s / synth.clip_s, 1)
    events = synth.events.model_copy(update={"duration_s_min": shortest_s})
    synth = synth.model_copy(update={"clip_s": clip_s, "events": events})
    return Bench(World(synth, checked.seed), LogMel(checked.features), batch_size)


def run(preset: str, clip_s: float, batch_size: int, seconds: float) -> dict[str, Any]:
    """Measure a preset on one thread and on all cores.

    Args:
        preset: name of the preset.
        clip_s: length of a clip in s.
        batch_size: clips per call.
        seconds: how long to measure, for each number of threads.

    Raises:
        AudiopgError: as `prepare`.
    """
    bench = prepare(preset, clip_s, batch_size)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    before_mb, first_calls_s = peak_memory_mb(), bench.warm_up()
    threads = {}
    for n_threads in sorted({1, n_cores()}):
        torch.set_num_threads(n_threads)
        threads[str(n_threads)] = _summary(bench, bench.measure(seconds))
    torch.set_num_threads(threads_before)
    return {
        "preset": preset,
        "corpus": CORPUS,
        "clip_s": clip_s,
        "batch_size": batch_size,
        "first_calls_s": first_calls_s,
        "memory_before_mb": before_mb,
        "threads": threads,
        "machine": machine(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "numba", "torch")},
        },
    }


def _summary(bench: Bench, times: Times) -> dict[str, Any]:
    """Turn the times of one number of threads into figures per clip."""
    synth = bench.world.synth
    stages = {stage: _rates([took / bench.batch_size for took in times[stage]], synth) for stage in STAGES}
    return {
        **{f"{stage}_ms_per_clip": stages[stage]["ms_per_clip"] for stage in STAGES},
        "stages": stages,
        "n_repeats": len(times["draw"]),
        "peak_memory_mb": peak_memory_mb(),
    }


def _rates(seconds_per_clip: list[float], synth: config.Synth) -> dict[str, float]:
    """Median and range of the time for one clip, and the median as rates."""
    clips_per_s = 1 / statistics.median(seconds_per_clip)
    return {
        "ms_per_clip": 1000 / clips_per_s,
        "ms_per_clip_min": 1000 * min(seconds_per_clip),
        "ms_per_clip_max": 1000 * max(seconds_per_clip),
        "clips_per_s": clips_per_s,
        "times_real_time": clips_per_s * synth.clip_s,
        "msample_per_s": clips_per_s * synth.n_samples / 1e6,
    }


def n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def peak_memory_mb() -> float:
    """Largest memory that the process has had so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def machine() -> dict[str, Any]:
    """Describe the machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": models[0] if models else platform.processor(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "n_cores": n_cores(),
    }


def table(result: dict[str, Any]) -> str:
    """Write the result of `run` for the eye."""
    machine, versions = result["machine"], result["versions"]
    cores = "1 core" if machine["n_cores"] == 1 else f"{machine['n_cores']} cores"
    parts = [
        f"preset {result['preset']} ({result['corpus']}), clips of {result['clip_s']:g} s in batches of "
        f"{result['batch_size']}",
        f"{machine['cpu']} ({machine['vector_instructions']}), {cores}, {machine['platform']}; "
        + ", ".join(f"{name} {number}" for name, number in versions.items()),
        f"first calls, in which code is compiled or loaded: {result['first_calls_s']:.1f} s, not counted below",
    ]
    headers = ("", "ms per clip", "min", "max", "clips/s", "× real time", "Msample/s")
    for n_threads, measured in result["threads"].items():
        rows = [(LABELS[stage], *_figures(measured["stages"][stage])) for stage in STAGES]
        title = f"{n_threads} thread{'s' if n_threads != '1' else ''}, median of {measured['n_repeats']} batches"
        shown = tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 6))
        parts.append(f"\n{title}, peak memory {measured['peak_memory_mb']:.0f} MB\n{shown}")
    return "\n".join(parts)


def _figures(rates: dict[str, float]) -> list[str]:
    milliseconds = [f"{rates[name]:.3f}" for name in ("ms_per_clip", "ms_per_clip_min", "ms_per_clip_max")]
    return milliseconds + [f"{rates[name]:,.0f}" for name in ("clips_per_s", "times_real_time", "msample_per_s")]


def main() -> None:
    """Measure what the options ask for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="paper", help="what the corpus sounds like: paper or world")
    parser.add_argument("--clip-s", type=float, default=10.24, help="length of a clip in s, up to 3600")
    parser.add_argument("--batch-size", type=int, default=32, help="clips per call")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure each number of threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        result = run(given.preset, given.clip_s, given.batch_size, given.seconds)
    except AudiopgError as error:
        parser.exit(2, f"{error}\n")
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
