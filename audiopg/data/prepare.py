"""The stage that writes a task's manifest."""

from pathlib import Path

from audiopg import config, tasks
from audiopg.data.fetch import compare, fetch


def run(cfg: config.Config, task: str, manifest_path: Path, card_path: Path) -> None:
    """List the recordings of ``task``, check them against its card, and write both.

    Raises:
        AudiopgError: unknown task, or the recordings are not those that were fetched or that the card describes.
    """
    found = tasks.find(task, cfg.task(task))
    root = fetch(found)
    manifest = found.make_manifest(root)
    compare(found, {row.path: row.sha256 for row in manifest.rows})
    manifest.check(found.card, root)
    manifest.write(manifest_path)
    found.card.write(card_path)
