"""The stage that asks the latent space about the physics: what can be read, where, and in which directions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiopg import compute, config, params, provenance, rng, storage
from audiopg.analysis import figures
from audiopg.analysis.activations import ProbeCorpus, activations
from audiopg.analysis.decodability import ridge_probe
from audiopg.analysis.subspaces import angles_between, patterns
from audiopg.errors import AudiopgError
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import untrained

OUTPUTS = ("metrics.json", "r2_per_layer.csv", "r2_per_layer.png", "embedding.png")


def decodability(
    features: dict[str, NDArray[np.float64]], factors: dict[str, NDArray[np.float64]], alphas: list[float]
) -> pd.DataFrame:
    """Held-out R² of each factor from each layer of each encoder, columns ``factor, encoder, layer, r2``.

    Raises:
        AudiopgError: a factor does not vary, so that there is nothing to read.
    """
    for factor, values in factors.items():
        if np.ptp(values) == 0:
            msg = f"latent: {factor} is the same in all clips; widen its range in params.yaml"
            raise AudiopgError(msg)
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
    features: NDArray[np.float64], factors: dict[str, NDArray[np.float64]], latent: config.Latent, seed: int
) -> dict[str, Any]:
    """Principal angles between the subspaces of two factors in one layer, and the chance of such an angle.

    Each factor is one number, so its subspace is a line: the direction in which the embedding moves with the factor.
    The null are random lines drawn with the embedding's own covariance; in a long cloud they are far from orthogonal.

    Args:
        features: shape (N, D).
        factors: two factors by name, shape (N,) each.
        latent: the ``latent`` section.
        seed: names the random lines.
    """
    probes = [ridge_probe(features, values[:, None], latent.ridge_alphas) for values in factors.values()]
    first, second = (patterns(features, probe.weights) for probe in probes)
    angles = angles_between(first, second, features, latent.n_null, rng.generator(seed, "latent/null", 0))
    return {
        "angles_deg": [round(float(angle), 3) for angle in angles.degrees],
        "null_median_deg": round(float(np.median(angles.null_degrees)), 3),
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
    backend = compute.backend(cfg.compute, cfg.latent.n_threads)
    encoders = {
        "pretrained": load_encoder(encoder_path, cfg.encoder, cfg.features),
        "random": untrained(cfg.encoder, cfg.seed),
    }
    corpus = ProbeCorpus(cfg, backend.device)
    factors = corpus.factors()
    features = activations(corpus, encoders, backend)
    table = decodability(features, factors, cfg.latent.ridge_alphas)
    metrics = {
        "r2": summary(table),
        "orthogonality": {
            name: orthogonality(features[name][:, -1], factors, cfg.latent, cfg.seed) for name in encoders
        },
    }
    storage.write_text(out / "r2_per_layer.csv", table.to_csv(index=False))
    figures.r2_per_layer(table, out / "r2_per_layer.png")
    figures.embedding(features["pretrained"][:, -1], factors, out / "embedding.png")
    storage.write_json(out / "metrics.json", metrics)
    provenance.write_card(
        out / "run.json",
        "latent",
        params.reads(cfg, "latent"),
        [encoder_path],
        [out / name for name in OUTPUTS],
        device=backend.name,
    )
