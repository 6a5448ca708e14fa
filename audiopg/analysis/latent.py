"""The stage that analyses the physics in the latent space: what can be read, where, and in which directions."""

import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from audiopg import compute, config, rng, storage
from audiopg.analysis import claims
from audiopg.analysis.activations import activations
from audiopg.analysis.corpora import synthetic
from audiopg.analysis.corpora.synthetic import Corpus
from audiopg.analysis.measures import decodability
from audiopg.analysis.measures.disentanglement import disentanglement
from audiopg.analysis.measures.orthogonality import orthogonality
from audiopg.analysis.measures.subspaces import EmbeddingCovariance
from audiopg.analysis.pictures import attention, factors, patch_filters, projections, reconstructions
from audiopg.arrays import Float32, Float64
from audiopg.features.logmel import LogMel
from audiopg.models.checkpoint import load_encoder
from audiopg.models.vit import Encoder, untrained
from audiopg.progress import progress
from audiopg.provenance import run_cards, stages

TABLES = (
    "decodability",
    "best_probes",
    "angles",
    "interventions",
    "units",
    "embedding",
    "filters",
    "filter_spectrum",
    "attention",
    "reconstructions",
)
PICTURES = ("decodability", "angles", "interventions", "embedding", "filters", "attention", "reconstructions")
OUTPUTS = (
    "metrics.json",
    "claims.md",
    *(f"{name}.csv" for name in TABLES),
    *(f"{name}{theme}.png" for name in PICTURES for theme in ("", "-dark")),
)
# The corpus that is shown: what pre-training hears.
SHOWN = "natural"
N_ATTENDED, N_RECONSTRUCTED = 64, 2
DIGITS = 6


class Findings(NamedTuple):
    """What the analyses find in one corpus, or in all of them."""

    tables: dict[str, pd.DataFrame]
    """``decodability, best_probes``; ``angles, interventions, units`` where the factors are independent; and
    ``embedding`` of the corpus that is shown; the first column is the corpus."""
    disentanglement: dict[str, Any]
    """Scores by corpus and encoder, where the factors are independent."""


def analyse(  # noqa: PLR0913
    name: str,
    corpus: Corpus,
    embeddings: dict[str, Float32],
    covariances: Mapping[str, EmbeddingCovariance],
    latent: config.Latent,
    seed: int,
) -> Findings:
    """Run all analyses on the activations of encoders for a corpus.

    Args:
        name: of the corpus.
        corpus: N clips.
        embeddings: by encoder, as `activations` makes them.
        covariances: by encoder, of the embeddings of clips as pre-training hears them.
        latent: the ``latent`` section.
        seed: names all draws.
    """

    def draw(what: str) -> np.random.Generator:
        return rng.generator(seed, f"latent/{name}/{what}", 0)

    cells = decodability.table(embeddings, corpus, latent.ridge_alphas, draw("decodability"))
    best_probes = decodability.chosen(cells)
    best_probes = decodability.rbf(best_probes, embeddings, corpus, latent.ridge_alphas, draw("rbf"))
    tables = {"decodability": cells.drop(columns="drawn"), "best_probes": best_probes.drop(columns="drawn")}
    scores: dict[str, Any] = {}
    if corpus.independent:
        last = {encoder: embedding(embeddings[encoder]) for encoder in covariances}
        tables["angles"], tables["interventions"] = orthogonality(
            last, covariances, corpus, latent.ridge_alphas, latent.n_null, draw("subspaces")
        )
        units = []
        for encoder, each in last.items():
            scores[encoder], table = disentanglement(each, corpus, draw("information"))
            table.insert(0, "encoder", encoder)
            units.append(table)
        tables["units"] = pd.concat(units)
    for table in tables.values():
        table.insert(0, "corpus", name)
    rounded = {kind: table.round(DIGITS) for kind, table in tables.items()}
    return Findings(rounded, {name: scores} if scores else {})


def embedding(layers: Float32) -> Float64:
    """The embedding itself of N clips: the mean over the tokens of the last layer, shape (N, D)."""
    return layers[:, -1, 0].astype(np.float64)


@contextmanager
def embedded(
    name: str, cfg: config.Config, encoders: Mapping[str, Encoder], log_mel: LogMel, out: Path
) -> Iterator[tuple[Corpus, dict[str, Float32]]]:
    """Make a corpus and embed it once for all analyses; the embeddings are on disk while the block lasts.

    Args:
        name: of the corpus.
        cfg: all parameters.
        encoders: by name, in evaluation, on one device.
        log_mel: the features, on the device.
        out: folder that has room for the embeddings.
    """
    corpus = synthetic.build(name, cfg, next(encoders["pretrained"].parameters()).device)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as folder:
        yield corpus, activations(corpus, encoders, log_mel, Path(folder))


def in_natural(
    cfg: config.Config, encoders: Mapping[str, Encoder], log_mel: LogMel, out: Path
) -> tuple[Findings, dict[str, EmbeddingCovariance]]:
    """Analyse the corpus that is shown, and measure the embeddings' covariance in it; `in_corpus` does the rest."""
    with embedded(SHOWN, cfg, encoders, log_mel, out) as (corpus, embeddings):
        covariances = {encoder: EmbeddingCovariance.of(embedding(embeddings[encoder])) for encoder in encoders}
        found = analyse(SHOWN, corpus, embeddings, covariances, cfg.latent, cfg.seed)
        sources = np.array(list(cfg.synth.sources))
        classes = {factor: sources[labels] for factor, labels in corpus.classes.items()}
        pretrained = embedding(embeddings["pretrained"])
        found.tables["embedding"] = projections.project(SHOWN, pretrained, corpus.factors | classes)
    return found, covariances


def in_corpus(  # noqa: PLR0913
    name: str,
    cfg: config.Config,
    encoders: Mapping[str, Encoder],
    log_mel: LogMel,
    covariances: Mapping[str, EmbeddingCovariance],
    out: Path,
) -> Findings:
    """Analyse another corpus.

    Args:
        name: of the corpus.
        cfg: all parameters.
        encoders: by name, in evaluation, on one device.
        log_mel: the features, on the device.
        covariances: by encoder, from which random directions are drawn.
        out: folder that has room for the embeddings.
    """
    with embedded(name, cfg, encoders, log_mel, out) as (corpus, embeddings):
        return analyse(name, corpus, embeddings, covariances, cfg.latent, cfg.seed)


def together(findings: list[Findings]) -> Findings:
    """Concatenate the findings of several corpora."""
    kinds = dict.fromkeys(kind for found in findings for kind in found.tables)
    return Findings(
        {
            kind: pd.concat([found.tables[kind] for found in findings if kind in found.tables], ignore_index=True)
            for kind in kinds
        },
        {name: scores for found in findings for name, scores in found.disentanglement.items()},
    )


def metrics(found: Findings, judged: Mapping[str, list[claims.Finding]]) -> dict[str, Any]:
    """Return the numbers that ``dvc metrics`` compares, nested by corpus."""
    tables = found.tables
    scores = ("score", "low", "high", "lead", "lead_low", "lead_high", "shuffled", "rbf_score")
    angles = ("angle_deg", "low_deg", "high_deg", "cosine", "null_deg", "effect_deg", "p_value", "p_holm", "p_together")
    subspaces = ("principal_mean_deg", "principal_null_deg", "principal_p_value")
    left = ("r2_before", "r2_after", "r2_random", "kept", "kept_low", "kept_high", "kept_random")
    return {
        "decodability": nested(tables["best_probes"], ("factor",), scores),
        "orthogonality": nested(tables["angles"], ("first", "second"), (*angles, *subspaces)),
        "interventions": nested(tables["interventions"], ("erased", "factor"), left),
        "disentanglement": found.disentanglement,
        "claims": {
            name: {
                "pretrained": claims.counted([finding.verdict for finding in findings]),
                "random": claims.counted([finding.random for finding in findings]),
            }
            for name, findings in judged.items()
        },
    }


def nested(table: pd.DataFrame, names: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, Any]:
    """Nest the columns of a table by corpus, by its names, and by encoder."""
    found: dict[str, Any] = {}
    for row in table.to_dict("records"):
        place = found.setdefault(row["corpus"], {}).setdefault(" ".join(row[name] for name in names), {})
        place[row["encoder"]] = {column: row[column] for column in columns}
    return found


def draw_pictures(cfg: config.Config, encoders: Mapping[str, Encoder], path: Path, log_mel: LogMel, out: Path) -> None:
    """Draw how the encoders process a few clips, and write the data behind the pictures.

    Args:
        cfg: all parameters.
        encoders: ``pretrained`` and ``random``, on the device.
        path: the masked autoencoder's weights.
        log_mel: the features.
        out: folder.

    Raises:
        AudiopgError: the weights are missing, damaged or of another size.
    """
    hop_ms = cfg.features.hop_ms
    shown, spectrum = patch_filters.filters(encoders["pretrained"], hop_ms), patch_filters.spectrum(encoders)
    device = next(encoders["pretrained"].parameters()).device
    corpus = synthetic.build(SHOWN, cfg, device)
    spectrogram = log_mel(corpus.waveforms(0, min(N_ATTENDED, len(corpus))))
    attended = attention.distances(encoders, spectrogram, hop_ms)
    model, numbers, hidden = reconstructions.load(path, cfg.encoder, cfg.pretrain), range(N_RECONSTRUCTED), None
    if model is not None:
        hidden = reconstructions.reconstruct(model.to(device), spectrogram[:N_RECONSTRUCTED], numbers, cfg.seed)
    reconstructed = reconstructions.table(hidden, numbers, cfg.features)
    tables = {"filters": shown, "filter_spectrum": spectrum, "attention": attended, "reconstructions": reconstructed}
    for name, table in tables.items():
        storage.write_table(out / f"{name}.csv", table)
    patch_filters.picture(shown, spectrum, cfg.features.hop_ms, out / "filters.png")
    attention.picture(attended, out / "attention.png")
    reconstructions.picture(reconstructed, cfg.features, out / "reconstructions.png")


def run(cfg: config.Config, encoder_path: Path, model_path: Path, out: Path) -> None:
    """Analyse an encoder on all probe corpora against the same encoder with random weights.

    Args:
        cfg: all parameters.
        encoder_path: the pre-trained encoder.
        model_path: the masked autoencoder that it comes from, for the reconstructions.
        out: folder for `OUTPUTS` and the run card.

    Raises:
        AudiopgError: a checkpoint is missing, damaged or of another size, a corpus cannot be made, or a factor does
            not vary.
    """
    # each corpus has one thread, which is faster than all on one batch, and no result depends on their number
    # small differences are measured here, which bfloat16 would round away
    backend = compute.backend(cfg.compute.model_copy(update={"precision": "float32"}), 1)
    encoders = {
        "pretrained": load_encoder(encoder_path, cfg.encoder, cfg.features).eval().to(backend.device),
        "random": untrained(cfg.encoder, cfg.seed).eval().to(backend.device),
    }
    log_mel = LogMel(cfg.features).to(backend.device)
    out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(cfg.latent.n_threads) as pool:
        natural = pool.submit(in_natural, cfg, encoders, log_mel, out)
        pictures = pool.submit(draw_pictures, cfg, encoders, model_path, log_mel, out)
        first, covariances = natural.result()
        others = [name for name in cfg.latent.corpora if name != SHOWN]
        each = pool.map(lambda name: in_corpus(name, cfg, encoders, log_mel, covariances, out), others)
        found = together(
            [first, *progress(each, "latent", total=len(others), per_item=cfg.latent.n_clips)],
        )
        pictures.result()
    for name, table in found.tables.items():
        storage.write_table(out / f"{name}.csv", table)
    factors.score_per_layer(found.tables["decodability"], out / "decodability.png")
    factors.angle_matrix(found.tables["angles"], out / "angles.png")
    factors.interventions(found.tables["interventions"], out / "interventions.png")
    factors.embedding(found.tables["embedding"], out / "embedding.png")
    judged = {
        "decodable": claims.decodable(found.tables["best_probes"]),
        "orthogonal": claims.orthogonal(found.tables["angles"], found.tables["interventions"]),
    }
    storage.write_text(out / "claims.md", claims.markdown(*judged.values()))
    storage.write_json(out / "metrics.json", metrics(found, judged))
    run_cards.write_card(
        out / "run.json",
        "latent",
        stages.reads(cfg, "latent"),
        [encoder_path, model_path],
        [out / name for name in OUTPUTS],
        device=backend.name,
    )
