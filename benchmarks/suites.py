"""What readers of other suites make of one encoder: accuracy on ESC-10, pre-trained and with random weights.

    pip install '.[suites]'
    python benchmarks/suites.py docs/results/suites/esc10.csv      # about 15 minutes on one core

Each reader sees the same 400 recordings in the same five folds. X-ARES runs as its package has it. EVAR is no package;
`evar_classes` does what its linear evaluation does, written from what it is known to do (docs/suites.md).
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from tabulate import tabulate
from torch import Tensor, nn

from audiopg import compute
from audiopg.arrays import Float64, Int64
from audiopg.audio import decode
from audiopg.config import Config, params
from audiopg.data import clips as recordings
from audiopg.data.clips import Clips
from audiopg.data.decode import write
from audiopg.evaluate.embeddings import View, embed
from audiopg.evaluate.probes import Features, Linear, scores
from audiopg.features.logmel import LogMel
from audiopg.fetch.store import fetch
from audiopg.models.vit import untrained
from audiopg.pretrained import AudioEncoder, weights
from audiopg.pretrained.suites.evar import AR_AudioPG
from audiopg.pretrained.suites.xares import AudiopgEncoder
from audiopg.progress import progress
from audiopg.tasks.esc10 import TASK
from audiopg.tasks.manifest import Manifest

DRAWS = (0, 1, 2)  # of random weights
REPEATS = 3  # of a reader that draws something itself, as EVAR's own script does
# EVAR's linear evaluation; the learning rate is that of most of its configurations
LR, WEIGHT_DECAY, BATCH_SIZE, N_EPOCHS, PATIENCE, VALIDATION = 3e-4, 1e-8, 200, 200, 20, 0.1

Scores = dict[str, float]  # accuracy by the name of a reader


class OneVector:
    """One vector per recording, as features of the linear probe, which then has only its penalty to choose."""

    def __init__(self, vectors: Float64) -> None:
        """Take them, shape (N, P)."""
        self.vectors, self.views = vectors, [View(0, "given")]

    def features(self, view: View) -> Float64:  # noqa: ARG002  (there is one)
        """Return the vectors."""
        return self.vectors


def evar_classes(x: Tensor, y: Tensor, new: Tensor, seed: int) -> Tensor:
    """Predict classes as EVAR's linear evaluation does where a task has folds and no validation part.

    Features are standardised over all training recordings. A tenth of them, drawn until it has every class, is put
    aside, and the weights with the best accuracy there count; of several, the last.

    Args:
        x: vectors to learn from, shape (N, P).
        y: their classes, int64, shape (N,).
        new: vectors to classify, shape (M, P).
        seed: of first weights, validation part and order.

    Returns:
        Classes of the new vectors, int64, shape (M,).
    """
    mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0)
    x, new = (x - mean) / scale, (new - mean) / scale
    n_aside, n_classes = -(-len(x) // round(1 / VALIDATION)), int(y.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        order = torch.randperm(len(x))
        while len(y[order[:n_aside]].unique()) < n_classes:
            order = torch.randperm(len(x))
        aside, used = order[:n_aside], order[n_aside:]
        head = nn.Linear(x.shape[1], n_classes)
        optimiser = torch.optim.Adam(head.parameters(), LR, weight_decay=WEIGHT_DECAY)
        best, best_epoch, predicted = -1.0, 0, torch.empty(0, dtype=torch.int64)
        for epoch in range(N_EPOCHS):
            for batch in used[torch.randperm(len(used))].split(BATCH_SIZE):
                optimiser.zero_grad()
                # the mean over recordings and classes
                (nn.functional.cross_entropy(head(x[batch]), y[batch]) / n_classes).backward()
                optimiser.step()
            with torch.no_grad():
                accuracy = (head(x[aside]).argmax(dim=1) == y[aside]).float().mean().item()
                if accuracy >= best:
                    best, best_epoch, predicted = accuracy, epoch, head(new).argmax(dim=1)
            if epoch - best_epoch >= PATIENCE:
                break
    return predicted


def evar(vectors: Float64, classes: Int64, folds: Int64) -> float:
    """Return the accuracy of EVAR's linear evaluation, mean over folds and seeds."""
    x, y = torch.from_numpy(vectors).float(), torch.from_numpy(classes)
    found = []
    for seed in range(42, 42 + REPEATS):
        for fold in np.unique(folds):
            test = torch.from_numpy(folds == fold)
            predicted = evar_classes(x[~test], y[~test], x[test], 100 * seed + int(fold))
            found.append((predicted == y[test]).float().mean().item())
    return float(np.mean(found))


def xares(encoder: AudioEncoder, files: Sequence[Path], classes: Int64, folds: Int64, folder: Path) -> Scores:
    """Run X-ARES's task of ESC-50 on other recordings; return the accuracy of its two readers.

    Args:
        encoder: the encoder.
        files: recordings.
        classes: their classes, shape (N,).
        folds: their folds, shape (N,).
        folder: an empty one for what X-ARES writes.
    """
    import torchaudio  # noqa: PLC0415
    from xares.audiowebdataset import write_audio_tar  # noqa: PLC0415
    from xares.task import TaskConfig, XaresTask  # noqa: PLC0415

    torchaudio.load = load  # the one of torchaudio needs torchcodec and FFmpeg
    names = np.unique(folds).tolist()
    settings = TaskConfig(
        name=TASK.card.name,
        encoder=AudiopgEncoder(encoder),
        k_fold_splits=names,
        label_processor=lambda item: item["label"],
        output_dim=int(classes.max()) + 1,
        env_root=folder,
        num_encoder_workers=0,
        torch_num_threads=1,
    )
    task = XaresTask(settings)
    for fold in names:
        rows = np.flatnonzero(folds == fold)
        labels = [{"label": int(label)} for label in classes[rows]]
        tar = task.env_dir / f"wds-audio-fold-{fold}-*.tar"
        write_audio_tar([str(files[row]) for row in rows], labels, str(tar), suffix="ogg", num_shards=1)
    (task.env_dir / settings.xares_settings.audio_ready_filename).touch()
    task.make_encoded_tar()
    linear = []
    for _ in range(REPEATS):  # the order of its batches has no seed
        shutil.rmtree(task.ckpt_dir, ignore_errors=True)
        linear.append(task.run_mlp()[0])
    return {"X-ARES, linear": float(np.mean(linear)), "X-ARES, 10 neighbours": float(task.run_knn()[0])}


def load(path: str) -> tuple[Tensor, int]:
    """Decode a file for X-ARES, shape (channels, T), and its rate in Hz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate_hz


def encoders() -> Iterator[tuple[str, int, AudioEncoder]]:
    """Yield the encoder of the package, then the same with random weights; with the name and number of its weights."""
    yield "pre-trained", 0, AudioEncoder.pretrained()
    shipped = weights.load(weights.SHIPPED)
    for draw in DRAWS:
        yield "random", draw, AudioEncoder(untrained(shipped.encoder.config, draw), *shipped[1:]).eval()


def read(encoder: AudioEncoder, files: Sequence[Path], manifest: Manifest, clips: Clips, cfg: Config) -> Scores:
    """Return the accuracy of every reader, by its name.

    Args:
        encoder: the encoder.
        files: the recordings.
        manifest: their labels and folds.
        clips: their spectrograms.
        cfg: the sections ``probe`` and ``compute`` count.
    """
    linear, classes, folds = (
        Linear(cfg.probe, torch.device("cpu")),
        manifest.targets.argmax(axis=1),
        manifest.parts.astype(np.int64),
    )
    adapter = AR_AudioPG({"sample_rate": encoder.sample_rate_hz}, encoder)
    sounds = (torch.from_numpy(decode.read(file, encoder.sample_rate_hz))[None] for file in files)
    vectors = torch.cat([adapter(sound) for sound in progress(sounds, "one vector", total=len(files))]).double().numpy()

    def ridge(features: Features) -> float:
        return float(np.mean(scores(linear, features, manifest, TASK.card, cfg.probe)[0]["accuracy"]))

    with tempfile.TemporaryDirectory() as folder:
        backend = compute.backend(cfg.compute, cfg.probe.n_threads)
        layers = embed(clips, encoder.encoder, backend, "all layers", Path(folder) / "statistics.npy")
        return {
            "one vector, EVAR's classifier": evar(vectors, classes, folds),
            "one vector, ridge": ridge(OneVector(vectors)),
            # the first of the statistics of each band, which is what X-ARES gets
            "mean only, ridge": ridge(OneVector(vectors[:, : encoder.timestamp_embedding_size])),
            "own probe": ridge(layers),
            **xares(encoder, files, classes, folds, Path(folder)),
        }


def main(out: Path) -> None:
    """Write the table, and print it with the difference of each reader."""
    cfg, root = params.load(Path("params.yaml")), fetch(TASK)
    manifest, shipped = TASK.make_manifest(root), weights.load(weights.SHIPPED)
    files = [root / path for path in manifest.paths]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write(TASK.card.name, manifest, root, LogMel(shipped.features), shipped.clip_s, Path(folder), 1)
        clips = recordings.load(Path(folder), shipped.features, shipped.clip_s, len(manifest))
        for name, draw, encoder in encoders():
            found = read(encoder, files, manifest, clips, cfg)
            rows += [(reader, name, draw, round(accuracy, 4)) for reader, accuracy in found.items()]
    table = pd.DataFrame(rows, columns=["reader", "weights", "draw", "accuracy"])
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, index=False)
    means = table.groupby(["reader", "weights"], sort=False)["accuracy"].mean().unstack()
    means["difference"] = means["pre-trained"] - means["random"]
    print(tabulate(means, headers="keys", tablefmt="github", floatfmt=".3f"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
