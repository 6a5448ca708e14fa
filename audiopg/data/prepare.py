"""The stage that brings a task's recordings to this machine and writes its manifest."""

import os
from pathlib import Path

import platformdirs

from audiopg.progress import say
from audiopg.tasks import TASKS


def data_folder() -> Path:
    """Return where recordings and caches live: ``$AUDIOPG_DATA``, else the user's cache folder."""
    chosen = os.environ.get("AUDIOPG_DATA")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("audiopg", appauthor=False))


def audio_root(task: str) -> Path:
    """Return the folder with a task's recordings; what is missing there is made or fetched first.

    Raises:
        AudiopgError: unknown task, or its recordings cannot be had.
    """
    return TASKS[task].locate(data_folder())


def run(task: str, out: Path) -> None:
    """Locate the recordings of ``task``, check them against its card and write the manifest.

    Raises:
        AudiopgError: unknown task, or the recordings are not those that the card describes.
    """
    card = TASKS[task].card
    say(f"{task}: {card.title}, {card.url}; licence: {card.licence}; cite: {card.citation}")
    root = audio_root(task)
    manifest = TASKS[task].make_manifest(root)
    manifest.check(card, root)
    manifest.write(out)
