"""How long a fast device would wait for its batches: clips made by the CPU's cores, or cut from decoded recordings.

    python benchmarks/feed.py

The device is a clock that takes a fixed time for each batch and leaves the CPU alone, as a GPU does. Beside a GPU the
CPU draws and plays clips, and the GPU makes their spectrograms; so only the former is done here. Fine-tuning cuts
windows of decoded recordings from a file that is mapped into memory, and blends them.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from audiopg import compute
from audiopg.config import Config
from audiopg.config.profile import load
from audiopg.data import clips as recordings
from audiopg.synth.world import World
from audiopg.train.batches import Batches
from audiopg.train.classify import FoldData
from audiopg.train.feed import Batch, Data, Feed

BATCH_SIZE = 16
N_RECORDINGS, RECORDING_S = 200, 30.0


class Played:
    """Batches of clips, as waveforms."""

    def __init__(self, cfg: Config) -> None:
        """Take all parameters."""
        self.world = World(cfg.synth, cfg.seed, n_threads=1)

    def n_clips(self, step: int) -> int:  # noqa: ARG002
        """Count the clips of a step."""
        return BATCH_SIZE

    def part(self, step: int, places: range) -> Batch:
        """Return waveforms (B, T), twice."""
        first = step * BATCH_SIZE
        played: Tensor = self.world.play(range(first + places.start, first + places.stop))
        return played, played

    def names(self, step: int) -> str:
        """Name the clips of a step."""
        return str(step)


def decoded(cfg: Config, folder: Path) -> Data:
    """Return the batches of a fine-tuning, of recordings of noise of 30 s."""
    n_frames = cfg.features.n_frames(RECORDING_S)
    draw = np.random.Generator(np.random.Philox(0))
    with (folder / recordings.FRAMES).open("wb") as file:
        for _ in range(N_RECORDINGS):
            draw.standard_normal((n_frames, cfg.features.n_mels), dtype=np.float32).tofile(file)
    np.save(folder / recordings.STARTS, np.arange(N_RECORDINGS + 1) * n_frames)
    clips = recordings.load(folder, cfg.features, 10.24, N_RECORDINGS)
    recipe = cfg.recipe("fsd50k").model_copy(update={"batch_size": BATCH_SIZE})
    targets = np.eye(N_RECORDINGS, dtype=np.float32)
    batches = Batches(clips, targets, np.arange(N_RECORDINGS), recipe, 0, "x", multi_label=True)
    return FoldData(batches, cfg.encoder)


def waits(data: Data, n_feeders: int, device_ms: float, n_batches: int) -> tuple[float, float]:
    """Return clips/s and the share of the time that the device waits."""
    backend = compute.Backend(torch.device("cpu"), None, n_feeders=n_feeders)
    feed = Feed(data, range(2 * n_feeders + n_batches), 1, backend)
    for _ in range(2 * n_feeders):  # what is ready before the clock runs
        next(feed)
    feed.waited_s, began_s = 0.0, time.perf_counter()
    for _ in feed:
        time.sleep(device_ms / 1000)
    passed_s = time.perf_counter() - began_s
    return n_batches * BATCH_SIZE / passed_s, feed.waited_s / passed_s


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device-ms", type=float, default=8.0, help="what the device takes for a batch of 16")
    parser.add_argument("--feeders", type=int, nargs="+", default=[1, 2], help="threads that make batches")
    parser.add_argument("--n-batches", type=int, default=200)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sources: dict[str, Data] = {
            f"clips of 10.24 s, preset {preset}": Played(load("paper", preset)) for preset in ("paper", "world")
        }
        sources["windows of decoded recordings, blended"] = decoded(load("paper"), Path(folder))
        for name, data in sources.items():
            data.part(0, range(BATCH_SIZE))  # compiles
            for n_feeders in given.feeders:
                fastest, _ = waits(data, n_feeders, 0.0, given.n_batches)
                rate, share = waits(data, n_feeders, given.device_ms, given.n_batches)
                rows.append([name, n_feeders, f"{fastest:.0f}", f"{rate:.0f}", f"{share:.0%}"])
    headers = ["batches of 16", "feeders", "clips/s at most", f"with {given.device_ms:g} ms a batch", "it waits"]
    print(tabulate(rows, headers, tablefmt="github"))


if __name__ == "__main__":
    main()
