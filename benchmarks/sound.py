"""Batches of sound with their parameters: audiopg, torchsynth and SynthAX take turns on one core.

    pip install '.[bench]' synthax
    taskset --cpu-list 0 python benchmarks/sound.py

Each function gives batches for a range of numbers, in the fewest lines that the library needs: float32 waveforms, and
the parameters by name. They do not do the same work; docs/sound.md says what differs.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import torch
from tabulate import tabulate

BATCH_SIZE, CLIP_S, RATE_HZ = 32, 2.56, 16000

Batches = Iterator[tuple[object, object]]


def ours(numbers: range, preset: str) -> Batches:
    """Give batches of a preset, with their physics in units."""
    import audiopg  # noqa: PLC0415

    corpus = audiopg.corpus(preset, clip_s=CLIP_S)
    yield from corpus.batches(BATCH_SIZE, start=BATCH_SIZE * numbers.start)


def torchsynth(numbers: range) -> Batches:
    """Give batches of torchsynth's Voice, with its parameters in units."""
    from torchsynth.config import SynthConfig  # noqa: PLC0415
    from torchsynth.synth import Voice  # noqa: PLC0415

    voice = Voice(SynthConfig(batch_size=BATCH_SIZE, sample_rate=RATE_HZ, buffer_size_seconds=CLIP_S))
    for number in numbers:
        audio, _, _ = voice(number)
        yield audio, {name: parameter.from_0to1() for name, parameter in voice.get_parameters().items()}


def synthax(numbers: range) -> Batches:
    """Give batches of SynthAX's ParametricSynth, as its README sets it up, with its parameters from 0 to 1."""
    import jax  # noqa: PLC0415
    from synthax.config import SynthConfig  # noqa: PLC0415
    from synthax.synth import ParametricSynth  # noqa: PLC0415

    config = SynthConfig(batch_size=BATCH_SIZE, sample_rate=RATE_HZ, buffer_size_seconds=CLIP_S)
    synth = ParametricSynth(config=config, sine=1, square_saw=1, fm_sine=1, fm_square_saw=0)
    draw, render = jax.jit(synth.init), jax.jit(synth.apply)
    for number in numbers:
        parameters = draw(jax.random.PRNGKey(number))
        yield render(parameters).block_until_ready(), parameters


WAYS: dict[str, Callable[[range], Batches]] = {
    "audiopg, `paper`": lambda numbers: ours(numbers, "paper"),
    "audiopg, `world`": lambda numbers: ours(numbers, "world"),
    "torchsynth, `Voice`": torchsynth,
    "SynthAX, `ParametricSynth`": synthax,
}


def main() -> None:
    """Print the rate of each library, and how many times slower than the first it is within a round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of the other libraries
    running: dict[str, Batches] = {}
    for name, way in WAYS.items():
        batches = way(range(rounds + 1))
        try:
            next(batches)  # compile
        except ImportError as error:
            print(f"{name}: not installed, and left out ({error})", file=sys.stderr)
            continue
        running[name] = batches
    seconds: dict[str, list[float]] = {name: [] for name in running}
    with torch.no_grad():
        for _ in range(rounds):
            for name, batches in running.items():
                began = time.perf_counter()
                next(batches)
                seconds[name].append(time.perf_counter() - began)
    first = next(iter(seconds.values()))
    n_samples = BATCH_SIZE * round(CLIP_S * RATE_HZ)
    rows = []
    for name, taken in seconds.items():
        ratios = [one / other for one, other in zip(taken, first, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        rate = n_samples / statistics.median(taken) / 1e6
        rows.append((name, f"{rate:.1f}", f"{middle:.1f} ({low:.1f} to {high:.1f})"))
    print(tabulate(rows, ("library", "Msample/s", "time of a batch over the first row's"), "github"))


if __name__ == "__main__":
    main()
