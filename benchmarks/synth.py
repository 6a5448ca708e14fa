"""Synthesis and log-mel spectrograms, side by side with others in one run, on one thread.

    python benchmarks/synth.py

The ways take turns; the ratio of two of them is taken in each round, and its median and quartiles over the rounds are
the result, which other work on the machine disturbs little. Clips are those of the paper: 10.24 s at 16 kHz.
"""

import argparse
import contextlib
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import measure
import numpy as np
import plain
import torch
import torchaudio
from tabulate import tabulate

from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player

PACKAGES = ("numpy", "scipy", "numba", "torch", "torchaudio")
PRESETS = ("paper", "world")
CLIP_S, BATCH_SIZE = 10.24, 32
FEW, SOME = 2, 8  # clips per call of what is slow
# Rows of the table: what is divided by what, and the highest ratio that is asked for.
RATIOS = (
    ("ours, paper: synthesis + log-mel", "torchaudio: kaldi.fbank, one clip", 0.27),
    ("ours, world: synthesis", "ours, paper: synthesis", 4.0),
    ("ours, world: synthesis + log-mel", "ours, paper: synthesis + log-mel", None),
    ("torchaudio: kaldi.fbank, one clip", "ours, paper: log-mel", None),
    ("LogMel.batched, torch on the CPU", "ours, paper: log-mel", None),
    ("LogMel.batched, torch.compile", "ours, paper: log-mel", None),
    ("LogMel.batched, torch on the CPU", "LogMel.batched, torch.compile", None),
    ("plain NumPy, paper: synthesis", "ours, paper: synthesis", None),
    ("plain NumPy, world: synthesis", "ours, world: synthesis", None),
    ("batched torch on the CPU, paper: synthesis", "ours, paper: synthesis", None),
    ("batched torch on the CPU, world: synthesis", "ours, world: synthesis", None),
    ("torchsynth: Voice (not the same work)", "ours, paper: synthesis", None),
    ("torchsynth: Voice (not the same work)", "ours, world: synthesis", None),
)


@dataclass
class Way:
    """One way to do some of the work; ``work`` gets the number of the round."""

    work: Callable[[int], object]
    n_clips: int
    slow: bool = False  # not in every round
    seconds: dict[int, float] = field(default_factory=dict)  # per clip, by round

    def run(self, number: int) -> None:
        """Do the work once, by the clock."""
        began = time.perf_counter()
        self.work(number)
        self.seconds[number] = (time.perf_counter() - began) / self.n_clips


def ours(ways: dict[str, Way]) -> None:
    """Add the package's ways, and the same scores by other means."""
    for preset in PRESETS:
        made = measure.prepare(preset, CLIP_S, BATCH_SIZE)
        made.warm_up()
        world, log_mel = made.world, made.log_mel

        def rows(number: int, n_clips: int = BATCH_SIZE) -> range:
            return range(number * n_clips, (number + 1) * n_clips)

        def both(number: int, made: measure.Bench = made) -> object:
            return made.log_mel(made.world.play(rows(number)))

        def numpy_only(number: int, world: measure.World = world) -> object:
            return plain.render(world.score(rows(number, FEW)), world.grid.n_samples, world.grid.sample_rate_hz)

        def with_torch(number: int, world: measure.World = world) -> object:
            return player.render(arrange(world.score(rows(number, SOME)), world.grid), torch.device("cpu"))

        ways[f"ours, {preset}: synthesis"] = Way(lambda number, world=world: world.play(rows(number)), BATCH_SIZE)
        ways[f"ours, {preset}: synthesis + log-mel"] = Way(both, BATCH_SIZE)
        ways[f"plain NumPy, {preset}: synthesis"] = Way(numpy_only, FEW, slow=True)
        ways[f"batched torch on the CPU, {preset}: synthesis"] = Way(with_torch, SOME, slow=True)
        if preset == "paper":
            waveform = world.play(range(BATCH_SIZE))
            agree(made, waveform)
            ways["ours, paper: log-mel"] = Way(lambda _, x=waveform, f=log_mel: f(x), BATCH_SIZE)
            ways["torchaudio: kaldi.fbank, one clip"] = Way(lambda number, x=waveform, f=fbank: f(x, number), 1)
            ways["LogMel.batched, torch on the CPU"] = Way(lambda _, x=waveform, f=log_mel: f.batched(x), BATCH_SIZE)
            add_compiled(ways, made, waveform)


def fbank(waveform: torch.Tensor, number: int) -> torch.Tensor:
    """Call torchaudio's log-mel spectrogram as the paper's recipe does, on one clip."""
    clip = number % len(waveform)
    return torchaudio.compliance.kaldi.fbank(
        waveform[clip : clip + 1],
        sample_frequency=16000,
        num_mel_bins=128,
        window_type="hanning",
        htk_compat=True,
        use_energy=False,
        frame_shift=10,
        dither=0.0,
    )


def agree(made: measure.Bench, waveform: torch.Tensor) -> None:
    """Check that what is compared is the same: plain NumPy within 1e-4, Kaldi within 1e-3."""
    world, features = made.world, made.log_mel.features
    expected = plain.render(world.score(range(FEW)), world.grid.n_samples, world.grid.sample_rate_hz)
    np.testing.assert_allclose(waveform[:FEW].numpy(), expected, atol=1e-4, rtol=0)
    kaldi = (fbank(waveform, 0) - features.norm_mean) / (2 * features.norm_std)
    torch.testing.assert_close(made.log_mel(waveform[:1])[0, : len(kaldi)], kaldi, atol=1e-3, rtol=0)


def add_compiled(ways: dict[str, Way], made: measure.Bench, waveform: torch.Tensor) -> None:
    """Add the batched log-mel spectrogram under torch.compile, where there is a C++ compiler."""
    compiled = torch.compile(made.log_mel.batched)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it says that it leaves complex numbers as they are
            compiled(waveform)
    except Exception as error:  # noqa: BLE001  (whatever its backend raises, the others are still worth a table)
        print(f"torch.compile does not work here: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return
    print(f"torch.compile took {time.perf_counter() - began:.0f} s", file=sys.stderr)
    ways["LogMel.batched, torch.compile"] = Way(lambda _: compiled(waveform), BATCH_SIZE)


def torchsynth(ways: dict[str, Way]) -> None:
    """Add torchsynth's Voice where it is installed (``pip install '.[bench]'``).

    It does not do the same work: two oscillators and noise whose pitch and level move at audio rate, one note for the
    whole clip; no events, room, filters or noise floor, and no log-mel spectrogram.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torchsynth.config import SynthConfig  # noqa: PLC0415
            from torchsynth.synth import Voice  # noqa: PLC0415

            voice = Voice(
                SynthConfig(batch_size=BATCH_SIZE, sample_rate=16000, buffer_size_seconds=CLIP_S, reproducible=False)
            )
    except ImportError as error:
        print(f"torchsynth is not installed, and left out ({error})", file=sys.stderr)
        return
    ways["torchsynth: Voice (not the same work)"] = Way(voice, BATCH_SIZE, slow=True)


def summary(values: list[float], digits: int) -> str:
    """Write median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(ways: dict[str, Way]) -> None:
    """Print the Markdown tables."""
    machine = measure.machine()
    packages = [f"{name} {version(name)}" for name in PACKAGES]
    with contextlib.suppress(PackageNotFoundError):
        packages += [f"{name} {version(name)}" for name in ("torchsynth", "pytorch-lightning")]
    print(f"{machine['cpu']} ({machine['vector_instructions']}), {machine['n_cores']} cores, one thread;")
    print(f"Python {platform.python_version()}, {', '.join(packages)}; {CLIP_S} s clips; median (quartiles)\n")
    rows = [
        (name, way.n_clips, len(way.seconds), summary([1000 * x for x in way.seconds.values()], 3))
        for name, way in sorted(ways.items(), key=lambda item: statistics.median(item[1].seconds.values()))
    ]
    print(tabulate(rows, ("what", "clips per call", "calls", "ms per clip"), "github", disable_numparse=True))
    rows = []
    for over, under, highest in RATIOS:
        if over in ways and under in ways:
            above, below = ways[over].seconds, ways[under].seconds
            ratios = [above[number] / below[number] for number in above.keys() & below.keys()]
            met = "" if highest is None else f"≤ {highest}: {'yes' if statistics.median(ratios) <= highest else 'no'}"
            rows.append((over, under, summary(ratios, 2), met))
    print()
    print(tabulate(rows, ("time of", "over that of", "ratio", "asked"), "github", disable_numparse=True))


def main() -> None:
    """Print how the ways compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--slow-every", type=int, default=6, help="rounds from one in which the slow ways run as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways: dict[str, Way] = {}
    with torch.no_grad():
        ours(ways)
        torchsynth(ways)
        for way in ways.values():
            way.work(0)
        for number in range(options.rounds):
            for way in ways.values():
                if not way.slow or number % options.slow_every == 0:
                    way.run(number)
    report(ways)


if __name__ == "__main__":
    main()
