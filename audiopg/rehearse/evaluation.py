"""Fine-tuning and evaluation at the shapes of each task, on recordings that are made up."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from audiopg import compute, config
from audiopg.analysis import latent
from audiopg.analysis.measures.subspaces import EmbeddingCovariance
from audiopg.evaluate import embeddings, probes
from audiopg.evaluate.embeddings import Embeddings, embed
from audiopg.features.logmel import LogMel
from audiopg.models.classifier import Classifier
from audiopg.models.readout import usual_layers
from audiopg.models.vit import initialise, untrained
from audiopg.rehearse.setting import NO_CUDA, Figures, Setting
from audiopg.rehearse.steps import timed
from audiopg.train.batches import Batches
from audiopg.train.classify import FoldData, objective, predict
from audiopg.train.loop import Training

MOST = 1_000  # recordings that a regression has here; the products of a task with more are counted from these
N_CLIPS = 300  # of a probe corpus; the time of an analysis is nearly proportional to it
CORPUS = "events"  # which the parameters must have


def finetuning(setting: Setting, task: str) -> Figures:
    """Time steps of fine-tuning as they are, and the prediction of windows."""
    cfg, recipe, card = setting.cfg, setting.cfg.recipe(task), setting.card(task)
    backend = compute.backend(cfg.compute, recipe.n_threads, trains=True)
    setting = replace(setting, backend=backend)
    n_recordings = max(embeddings.BATCH_SIZE[backend.device.type], 2 * recipe.batch_size)
    clips = setting.recordings(cfg.task(task).clip_s, n_recordings)
    rows = np.arange(n_recordings)
    targets = np.eye(card.n_classes, dtype=np.float32)[rows % card.n_classes]
    batches = Batches(clips, targets, rows, recipe, cfg.seed, "rehearsal", multi_label=card.multi_label)
    model = Classifier(cfg.encoder, card.n_classes, recipe.pooling, cfg.features.n_mels // cfg.encoder.patch_mels)
    initialise(model, cfg.seed)
    model.to(backend.device)
    training = Training(model, recipe.optimizer, None, accumulate=recipe.accumulate, layer_decay=recipe.layer_decay)
    found = timed(setting, training, FoldData(batches, cfg.encoder), objective(multi_label=card.multi_label))
    rate = setting.rate(lambda: predict(model, clips, rows, backend, "rehearsal"), n_recordings)
    return found | {"windows_per_s": rate}


def embedding(setting: Setting, task: str) -> Figures:
    """Embed windows in the precision of the training and in float32: how fast, and how different."""
    return _compared(setting, task, "", allow_tf32=False)


def tf32(setting: Setting, task: str) -> Figures:
    """Embed windows in float32, with TF32 in its products and without: how fast, and how different."""
    if setting.backend.device.type != "cuda":
        return {"left_out": NO_CUDA}
    exact = setting.cfg.compute.model_copy(update={"precision": "float32"})
    exact_cfg = setting.cfg.model_copy(update={"compute": exact})
    return _compared(replace(setting, cfg=exact_cfg), task, "tf32_", allow_tf32=True)


def _compared(setting: Setting, task: str, prefix: str, *, allow_tf32: bool) -> Figures:
    """Embed windows of a task in the precision of the parameters, with or without TF32, and in float32 without.

    Returns:
        ``windows_per_s`` of both, the first with a prefix, and their ``largest_difference``, over the largest number.
    """
    cfg = setting.cfg
    backend = compute.backend(cfg.compute, cfg.probe.n_threads)
    setting = replace(setting, backend=backend)
    n_windows = embeddings.BATCH_SIZE[backend.device.type]
    clips = setting.recordings(cfg.task(task).clip_s, n_windows)
    encoder, file = untrained(cfg.encoder, cfg.seed), setting.folder / "statistics.npy"
    rates, statistics = {}, {}
    for each, dtype, allowed in ((prefix, backend.autocast_dtype, allow_tf32), ("float32_", None, False)):
        one = replace(backend, autocast_dtype=dtype)

        def work(one: compute.Backend = one) -> Embeddings:
            return embed(clips, encoder, one, "rehearsal", file)

        with _products(allow_tf32=allowed):
            rates[f"{each}windows_per_s"] = setting.rate(work, n_windows)
            statistics[each] = work().statistics.astype(np.float64)
    file.unlink()
    most = np.abs(statistics["float32_"]).max()
    difference = np.abs(statistics[prefix] - statistics["float32_"]).max() / most
    return {**rates, "largest_difference": float(difference)}


@contextmanager
def _products(*, allow_tf32: bool) -> Iterator[None]:
    """Let the float32 products of a GPU use TF32, or not, and restore what was before."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = allow_tf32
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def regression(setting: Setting, task: str) -> Figures:
    """Time the choice of a linear probe, and of the neighbours, on one run of a task and one layer."""
    cfg, card = setting.cfg, setting.card(task)
    device = compute.backend(cfg.compute, cfg.probe.n_threads).device
    n_used = min(MOST, round(card.n_clips * (1 - 1 / max(card.n_folds, 3))))
    _, n_bands = cfg.grid(cfg.task(task).clip_s)
    layer = usual_layers(cfg.encoder.shape.depth)[0]
    draw = np.random.Generator(np.random.Philox(cfg.seed))
    statistics = draw.standard_normal((n_used, 1, 5, n_bands, cfg.encoder.shape.width), dtype=np.float32)
    features, rows = Embeddings(statistics.astype(np.float16), [layer]), np.arange(n_used)
    targets = np.eye(card.n_classes)[rows % card.n_classes]
    n_parts = card.n_folds - 1 if card.protocol == "folds" else 4
    parts = [np.flatnonzero(rows % n_parts == number) for number in range(n_parts)]
    parts = parts if card.protocol == "folds" else parts[:1]
    found: Figures = {"n_recordings": n_used}
    for name, probe in (("linear_s", probes.Linear(cfg.probe, device)), ("nearest_s", probes.Nearest(cfg.probe))):
        began_s = time.perf_counter()
        probes.select(probe, features, rows, targets, parts, lambda labels, scores: float((labels * scores).sum()))
        found[name] = time.perf_counter() - began_s
    return found


def physics(setting: Setting) -> Figures:
    """Analyse a small probe corpus, as many times at once as the latent analysis has threads."""
    cfg = with_clips(setting.cfg, N_CLIPS)
    backend = compute.backend(cfg.compute.model_copy(update={"precision": "float32"}), 1)
    encoders = {
        name: untrained(cfg.encoder, cfg.seed, number).eval().to(backend.device)
        for number, name in enumerate(("pretrained", "random"))
    }
    log_mel = LogMel(cfg.features).to(backend.device)
    with latent.embedded(CORPUS, cfg, encoders, log_mel, setting.folder) as (_, embedded):
        covariances = {name: EmbeddingCovariance.of(latent.embedding(embedded[name])) for name in encoders}
    work = partial(latent.in_corpus, CORPUS, cfg, encoders, log_mel, covariances, setting.folder)
    began_s = time.perf_counter()
    with ThreadPoolExecutor(cfg.latent.n_threads) as pool:
        for done in [pool.submit(work) for _ in range(cfg.latent.n_threads)]:
            done.result()
    return {"n_clips": N_CLIPS, "corpora_s": time.perf_counter() - began_s}


def with_clips(cfg: config.Config, n_clips: int) -> config.Config:
    """Return the parameters with so many clips in each probe corpus."""
    return cfg.model_copy(update={"latent": cfg.latent.model_copy(update={"n_clips": n_clips})})
