"""Stand-in."""

import os
from pathlib import Path

import platformdirs

from audiopg.tasks.card import Task


def data_folder() -> Path:
    """Return where recordings and caches live: ``$AUDIOPG_DATA``, else the user's cache folder."""
    chosen = os.environ.get("AUDIOPG_DATA")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("audiopg", appauthor=False))


def fetch(task: Task) -> Path:
    """Root."""
    return task.source(data_folder())  # type: ignore
