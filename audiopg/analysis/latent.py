"""The stage that asks the latent space about the physics: what can be read, where, and in which directions."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiopg import closure, compute, config, params, provenance, rng, storage
from audiopg.analysis import figures
from audiopg.analysis.activations import ProbeCorpus, activations
from audiopg.analysis.decodability import ridge_probe
from audiopg.analysis.subspaces import angles_between, expand, patterns
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import Encoder, initialise

DEGREE = 3


def decodability(
    features: dict[str, NDArray[np.float64]], factors: dict[str, NDArray[np.float64]], alphas: list[float]
) -> pd.DataFrame:
    """Held-out R² of each factor from each layer of each encoder, columns ``factor, encoder, layer, r2``."""
    return pd.DataFrame(
        [
            (factor, encoder, layer, round(ridge_probe(layers[:, layer], values[:, None], alphas).r2, 6))
            for factor, values in factors.items()
            for encoder, layers in features.items()
            for layer in range(layers.shape[1])
        ],
        columns=["factor", "encoder", "layer", "r2"],
    )


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """R² of the last layer, per factor and encoder."""
    last = table.groupby(["factor", "encoder"], sort=False)["r2"].last()
    return {
        factor: {encoder: float(last[factor, encoder]) for encoder in dict.fromkeys(table["encoder"])}
        for factor in dict.fromkeys(table["factor"])
    }


def orthogonality(
    features: NDArray[np.float64], factors: dict[str, NDArray[np.float64]], cfg: config.Config
) -> dict[str, Any]:
    """Principal angles between the probe subspaces of the two factors in one layer, with their null."""
    weights = [
        ridge_probe(features, expand(values, DEGREE), cfg.latent.ridge_alphas).weights for values in factors.values()
    ]
    first, second = (patterns(features, weight) for weight in weights)
    draw = rng.generator(cfg.seed, "latent/null", 0)
    angles = angles_between(first, second, features, cfg.latent.n_null, draw)
    return {
        "angles_deg": [round(float(angle), 3) for angle in angles.degrees],
        "mean_angle_deg": round(angles.mean, 3),
        "null_mean_angle_deg": round(float(np.median(angles.null_degrees)), 3),
        "p_value": round(angles.p_value, 6),
    }


def run(cfg: config.Config, encoder_path: Path, out: Path) -> None:
    """Analyse an encoder on the probe corpus against the same encoder with random weights.

    Args:
        cfg: all parameters.
        encoder_path: the pre-trained encoder.
        out: folder for ``metrics.json``, ``r2_per_layer.csv``, two figures and the run card.

    Raises:
        AudiopgError: the checkpoint is missing, damaged or of another size.
    """
    began = time.monotonic()
    backend = compute.backend(cfg.compute, cfg.latent.n_threads)
    random = Encoder(cfg.encoder)
    initialise(random, cfg.seed)
    encoders = {"pretrained": load_encoder(encoder_path, cfg.encoder, cfg.features), "random": random}
    corpus = ProbeCorpus(cfg, backend.device)
    factors = corpus.factors()
    features = activations(corpus, encoders, backend)
    table = decodability(features, factors, cfg.latent.ridge_alphas)
    metrics = {
        "r2": summary(table),
        "orthogonality": {name: orthogonality(features[name][:, -1], factors, cfg) for name in encoders},
    }
    storage.write_text(out / "r2_per_layer.csv", table.to_csv(index=False))
    figures.r2_per_layer(table, out / "r2_per_layer.png")
    figures.embedding(features["pretrained"][:, -1], factors, out / "embedding.png")
    card = provenance.run_card(
        "latent",
        params.reads(cfg, "latent"),
        [encoder_path],
        backend.name,
        code=closure.digest("audiopg.analysis.latent"),
        seconds=round(time.monotonic() - began, 1),
    )
    storage.write_json(out / "card.json", card)
    storage.write_json(out / "metrics.json", metrics)
