"""A step of pre-training against a plain implementation, and against the matrix products alone.

    python benchmarks/step.py

Batches are given; a step is forward, backward, clipping and AdamW. The ways take turns, and the ratio of two of them is
taken in each round: its median and quartiles are the result. Before the clock runs, both have to give the same loss.
Whatever the profile says, patches of 16 × 16 are reconstructed, and that is all. The bound is what the step's matrix
products take by themselves, at their shapes: no implementation in this precision is faster, unless it computes less.
"""

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from plain_mae import PlainAutoencoder
from tabulate import tabulate
from torch import nn
from torch.profiler import ProfilerActivity, profile

from audiopg.config import Config, n_visible
from audiopg.config.profile import load
from audiopg.cost import flops
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise
from audiopg.train.optim import adamw

SETTINGS = (("small", 64), ("paper", 4))  # profile, clips of a step
LEAST_SHOWN = 0.01  # of a step


def ours(cfg: Config, model: MaskedAutoencoder, x: torch.Tensor, noise: torch.Tensor) -> Callable[[], None]:
    """Return the package's step."""
    optimizer = adamw(model, cfg.pretrain.optimizer)

    def step() -> None:
        optimizer.zero_grad()
        model(x, noise).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def plain(cfg: Config, model: PlainAutoencoder, x: torch.Tensor, noise: torch.Tensor) -> Callable[[], None]:
    """Return the plain step, with PyTorch's defaults."""
    recipe = cfg.pretrain.optimizer
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)

    def step() -> None:
        optimizer.zero_grad()
        model(x, noise).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


class Product(NamedTuple):
    """A product of the forward pass, (n, k) times the transpose of (m, k), and the one or two of its gradients."""

    count: int
    """How often it comes, each time by itself."""
    batch: int
    """Matrices that are one batched product: clips times heads in attention, 1 elsewhere."""
    n: int
    k: int
    m: int
    gradient: bool = True
    """Whether the input needs one."""


def shapes(cfg: Config, batch_size: int) -> list[Product]:
    """List the products of a step, as the model has them: one for queries, keys and values, all clips together.

    Of attention, scores are queries by transposed keys. Mixing has the same three products: there the gradient of the
    scores is one by transposed values, so that what is forward there is a gradient here.
    """
    decoder, patch = cfg.pretrain.decoder, cfg.encoder.patch_frames * cfg.encoder.patch_mels
    n_patches = math.prod(cfg.grid(cfg.synth.clip_s))
    visible, width = n_visible(n_patches, cfg.pretrain.mask_ratio), cfg.encoder.shape.width
    found = [Product(1, 1, batch_size * visible, patch, width, gradient=False)]
    parts = (
        (visible, width, cfg.encoder.shape.depth, cfg.encoder.shape.n_heads),
        (n_patches, decoder.width, decoder.depth, decoder.n_heads),
    )
    for n_tokens, d, depth, n_heads in parts:
        n = batch_size * n_tokens
        found += [Product(depth, 1, n, k, m) for k, m in ((d, 3 * d), (d, d), (d, 4 * d), (4 * d, d))]
        found.append(Product(2 * depth, batch_size * n_heads, n_tokens, d // n_heads, n_tokens))
    found.append(Product(1, 1, batch_size * visible, width, decoder.width))
    return [*found, Product(1, 1, batch_size * n_patches, decoder.width, patch)]


def products(cfg: Config, batch_size: int) -> Callable[[], None]:
    """Return the matrix products of a step, forward and backward, and nothing else."""
    made = []
    for product in shapes(cfg, batch_size):
        _, batch, n, k, m, _ = product
        lead = (batch,) if batch > 1 else ()
        factors = [torch.randn(*lead, *shape) for shape in ((n, k), (m, k), (n, m))]
        # fresh memory would take longer than the scores that are written into it
        made.append((product, factors, [torch.empty_like(factor) for factor in factors]))

    def step() -> None:
        for product, (a, b, c), (to_a, to_b, to_c) in made:
            for _ in range(product.count):
                torch.matmul(a, b.mT, out=to_c)
                torch.matmul(c.mT, a, out=to_b)
                if product.gradient:
                    torch.matmul(c, b, out=to_a)

    return step


def peak_gflops(n: int = 2048) -> float:
    """Rate of a large square product, the best of five."""
    a, b = torch.randn(n, n), torch.randn(n, n)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        torch.matmul(a, b)
        seconds.append(time.perf_counter() - began)
    return 2 * n**3 / min(seconds) / 1e9


def shares(step: Callable[[], None]) -> str:
    """Say where a step's time goes, by operation, from 1 % of it."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        step()
    own = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    ordered = sorted(((taken / sum(own.values()), name) for name, taken in own.items()), reverse=True)
    return ", ".join(f"{name.removeprefix('aten::')} {share:.0%}" for share, name in ordered if share >= LEAST_SHOWN)


def reconstructing(cfg: Config) -> Config:
    """Return a profile that does what the plain implementation does: it reconstructs patches of 16 × 16."""
    objectives = cfg.pretrain.objectives.model_copy(update={"reconstruction": 1.0, "physics": 0.0, "twins": 0.0})
    changes = {
        "encoder": cfg.encoder.model_copy(update={"patch_frames": 16, "patch_mels": 16}),
        "pretrain": cfg.pretrain.model_copy(update={"objectives": objectives}),
    }
    return cfg.model_copy(update=changes)


def measure(cfg: Config, batch_size: int, n_rounds: int) -> list[list[object]]:
    """Time the ways in turns, and return the rows of the table."""
    model = MaskedAutoencoder(cfg.encoder, cfg.pretrain.decoder, cfg.pretrain.mask_ratio)
    initialise(model, 0)
    n_frames, n_patches = (
        cfg.encoder.patch_frames * cfg.grid(cfg.synth.clip_s)[0],
        math.prod(cfg.grid(cfg.synth.clip_s)),
    )
    x, noise = torch.randn(batch_size, n_frames, cfg.features.n_mels), torch.rand(batch_size, n_patches)
    other = PlainAutoencoder(model)
    with torch.no_grad():
        losses = model(x, noise).loss.item(), other(x, noise).item()
    if not math.isclose(*losses, rel_tol=1e-4):
        msg = f"{cfg.encoder.size}: the loss is {losses[0]:g} by ours and {losses[1]:g} by plain: this is other work"
        raise SystemExit(msg)
    ways = {
        "ours": ours(cfg, model, x, noise),
        "plain": plain(cfg, other, x, noise),
        "products": products(cfg, batch_size),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(n_rounds + 1):
        for name, step in ways.items():
            began = time.perf_counter()
            step()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    print(f"{cfg.encoder.size}, where our step goes: {shares(ways['ours'])}")
    work = batch_size * flops.autoencoder_flops(cfg).training
    rows = []
    for name, taken in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, seconds["ours"], strict=True)]
        low, median, high = statistics.quantiles(ratios, n=4)
        rate = work / statistics.median(taken) / 1e9
        label = f"{cfg.encoder.size}, {cfg.synth.clip_s} s, batch {batch_size}"
        rows.append([label, name, 1000 * statistics.median(taken), rate, f"{median:.2f} ({low:.2f} to {high:.2f})"])
    return rows


def main() -> None:
    """Print the table of all settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {arguments.threads} threads, float32"
    )
    print(f"large square product: {peak_gflops():.0f} GFLOP/s")
    rows = []
    for name, batch_size in SETTINGS:
        cfg = reconstructing(load(name))
        rows += measure(cfg, batch_size, arguments.rounds)
    print(tabulate(rows, ["setting", "step", "ms", "GFLOP/s", "time by ours"], tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
