"""The model card of an exported encoder: what a hub reads, and what a person reads."""

from typing import Any, NamedTuple

import pandas as pd
import yaml

from audiopg.errors import AudiopgError
from audiopg.pretrained.weights import RUN_CARD
from audiopg.report.rows import TITLES

CARD = "README.md"
MODELING = "modeling_audiopg.py"
# The rows of the results table that are about this encoder; the others are for comparison.
OWN_ROWS = ("pretrained", "probe_linear", "probe_knn")
METRICS = {"mAP": "mean_average_precision"}  # names of the hub, where they differ
TAGS = [
    "audiopg",
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
# As CITATION.cff has it.
CITATION = """\
@inproceedings{audiopg,
  title = {AudioPG},
  author = {{The authors of AudioPG}},
  booktitle = {ICMR 2026},
  year = {2026},
  eprint = {2606.14791},
  archivePrefix = {arXiv}
}"""
TAUGHT = "So the encoder was supervised as well, by the synthesiser's score; no recording was involved."


class Figures(NamedTuple):
    """The results table."""

    table: pd.DataFrame
    """As data, columns as `audiopg.report.COLUMNS`."""
    shown: str
    """For the eye, Markdown with its own title."""


def front_matter(name: str, figures: Figures | None, *, taught: bool) -> dict[str, Any]:
    """Return the metadata that a model hub reads: licence, tags, and this encoder's figures per task.

    Args:
        name: name of the model.
        figures: the results table; None where there is none.
        taught: whether pre-training knew more of the clips than their sound.
    """
    metadata: dict[str, Any] = {
        "license": "mit",
        "library_name": "transformers",  # it tells the hub how to show the folder's use
        "pipeline_tag": "feature-extraction",
        "tags": [*TAGS, "supervised"] if taught else TAGS,
    }
    if figures is not None:
        metadata["model-index"] = [{"name": name, "results": _by_task(figures.table)}]
    return metadata


def _by_task(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return this encoder's figures as a model hub has them."""
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
    return results


def model_card(facts: dict[str, Any], card: dict[str, Any], figures: Figures | None, digests: dict[str, str]) -> str:
    """Write the model card.

    Args:
        facts: what ``config.json`` holds.
        card: run card of the pre-training.
        figures: the results table; None where there is none.
        digests: sha256 of what the folder was made from, by name.
    """
    size, rate_hz = facts["encoder"]["size"], facts["features"]["sample_rate_hz"]
    name, clip_s = f"audiopg-{size}", card["params"]["synth"]["clip_s"]
    objectives = _objectives(card)
    taught = objectives.keys() != {"reconstruction"}
    metadata = front_matter(name, figures, taught=taught)
    learnt = "; ".join(f"{LEARNT[key]} (weight {weight:g})" for key, weight in objectives.items())
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
    made = "\n".join(f"| {what} | `{digest}` |" for what, digest in digests.items())
    versions = ", ".join(f"{package} {number}" for package, number in card["versions"].items())
    if figures is None:
        evaluated, results = "This folder has no figures: it was exported without a table of results.", ""
    else:
        evaluated = (
            "It was evaluated on the tasks below and on no others. Figures are of one seed; ± is over folds only."
        )
        results = f"\n## Results\n\n{figures.shown.partition(chr(10))[2].strip()}\n"
    return f"""\
---
{head}---

# {name}

An encoder of log-mel spectrograms, which learnt from some of their patches: a vision transformer of size `{size}`,
{facts["n_parameters"]:,} weights, {facts["num_hidden_layers"]} blocks of width {facts["hidden_size"]}.
It takes mono waveforms at {rate_hz} Hz, and gives one token per patch; the mean of the tokens is a clip's embedding.

The log-mel front end is part of the model.

## Use

With transformers 5, and without `audiopg`:

```python
from transformers import AutoFeatureExtractor, AutoModel

folder = "path/to/this/folder"  # or "user/repo"
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
output = model(**extractor(sounds, sampling_rate={rate_hz}, return_tensors="pt"))  # sounds: a list of arrays in [-1, 1]
output.pooler_output      # (B, {facts["hidden_size"]}): the embeddings
output.last_hidden_state  # (B, patches, {facts["hidden_size"]}): the tokens
```

Shorter sounds of a batch end in silence, which the encoder hears: give sounds of one length, or one at a time.
`trust_remote_code` runs `{MODELING}`, which imports torch, transformers and NumPy only.

With `audiopg`, which runs no code of the folder:

```python
from audiopg.pretrained import AudioEncoder

model = AudioEncoder.from_pretrained("path/to/this/folder")  # or "user/repo"
tokens = model(waveform)  # waveform: (B, samples), float32 in [-1, 1]; tokens: (B, patches, {facts["hidden_size"]})
```

## Data

Pre-training heard synthetic sound only, and no recording: {card["clips_seen"]:,} clips of {clip_s:g} s, made by the
procedural synthesiser of `audiopg`, named `{card["first_clip"]}` to `{card["last_clip"]}`. Each can be made again
from its name and the parameters in `{RUN_CARD}`. No person, voice or work is in them. Recordings serve to
evaluate it and for nothing else; no classifier that was fine-tuned on them is in this folder.

What it learnt: {learnt}.{f" {TAUGHT}" if taught else ""}

## Limits

{evaluated} Clips in pre-training had {clip_s:g} s; much longer ones meet positions that it has not seen.
{results}
## Made from

| what | sha256 |
|---|---|
{made}

On {card["device"]} ({card["machine"]}), with {versions}.

## Licence

MIT, code and weights. The data sets of the results have licences of their own.

## Citation

```bibtex
{CITATION}
```
"""


def _objectives(card: dict[str, Any]) -> dict[str, float]:
    """Return the objectives of a pre-training that have a weight."""
    weights = card["params"]["pretrain"].get("objectives")
    if weights is None:
        msg = "results/pretrain/run.json: made by an earlier version, which had no pretrain.objectives; pre-train again"
        raise AudiopgError(msg)
    return {key: weight for key, weight in weights.items() if weight}
