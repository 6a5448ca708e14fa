"""Peak memory of the latent analysis of one corpus, beside what `workflow/rules/latent.smk` asks for.

Planted embeddings of two layers stand for an encoder's: one layer and pooling is in memory at a time, however many
there are.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from audiopg.analysis.corpora.synthetic import Corpus
from audiopg.analysis.latent import analyse, embedding
from audiopg.analysis.measures.subspaces import Cloud
from audiopg.config import params

MB = 1 << 20


def planted(folder: Path, n_clips: int, width: int) -> dict[str, np.ndarray]:
    """Embeddings of two encoders and of the log-mel statistics on disk, noise, block by block."""
    embeddings = {}
    for name, n_layers in (("pretrained", 2), ("random", 2), ("logmel_stats", 1)):
        shape = (n_clips, n_layers, 2, width if n_layers > 1 else 128)
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
        for first in range(0, n_clips, 1000):
            array[first : first + 1000] = np.random.default_rng(first).standard_normal(
                array[first : first + 1000].shape
            )
        embeddings[name] = array
    return embeddings


def main() -> None:
    """Analyse a planted corpus of one size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-clips", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=768)
    arguments = parser.parse_args()
    n_clips, width = arguments.n_clips, arguments.width
    latent = params.load(Path("params.yaml")).latent
    draw = np.random.default_rng(0)
    factors = {name: draw.uniform(size=n_clips) for name in ("a", "b", "c", "d")}
    numbers = np.arange(n_clips)
    corpus = Corpus(factors, {}, numbers >= n_clips // 2, numbers, torch.zeros)
    with tempfile.TemporaryDirectory() as folder:
        embeddings = planted(Path(folder), n_clips, width)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        begun = time.perf_counter()
        clouds = {name: Cloud.of(embedding(embeddings[name])) for name in ("pretrained", "random")}
        analyse("planted", corpus, embeddings, clouds, latent, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    one_layer = n_clips * 2 * width * 8 / MB
    print(f"{n_clips} clips, width {width}: {before} MB before, at most {peak} MB,")
    print(f"{(peak - before) / one_layer:.1f} times one layer and pooling in float64 ({one_layer:.0f} MB)")
    print(f"{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
