"""An encoder as a folder for a model hub: weights, configuration, and a model card with what they were made from."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from audiopg import __version__, storage, tensors
from audiopg.errors import AudiopgError
from audiopg.pretrained import graph
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.weights import CONFIG, MODEL_TYPE, RUN_CARD, WEIGHTS, read_checkpoint
from audiopg.report.rows import TITLES

CARD = "README.md"
GRAPH = "model.onnx"
# The rows of the results table that are about this encoder; the others are for comparison.
OWN_ROWS = ("pretrained", "probe_linear", "probe_knn")
METRICS = {"mAP": "mean_average_precision"}  # names of the hub, where they differ
TAGS = [
    "audio",
    "audio-representation",
    "vision-transformer",
    "self-supervised",
    "synthetic-data",
]
# What each objective adds to the card.
LEARNT = {
    "reconstruction": "a decoder reconstructed hidden patches of the spectrogram",
    "physics": "a linear head predicted the physics of each clip (fundamental, events, level, source and all else that "
    "varies)",
    "twins": "clips with the same sources, heard differently, were found among others",
}
TAUGHT = "So the encoder was supervised as well, by the synthesiser's score; no recording was involved."


def run(encoder_path: Path, results: Path, out: Path, *, half: bool = False, onnx: bool = False) -> None:
    """Export a pre-trained encoder; `audiopg.pretrained.AudioEncoder` reads the folder back.

    Args:
        encoder_path: weights that the stage ``pretrain`` wrote, with its run card next to them.
        results: folder with ``table.csv``, ``table.md`` and the run card of the table.
        out: folder for ``model.safetensors`` and ``run.json`` (the checkpoint and its run card, byte for byte),
            ``config.json`` and ``README.md``.
        half: whether the weights are rounded to numbers of 16 bit, for a file of half the size.
        onnx: whether there is ``model.onnx`` as well, as `audiopg.pretrained.graph` writes it.

    Raises:
        AudiopgError: something is missing or damaged, the run card describes other weights, the table is based on
            another encoder, or files that are not of an export would be replaced.
    """
    _check_folder(out)
    card_path, table_card_path = encoder_path.with_name("run.json"), results / "run.json"
    model, features = read_checkpoint(encoder_path)
    encoder = model.config
    card, table_card = storage.read_json(card_path), storage.read_json(table_card_path)
    _made("pretrain", card_path, card, encoder_path)
    for name in ("table.csv", "table.md"):
        _made("table", table_card_path, table_card, results / name)
    if storage.file_digest(card_path) not in table_card["inputs"].values():
        msg = f"{results / 'table.csv'}: is not based on {encoder_path}; `snakemake --cores all` makes it again"
        raise AudiopgError(msg)
    facts = {
        "model_type": MODEL_TYPE,
        "architectures": ["AudioEncoder"],
        "encoder": encoder.model_dump(mode="json"),
        "hidden_size": encoder.shape.width,
        "num_hidden_layers": encoder.shape.depth,
        "num_attention_heads": encoder.shape.n_heads,
        "n_parameters": sum(tensor.numel() for tensor in model.state_dict().values()),
        "features": features.model_dump(mode="json"),
        "clip_s": card["params"]["synth"]["clip_s"],
        "corpus": card["first_clip"].partition("/")[0],
        "audiopg_version": __version__,
    }
    digests = {
        "checkpoint of the pre-training": storage.file_digest(encoder_path),
        f"{RUN_CARD}, the run card of the pre-training": storage.file_digest(card_path),
        "run card of the results table": storage.file_digest(table_card_path),
        "statements of the code of the pre-training": card["code"],
    }
    frame = pd.read_csv(results / "table.csv")
    text = model_card(facts, card, frame, (results / "table.md").read_text(encoding="utf-8"), digests)
    if half:
        weights, header = tensors.read(encoder_path)
        tensors.write(out / WEIGHTS, {name: weight.half() for name, weight in weights.items()}, header)
    else:
        _copy(encoder_path, out / WEIGHTS)
    _copy(card_path, out / RUN_CARD)
    facts["weights_sha256"] = storage.file_digest(out / WEIGHTS)
    storage.write_json(out / CONFIG, facts)
    storage.write_text(out / CARD, text)
    if onnx:
        graph.write(AudioEncoder.from_pretrained(out), out / GRAPH)


def _copy(source: Path, target: Path) -> None:
    with storage.replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _check_folder(out: Path) -> None:
    """Refuse a folder with files of other origin under the names of an export."""
    there = [out / name for name in (WEIGHTS, RUN_CARD, CONFIG, CARD) if (out / name).exists()]
    try:
        known = storage.read_json(out / CONFIG)["model_type"] == MODEL_TYPE
    except (AudiopgError, KeyError, TypeError):
        known = False
    if there and not known:
        msg = f"{there[0]}: would be replaced, and `audiopg export` did not write it; choose another folder for --out"
        raise AudiopgError(msg)


def _made(stage: str, card_path: Path, card: dict[str, Any], output: Path) -> None:
    """Refuse a run card of another stage, or one that does not match a file."""
    if not output.is_file():
        msg = f"{output}: no such file; `snakemake --cores all` makes it"
        raise AudiopgError(msg)
    if not isinstance(card, dict) or card.get("stage") != stage:
        msg = f"{card_path}: not a run card of the stage {stage}; `snakemake --cores all` makes it"
        raise AudiopgError(msg)
    told = {Path(path).name: digest for path, digest in card["outputs"].items()}
    if told.get(output.name) != storage.file_digest(output):
        msg = f"{card_path}: describes another {output.name} than {output}; `snakemake --cores all` makes them again"
        raise AudiopgError(msg)


def _objectives(card: dict[str, Any]) -> dict[str, float]:
    """Return the objectives of a pre-training that have a weight."""
    weights = card["params"]["pretrain"].get("objectives")
    if weights is None:
        msg = "results/pretrain/run.json: made by an earlier version, which had no pretrain.objectives; pre-train again"
        raise AudiopgError(msg)
    return {key: weight for key, weight in weights.items() if weight}


def front_matter(name: str, table: pd.DataFrame, *, taught: bool) -> dict[str, Any]:
    """Return the metadata that a model hub reads: licence, tags, and this encoder's figures per task.

    Args:
        name: name of the model.
        table: the results table, columns as `audiopg.report.COLUMNS`.
        taught: whether pre-training knew more of the clips than their sound.
    """
    results = []
    for task, rows in table[table["row"].isin(OWN_ROWS)].groupby("task", sort=False):
        metrics = [
            {
                "type": METRICS.get(row["metric"], row["metric"]),
                "name": f"{TITLES[row['row']]}, {row['metric']}, mean of {row['n']} run{'s' * (row['n'] != 1)}",
                "value": row["mean"],
            }
            for row in rows.to_dict("records")
        ]
        kind = {"type": "audio-classification", "name": "audio classification"}
        results.append({"task": kind, "dataset": {"type": str(task), "name": str(task)}, "metrics": metrics})
    return {
        "license": "mit",
        "library_name": "audiopg",
        "pipeline_tag": "feature-extraction",
        "tags": [*TAGS, "supervised"] if taught else TAGS,
        "model-index": [{"name": name, "results": results}],
    }


def model_card(
    facts: dict[str, Any], card: dict[str, Any], table: pd.DataFrame, shown: str, digests: dict[str, str]
) -> str:
    """Write the model card.

    Args:
        facts: what ``config.json`` holds.
        card: run card of the pre-training.
        table: the results table as data.
        shown: the results table for the eye, Markdown with its own title.
        digests: sha256 of what the folder was made from, by name.
    """
    size, rate_hz = facts["encoder"]["size"], facts["features"]["sample_rate_hz"]
    name, clip_s = f"audiopg-{size}", card["params"]["synth"]["clip_s"]
    objectives = _objectives(card)
    taught = objectives.keys() != {"reconstruction"}
    metadata = front_matter(name, table, taught=taught)
    learnt = "; ".join(f"{LEARNT[key]} (weight {weight:g})" for key, weight in objectives.items())
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
    made = "\n".join(f"| {what} | `{digest}` |" for what, digest in digests.items())
    versions = ", ".join(f"{package} {number}" for package, number in card["versions"].items())
    return f"""\
---
{head}---

# {name}

An encoder of log-mel spectrograms, which learnt from some of their patches: a vision transformer of size `{size}`,
{facts["n_parameters"]:,} weights, {facts["num_hidden_layers"]} blocks of width {facts["hidden_size"]}.
It takes mono waveforms at {rate_hz} Hz, and gives one token per patch; the mean of the tokens is a clip's embedding.

```python
from audiopg.pretrained import AudioEncoder

model = AudioEncoder.from_pretrained("path/to/this/folder")
tokens = model(waveform)  # waveform: (B, samples), float32 in [-1, 1]; tokens: (B, patches, {facts["hidden_size"]})
```

The package `audiopg` is all it needs: no pickle, no network. The log-mel front end is part of the model.

## Data

Pre-training heard synthetic sound only, and no recording: {card["clips_seen"]:,} clips of {clip_s:g} s, made by the
procedural synthesiser of `audiopg`, named `{card["first_clip"]}` to `{card["last_clip"]}`. Each can be made again
from its name and the parameters in `{RUN_CARD}`. No person, voice or work is in them. Recordings served for the
figures below alone; the classifiers that were fine-tuned on them are not in this folder.

What it learnt: {learnt}.{f" {TAUGHT}" if taught else ""}

## Limits

It was evaluated on the tasks below and on no others. Figures are of one seed; ± is over folds only. Clips in
pre-training had {clip_s:g} s; much longer ones meet positions that it has not seen.

## Results

{shown.partition(chr(10))[2].strip()}

## Made from

| what | sha256 |
|---|---|
{made}

On {card["device"]} ({card["machine"]}), with {versions}.

## Licence

MIT, code and weights. The data sets of the results have licences of their own.
"""
