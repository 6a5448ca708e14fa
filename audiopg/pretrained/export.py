"""An encoder as a folder for a model hub: weights, configuration, and a model card with what they were made from."""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from audiopg import __version__, storage, tensors
from audiopg.errors import AudiopgError
from audiopg.pretrained import graph, hub
from audiopg.pretrained.card import CARD, MODELING, Figures, model_card
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.hub.client import upload
from audiopg.pretrained.weights import CONFIG, MODEL_TYPE, RUN_CARD, WEIGHTS, read_checkpoint
from audiopg.progress import say

GRAPH = "model.onnx"
PREPROCESSOR = "preprocessor_config.json"
FILES = (WEIGHTS, RUN_CARD, CONFIG, CARD, MODELING, PREPROCESSOR)
# Which class of the modeling file each of the hub's loaders takes.
AUTO_MAP = {
    auto: f"{Path(MODELING).stem}.AudioPG{auto.removeprefix('Auto')}"
    for auto in ("AutoConfig", "AutoModel", "AutoFeatureExtractor")
}


def run(encoder_path: Path, results: Path, out: Path, *, half: bool = False, onnx: bool = False) -> None:
    """Export a pre-trained encoder; `audiopg.pretrained.AudioEncoder` and transformers' `AutoModel` read the folder.

    Args:
        encoder_path: weights that the stage ``pretrain`` wrote, with its run card next to them.
        results: folder with ``table.csv``, ``table.md`` and the run card of the table; without a table there, the
            model card has no figures, and a line says so.
        out: folder for ``model.safetensors`` and ``run.json`` (the checkpoint and its run card, byte for byte),
            ``config.json``, ``README.md``, and what `AutoModel` and `AutoFeatureExtractor` read besides.
        half: whether the weights are rounded to numbers of 16 bit, for a file of half the size.
        onnx: whether there is ``model.onnx`` as well, as `audiopg.pretrained.graph` writes it.

    Raises:
        AudiopgError: something is missing or damaged, the run card describes other weights, the table is based on
            another encoder, or files that are not of an export would be replaced.
    """
    _check_folder(out)
    card_path = encoder_path.with_name(RUN_CARD)
    model, features = read_checkpoint(encoder_path)
    encoder = model.config
    card = storage.read_json(card_path)
    _made("pretrain", card_path, card, encoder_path)
    figures = _figures(results, encoder_path)
    facts = {
        "model_type": MODEL_TYPE,
        "architectures": ["AudioPGModel"],
        "auto_map": AUTO_MAP,
        "dtype": "float32",
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
        "statements of the code of the pre-training": card["code"],
    }
    if figures is not None:
        digests["run card of the results table"] = storage.file_digest(results / RUN_CARD)
    text = model_card(facts, card, figures, digests)
    (out / GRAPH).unlink(missing_ok=True)  # of other weights, unless it is written anew
    if half:
        weights, header = tensors.read(encoder_path)
        tensors.write(out / WEIGHTS, {name: weight.half() for name, weight in weights.items()}, header)
    else:
        _copy(encoder_path, out / WEIGHTS)
    _copy(card_path, out / RUN_CARD)
    facts["weights_sha256"] = storage.file_digest(out / WEIGHTS)
    storage.write_text(out / MODELING, resources.files(hub).joinpath(MODELING).read_text(encoding="utf-8"))
    storage.write_json(out / PREPROCESSOR, _preprocessor(features.sample_rate_hz))
    storage.write_json(out / CONFIG, facts)
    storage.write_text(out / CARD, text)
    if onnx:
        graph.write(AudioEncoder.from_pretrained(out), out / GRAPH)


def _figures(results: Path, encoder_path: Path) -> Figures | None:
    """Read the results table, if there is one; it has to be about this encoder."""
    if not (results / "table.csv").exists():
        say(f"{results / 'table.csv'}: no such file; the model card has no figures")
        return None
    table_card_path = results / RUN_CARD
    table_card = storage.read_json(table_card_path)
    for name in ("table.csv", "table.md"):
        _made("table", table_card_path, table_card, results / name)
    if storage.file_digest(encoder_path.with_name(RUN_CARD)) not in table_card["inputs"].values():
        msg = f"{results / 'table.csv'}: is not based on {encoder_path}; `snakemake --cores all` makes it again"
        raise AudiopgError(msg)
    return Figures(pd.read_csv(results / "table.csv"), (results / "table.md").read_text(encoding="utf-8"))


def _copy(source: Path, target: Path) -> None:
    with storage.replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Copy an exported folder to a repository on a model hub, which is made if need be.

    Args:
        folder: what `run` wrote; other files in it stay here.
        repository: ``"user/repo"``.
        private: whether a new repository is private; if not, the settings of its owner decide.

    Returns:
        Address of the commit.

    Raises:
        AudiopgError: the folder is not whole, nobody is logged in, or the hub refuses or cannot be reached.
    """
    AudioEncoder.from_pretrained(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        msg = f"{folder / missing[0]}: no such file; export the encoder again"
        raise AudiopgError(msg)
    return upload(folder, repository, FILES, private=private)


def _preprocessor(sample_rate_hz: int) -> dict[str, Any]:
    """Return the configuration of the feature extractor, as transformers itself would save it."""
    key = "AutoFeatureExtractor"
    return {
        "auto_map": {key: AUTO_MAP[key]},
        "feature_extractor_type": AUTO_MAP[key].partition(".")[2],
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": sample_rate_hz,
    }


def _check_folder(out: Path) -> None:
    """Refuse a folder with files of other origin under the names of an export."""
    there = [out / name for name in (*FILES, GRAPH) if (out / name).exists()]
    try:
        known = storage.read_json(out / CONFIG)["model_type"] == MODEL_TYPE
    except (AudiopgError, KeyError):
        known = False
    if there and not known:
        msg = f"{there[0]}: would be replaced, and `audiopg export` did not write it; choose another folder for --out"
        raise AudiopgError(msg)


def _made(stage: str, card_path: Path, card: dict[str, Any], output: Path) -> None:
    """Refuse a run card of another stage, or one that does not match a file."""
    if not output.is_file():
        msg = f"{output}: no such file; `snakemake --cores all` makes it"
        raise AudiopgError(msg)
    if card.get("stage") != stage:
        msg = f"{card_path}: not a run card of the stage {stage}; `snakemake --cores all` makes it"
        raise AudiopgError(msg)
    told = {Path(path).name: digest for path, digest in card["outputs"].items()}
    if told.get(output.name) != storage.file_digest(output):
        msg = f"{card_path}: describes another {output.name} than {output}; `snakemake --cores all` makes them again"
        raise AudiopgError(msg)
