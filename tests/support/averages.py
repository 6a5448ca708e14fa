"""The stage `aggregate` on known folds."""

from pathlib import Path

from audiopg.config import Config
from audiopg.report import aggregate
from audiopg.tasks.card import Card
from support.outcomes import DRUMS, probe_file, source_files

METRICS = Path("results/metrics")
CLIP = {"clip_s": 0.96}


def average(cfg: Config, folds: list[Path], card: Card = DRUMS, metrics: tuple[str, ...] = ("accuracy",)) -> list[Path]:
    """Average, and return the run cards that the table rests on."""
    runs = source_files(card, cfg)
    probe, folder = probe_file(cfg, card, metrics), Path("results/summary") / card.name
    card_path = Path("results/tasks") / card.name / "card.json"
    aggregate.run(cfg, card_path, folds, probe, METRICS / f"{card.name}.json", folder)
    return [*runs, *(path.with_name("run.json") for path in [*folds, probe]), folder / "run.json"]
