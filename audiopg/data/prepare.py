"""The stage that writes a task's manifest."""

from pathlib import Path

from audiopg import config, storage
from audiopg.errors import AudiopgError
from audiopg.fetch import receipt
from audiopg.fetch.store import fetch
from audiopg.provenance import run_cards, stages
from audiopg.tasks import own, registry
from audiopg.tasks.manifest import Manifest
from audiopg.tasks.task import Download


def run(cfg: config.Config, task: str, source: Path, manifest_path: Path, card_path: Path) -> None:
    """List the recordings of ``task``, check them against its card, and write both, with ``prepare-run.json``.

    Args:
        cfg: all parameters.
        task: name of the task.
        source: what the fetch stage recorded.
        manifest_path: manifest to write (CSV).
        card_path: card of the task to write (JSON).

    Raises:
        AudiopgError: unknown task, no record of the source, or the recordings are not the fetched ones or do not match
            the card.
    """
    found = registry.find(task, cfg.task(task))
    storage.read_json(source)  # refuses to go on without a record of the fetch
    root = fetch(found)
    manifest = found.make_manifest(root)
    if isinstance(found.source, Download):
        _compare(manifest, root, task)
    manifest.check(found.card, root)
    manifest.write(manifest_path)
    found.card.write(card_path)
    run_cards.write_card(
        manifest_path.with_name("prepare-run.json"),
        "prepare",
        stages.reads(cfg, "prepare", task),
        [source],
        [manifest_path, card_path],
        task=task,
        recordings=own.digest(cfg.task(task)),
    )


def _compare(manifest: Manifest, root: Path, task: str) -> None:
    """Compare the recordings, and the lists that came with them, with the receipt of the fetch.

    Raises:
        AudiopgError: a file is missing or altered, or was not fetched.
    """
    files, digests = receipt.read(root), {row.path: row.sha256 for row in manifest.rows}
    foreign = sorted(digests.keys() - {file.path for file in files})
    if foreign:
        msg = (
            f"{root / foreign[0]}: is not in {receipt.NAME} ({len(foreign)} such files); delete {root} and fetch again"
        )
        raise AudiopgError(msg)
    wrong = [root / file.path for file in receipt.altered(root, files, task, digests)]
    if wrong:
        problem = "is not as it was fetched" if wrong[0].exists() else "missing"
        msg = f"{wrong[0]}: {problem} ({len(wrong)} such files); `audiopg fetch --check {task}` downloads it again"
        raise AudiopgError(msg)
