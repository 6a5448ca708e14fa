"""Reading one epoch of a task: from its files, and from the cached spectrograms that all stages share.

    python benchmarks/clips.py esc10

Each way reads every recording once, in batches of 32 in a random order, as one training epoch does. The ways take turns
in one process, on one thread; the ratio of their medians is the result.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from audiopg.audio import decode
from audiopg.config import params
from audiopg.data.clips import load
from audiopg.data.decode import write
from audiopg.features.logmel import LogMel
from audiopg.fetch.store import fetch
from audiopg.tasks.registry import TASKS

N_ROUNDS = 3
BATCH_SIZE = 32


def main(name: str, clip_s: float = 0.96) -> None:
    """Print times, ratio and the size of the cache."""
    torch.set_num_threads(1)
    features = params.load(Path("params.yaml")).features
    task, log_mel = TASKS[name], LogMel(features)
    root = fetch(task)
    manifest = task.make_manifest(root)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write(name, manifest, root, log_mel, clip_s, Path(folder), os.cpu_count() or 1)
        clips = load(Path(folder), features, clip_s)
        first_s = time.perf_counter() - began
    order = np.random.Generator(np.random.Philox(0)).permutation(len(manifest))
    batches = [order[begin : begin + BATCH_SIZE].tolist() for begin in range(0, len(order), BATCH_SIZE)]

    def from_files() -> None:
        for batch in batches:
            for row in batch:
                waveform = torch.from_numpy(decode.read(root / manifest.paths[row], features.sample_rate_hz))
                missing = round(clip_s * features.sample_rate_hz) - len(waveform)
                log_mel(functional.pad(waveform, (0, max(missing, 0)))[None])

    def from_cache() -> None:
        for batch in batches:
            clips.batch(batch, [0] * len(batch))

    times: dict[str, list[float]] = {"files": [], "cache": []}
    for _ in range(N_ROUNDS):
        for way, read in (("files", from_files), ("cache", from_cache)):
            began = time.perf_counter()
            read()
            times[way].append(time.perf_counter() - began)
    files_s, cache_s = (statistics.median(times[way]) for way in ("files", "cache"))
    n_bytes = clips.frames.nbytes
    hours = sum(row.duration_s for row in manifest.rows) / 3600
    print(f"{name}: {len(manifest)} recordings, {hours:.2f} h")
    print(f"first load {first_s:.2f} s; epoch from files {files_s:.2f} s, from cache {cache_s:.3f} s")
    print(f"ratio {files_s / cache_s:.0f}; spread of files {max(times['files']) / min(times['files']):.2f},")
    print(f"of cache {max(times['cache']) / min(times['cache']):.2f}; cache {n_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1])
