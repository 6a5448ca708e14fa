"""What an export is made from, without pre-training and evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from audiopg import storage
from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import Encoder, untrained
from audiopg.provenance import run_cards, stages
from audiopg.report import table

ROWS = [
    (task, row, metric, 0.5 + number / 100, 0.01, n, "last epoch", None)
    for task, metric, n in (("drums", "accuracy", 4), ("fsd50k", "mAP", 1))
    for number, row in enumerate(table.TITLES)
]


@dataclass(frozen=True)
class Project:
    """Results as the stages leave them, and the encoder that was trained."""

    results: Path
    encoder: Path
    trained: Encoder


def finished(cfg: Config, results: Path) -> Project:
    """Write results of a pre-training and of a table."""
    encoder, trained = results / "pretrain" / "encoder.safetensors", untrained(cfg.encoder, 7)
    save_encoder(encoder, trained, cfg.features)
    told: dict[str, Any] = {"first_clip": "audiopg-2/42/000000", "last_clip": "audiopg-2/42/000063", "clips_seen": 64}
    card = encoder.with_name("run.json")
    run_cards.write_card(card, "pretrain", stages.reads(cfg, "pretrain"), [], [encoder], **told)
    frame = pd.DataFrame(ROWS, columns=table.COLUMNS)
    storage.write_text(results / "table.csv", frame.to_csv(index=False))
    storage.write_text(results / "table.md", "# Results\n\n| task | pre-trained |\n|---|---|\n| drums | 0.500 |\n")
    written = [results / "table.csv", results / "table.md"]
    run_cards.write_card(results / "run.json", "table", stages.reads(cfg, "table"), [card], written)
    return Project(results, encoder, trained)
