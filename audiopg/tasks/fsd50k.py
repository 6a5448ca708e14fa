"""FSD50K: 51,197 Freesound clips of 0.3 to 30 s with labels out of 200 classes, split into train, val and eval."""

import json
from pathlib import Path
from typing import Any

from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.metadata import REMEDY, compare, read_table
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="fsd50k",
    title="FSD50K",
    licence="CC BY 4.0; each clip CC0, CC BY, CC BY-NC or CC Sampling+",
    citation="E. Fonseca et al., FSD50K: an Open Dataset of Human-Labeled Sound Events, IEEE/ACM TASLP 2022",
    url="https://zenodo.org/records/4060432",
    protocol="split",
    sizes=(36_796, 4_170, 10_231),
    n_classes=200,
    metric="mAP",
    paper=0.546,
    paper_selection="unknown, as no code for it was released",
)
VOLUME = 3_221_225_472
# The sizes of the last volumes and the small files are approximate; those of the five full volumes are exact.
FILES = (
    ("FSD50K.dev_audio.z01", VOLUME, "faa7cf4cc076fc34a44a479a5ed862a3"),
    ("FSD50K.dev_audio.z02", VOLUME, "8f9b66153e68571164fb1315d00bc7bc"),
    ("FSD50K.dev_audio.z03", VOLUME, "1196ef47d267a993d30fa98af54b7159"),
    ("FSD50K.dev_audio.z04", VOLUME, "d088ac4e11ba53daf9f7574c11cccac9"),
    ("FSD50K.dev_audio.z05", VOLUME, "81356521aa159accd3c35de22da28c7f"),
    ("FSD50K.dev_audio.zip", 2_300_000_000, "c480d119b8f7a7e32fdb58f3ea4d6c5a"),
    ("FSD50K.eval_audio.z01", VOLUME, "3090670eaeecc013ca1ff84fe4442aeb"),
    ("FSD50K.eval_audio.zip", 3_000_000_000, "6fa47636c3a3ad5c7dfeba99f2637982"),
    ("FSD50K.ground_truth.zip", 350_000, "ca27382c195e37d2269c4c866dd73485"),
    ("FSD50K.metadata.zip", 10_000_000, "b9ea0c829a411c1d42adb9da539ed237"),
    ("FSD50K.doc.zip", 10_000, "3516162b82dc2945d3e7feba0904e800"),
)
DOWNLOAD = Download(
    archives=tuple(
        Archive(f"https://zenodo.org/records/4060432/files/{name}", n_bytes, digest=f"md5:{md5}")
        for name, n_bytes, md5 in FILES
    ),
    n_bytes=34_500_000_000,
    hours=108.3,
)


def make_manifest(root: Path) -> Manifest:
    """List the clips of both ground-truth files, with the shipped train and val column; eval is the test split.

    Labels are taken as they are: they were propagated up the ontology already.

    Raises:
        AudiopgError: a list is missing or damaged, or has labels that are not in the vocabulary; a file is missing, not
            listed or not audio.
    """
    known = _vocabulary(root / "FSD50K.ground_truth" / "vocabulary.csv")
    rows: list[Row] = []
    for part in ("dev", "eval"):
        columns = ("fname", "labels", "split") if part == "dev" else ("fname", "labels")
        listed = read_table(root / "FSD50K.ground_truth" / f"{part}.csv", columns)
        facts = _facts(root / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json")
        folder = f"FSD50K.{part}_audio"
        files = {file.relative_to(root).as_posix() for file in root.glob(f"{folder}/*.wav")}
        compare(root, files, {f"{folder}/{row['fname']}.wav" for row in listed})
        for row in listed:
            name, labels = row["fname"], tuple(sorted(row["labels"].split(",")))
            if not known.issuperset(labels):
                msg = f"{root}: clip {name} has a label that is not in the vocabulary: {row['labels']}"
                raise AudiopgError(msg)
            rows.append(
                Row.measured(
                    root,
                    f"{folder}/{name}.wav",
                    labels,
                    split=row.get("split", "test"),
                    group=name,
                    source_id=f"freesound/{name}",
                    licence=facts.get(name, {}).get("license", CARD.licence),
                )
            )
    return Manifest(tuple(rows))


def _vocabulary(path: Path) -> set[str]:
    """Read the labels: lines of number, label, identifier, without a header."""
    try:
        return {line.split(",")[1] for line in path.read_text(encoding="utf-8").splitlines()}
    except (OSError, IndexError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable list ({error}); {REMEDY}"
        raise AudiopgError(msg) from None


def _facts(path: Path) -> dict[str, dict[str, Any]]:
    """Read Freesound's facts about each clip."""
    try:
        facts: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: not readable ({error}); {REMEDY}"
        raise AudiopgError(msg) from None
    return facts


TASK = Task(CARD, DOWNLOAD, make_manifest)
