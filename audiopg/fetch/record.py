"""The stage that fetches a task's recordings, and records their source and digest."""

from pathlib import Path

from audiopg import config, storage
from audiopg.fetch import receipt
from audiopg.fetch.archives import listing_digest
from audiopg.fetch.store import fetch
from audiopg.provenance import run_cards
from audiopg.tasks import own, registry
from audiopg.tasks.task import Download


def run(cfg: config.Config, task: str, out: Path) -> None:
    """Write licence, citation, sources and a digest of the audio, as JSON; ``fetch-run.json`` goes next to it.

    Args:
        cfg: all parameters.
        task: name of the task.
        out: file to write.

    Raises:
        AudiopgError: unknown task, or as `audiopg.fetch.store.fetch`.
    """
    found = registry.find(task, cfg.task(task))
    root, card = fetch(found), found.card
    files = receipt.read(root) if isinstance(found.source, Download) else []
    archives = found.source.archives if isinstance(found.source, Download) else ()
    record = {
        "task": card.name,
        "title": card.title,
        "licence": card.licence,
        "citation": card.citation,
        "url": card.url,
        "archives": [archive.url for archive in archives],
        "audio_digest": listing_digest((file.path, file.sha256) for file in files) if files else "",
    }
    storage.write_json(out, record)
    card_path = out.with_name("fetch-run.json")
    run_cards.write_card(card_path, "fetch", {}, [], [out], task=card.name, recordings=own.digest(cfg.task(task)))
