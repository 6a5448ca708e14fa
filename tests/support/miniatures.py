"""The four large data sets in miniature: true folders, names and lists, a few short clips of noise."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from audiopg.tasks import esc50, fsd50k, speech_commands, urbansound8k
from audiopg.tasks.task import Task

NOISE = np.random.Generator(np.random.Philox(7))
# (sample rate in Hz, subtype, channels): UrbanSound8K is as people uploaded it
UPLOADS = (
    (8_000, "PCM_U8", 1),
    (11_025, "IMA_ADPCM", 1),
    (22_050, "MS_ADPCM", 2),
    (44_100, "PCM_16", 2),
    (48_000, "PCM_24", 1),
    (96_000, "PCM_32", 2),
    (192_000, "FLOAT", 1),
    (44_100, "ULAW", 1),
)


def sound(path: Path, seconds: float, rate_hz: int = 16_000, subtype: str = "PCM_16", channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = NOISE.uniform(-0.5, 0.5, (round(seconds * rate_hz), channels))
    soundfile.write(path, samples, rate_hz, subtype=subtype)


def table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def make_esc50(folder: Path) -> Task:
    """Three classes, five folds, two takes of one recording."""
    rows: list[Sequence[object]] = [("filename", "fold", "target", "category", "esc10", "src_file", "take")]
    for fold in range(1, 6):
        for target, category in ((0, "dog"), (14, "chirping_birds"), (36, "vacuum_cleaner")):
            for take in "AB"[: 1 + (target == 0)]:
                recording = 100_000 + 100 * fold + target
                name = f"{fold}-{recording}-{take}-{target}.wav"
                sound(folder / "ESC-50" / "audio" / name, 0.5, 44_100)
                rows.append((name, fold, target, category, target == 0, recording, take))
    table(folder / "ESC-50" / "meta" / "esc50.csv", rows)
    (folder / "ESC-50" / "README.md").write_text("# ESC-50\n")
    return replace(esc50.TASK, card=replace(esc50.CARD, sizes=(4,) * 5, n_classes=3))


def make_urbansound8k(folder: Path) -> Task:
    """Two classes, ten folds, eight kinds of upload."""
    rows: list[Sequence[object]] = [("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")]
    top = folder / "UrbanSound8K"
    for fold in range(1, 11):
        for number, (identity, name) in enumerate(((1, "car_horn"), (3, "dog_bark"))):
            recording = 7_000 + 10 * fold + number
            for piece in range(1 + (fold == 1)):
                file = f"{recording}-{identity}-0-{piece}.wav"
                rate_hz, subtype, channels = UPLOADS[(2 * fold + number + piece) % len(UPLOADS)]
                sound(top / "audio" / f"fold{fold}" / file, 0.1 + 0.03 * fold, rate_hz, subtype, channels)
                rows.append((file, recording, piece, piece + 1, 1, fold, identity, name))
    table(top / "metadata" / "UrbanSound8K.csv", rows)
    (top / "UrbanSound8K_README.txt").write_text("UrbanSound8K\n")
    (top / "audio" / ".DS_Store").write_bytes(b"\0")
    return replace(urbansound8k.TASK, card=replace(urbansound8k.CARD, sizes=(4, *[2] * 9), n_classes=2))


def make_fsd50k(folder: Path) -> Task:
    """Three classes, several labels to a clip, one folder for each archive."""
    labels = ["Bark,Dog", "Dog", "Rain", "Bark,Dog,Rain"]
    dev: list[Sequence[object]] = [("fname", "labels", "mids", "split")]
    evaluation: list[Sequence[object]] = [("fname", "labels", "mids")]
    facts: dict[str, dict[str, dict[str, str]]] = {"dev": {}, "eval": {}}
    for number in range(12):
        part, name = ("dev" if number < 8 else "eval"), str(10_000 + number)
        sound(folder / f"FSD50K.{part}_audio" / f"{name}.wav", 0.3 + 0.2 * (number % 5), 44_100)
        facts[part][name] = {"title": f"{name}.wav", "license": f"http://creativecommons.org/licenses/{number % 2}/"}
        line = (name, labels[number % 4], "/m/0bt9lr,/m/05tny_")
        if part == "dev":
            dev.append((*line, "val" if number >= 6 else "train"))
        else:
            evaluation.append(line)
    truth = folder / "FSD50K.ground_truth"
    table(truth / "dev.csv", dev)
    table(truth / "eval.csv", evaluation)
    (truth / "vocabulary.csv").write_text("0,Bark,/m/05tny_\n1,Dog,/m/0bt9lr\n2,Rain,/m/06mb1\n")
    for part, clips in facts.items():
        path = folder / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(clips))
    (folder / "FSD50K.doc").mkdir()
    (folder / "FSD50K.doc" / "README.md").write_text("# FSD50K\n")
    return replace(fsd50k.TASK, card=replace(fsd50k.CARD, sizes=(6, 2, 4), n_classes=3))


def make_speech_commands(folder: Path) -> Task:
    """Two words, eight speakers, some clips shorter than a second, and noise that is no word."""
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word in ("bed", "tree"):
        for number in range(8):
            for take in range(1 + (number == 0)):
                path = f"{word}/{number:08x}_nohash_{take}.wav"
                sound(folder / path, 1.0 if number % 3 else 0.4)
                if number >= 5:
                    lists["testing_list.txt" if number >= 6 else "validation_list.txt"].append(path)
    sound(folder / "_background_noise_" / "white_noise.wav", 3.0)
    (folder / "_background_noise_" / "README.md").write_text("noise\n")
    for name, paths in lists.items():
        (folder / name).write_text("".join(f"{path}\n" for path in paths))
    (folder / "LICENSE").write_text("Creative Commons\n")
    return replace(speech_commands.TASK, card=replace(speech_commands.CARD, sizes=(12, 2, 4), n_classes=2))


MINIATURES = {
    "esc50": make_esc50,
    "urbansound8k": make_urbansound8k,
    "fsd50k": make_fsd50k,
    "speech_commands": make_speech_commands,
}
TOP_FOLDERS = {"esc50": "ESC-50", "urbansound8k": "UrbanSound8K"}
