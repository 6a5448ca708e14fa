"""A folder of results with known numbers, each with the run card that its stage would have written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiopg import storage
from audiopg.config import Config
from audiopg.provenance import run_cards, stages
from audiopg.report import table
from audiopg.tasks.card import Card
from audiopg.tasks.registry import TASKS

DRUMS = TASKS["drums"].card
SOURCE = Path("results/tasks")
LOSS = Path("results/pretrain/loss.csv")
ENCODER = Path("results/pretrain/encoder.safetensors")


def run_card(
    path: Path, stage: str, cfg: Config, inputs: Sequence[Path], outputs: Sequence[Path], **facts: Any
) -> Path:
    run_cards.write_card(path, stage, stages.reads(cfg, stage, facts.get("task", "")), inputs, outputs, **facts)
    return path


def source_files(card: Card, cfg: Config) -> list[Path]:
    """What comes before the folds: the source, manifest and card of a task, and the encoder."""
    folder = SOURCE / card.name
    source, manifest, described = folder / "source.json", folder / "manifest.csv", folder / "card.json"
    storage.write_json(source, {"task": card.name})
    storage.write_text(manifest, "path\na.wav\n")
    card.write(described)
    storage.write_text(ENCODER, "weights")
    storage.write_text(LOSS, "step,loss\n0,1.0\n1,0.5\n")
    return [
        run_card(folder / "fetch-run.json", "fetch", cfg, [], [source], task=card.name),
        run_card(folder / "prepare-run.json", "prepare", cfg, [source], [manifest, described], task=card.name),
        run_card(ENCODER.with_name("run.json"), "pretrain", cfg, [], [ENCODER, LOSS]),
    ]


def fold_files(
    cfg: Config, card: Card = DRUMS, metrics: Sequence[str] = ("accuracy",), *, searched: bool = False
) -> list[Path]:
    """All files of all folds; figures are 0.5 + fold / 100 pre-trained, 0.2 + fold / 100 from scratch."""
    paths = []
    for init, base in (("pretrained", 0.5), ("scratch", 0.2)):
        search = "lr,n_epochs,figure\n" + (f"0.1,5,{base}\n0.2,5,{base / 2}\n0.1,20,{base / 4}\n" if searched else "")
        for fold in range(1, card.n_folds + 1):
            path = Path("results/finetune") / card.name / init / f"fold{fold}" / "metrics.json"
            figures = {metric: base + fold / 100 + place / 10 for place, metric in enumerate(metrics)}
            storage.write_json(path, {"task": card.name, "init": init, "fold": fold, "epoch": 3, "metrics": figures})
            storage.write_text(path.with_name("predictions.csv"), "path,actual,predicted\na.wav,x|y,y|x\nb.wav,x,x\n")
            storage.write_text(path.with_name("classes.csv"), f"class,n_clips,score\nx,{fold},0.5\ny,2,{base}\n")
            storage.write_text(path.with_name("loss.csv"), f"epoch,step,loss\n1,0,{fold}\n1,1,3\n2,2,1\n2,3,{base}\n")
            storage.write_text(path.with_name("search.csv"), search)
            names = ("metrics.json", "predictions.csv", "classes.csv", "loss.csv", "search.csv")
            made = [path.with_name(name) for name in names]
            read = [SOURCE / card.name / "manifest.csv", *([ENCODER] if init == "pretrained" else [])]
            run = path.with_name("run.json")
            sizes = {"n_train": 100 - fold, "n_test": fold}
            run_card(run, "finetune", cfg, read, made, task=card.name, init=init, fold=fold, **sizes)
            paths.append(path)
    return paths


def probe_file(cfg: Config, card: Card = DRUMS, metrics: Sequence[str] = ("accuracy",)) -> Path:
    path = Path("results/probe") / card.name / "scores.json"
    storage.write_json(
        path, {row: dict.fromkeys(metrics, ([0.1, 0.3] * card.n_folds)[: card.n_folds]) for row in table.CHOICES}
    )
    run_card(path.with_name("run.json"), "probe", cfg, [ENCODER], [path], task=card.name)
    return path


ROWS = ("pretrained", "random", "logmel_stats")


def latent_file(cfg: Config) -> Path:
    path = Path("results/latent/metrics.json")
    angles = {"angle_deg": 80.0, "low_deg": 71.2, "high_deg": 88.0, "null_deg": 45.5, "p_holm": 0.01}
    read = {name: {"score": score, "low": 0.1, "high": 0.95} for name, score in zip(ROWS, (0.9, 0.5, 0.7), strict=True)}
    found = {
        "decodability": {"events": {"f0_octaves": read, "event_level_db": read, "snr_db": read}},
        "orthogonality": {"events": {"f0_octaves event_level_db": {"pretrained": angles, "random": angles}}},
    }
    storage.write_json(path, found)
    run_card(path.with_name("run.json"), "latent", cfg, [ENCODER], [path])
    return path
