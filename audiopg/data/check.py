"""Finds all recordings that cannot be used, where the stages stop at the first."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from audiopg import config
from audiopg.audio import decode
from audiopg.errors import AudiopgError
from audiopg.fetch.store import fetch
from audiopg.progress import progress
from audiopg.tasks import own, registry


def unusable(root: Path, paths: Sequence[str], sample_rate_hz: int, label: str) -> dict[str, str]:
    """Decode recordings to their ends.

    Args:
        root: folder of the recordings.
        paths: recordings, relative to it.
        sample_rate_hz: rate at which they will be heard, in Hz; a very short one may hold no sample at that rate.
        label: what to call them in the progress lines.

    Returns:
        What is wrong with each that cannot be used, by its path; the others are not in it.
    """

    def flaw(path: str) -> str:
        try:
            with decode.streamed(root / path, sample_rate_hz):  # on the disk, as hours of sound in memory are too much
                pass
        except AudiopgError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        flaws = list(progress(pool.map(flaw, paths), f"{label}: checking", total=len(paths)))
    return {path: wrong for path, wrong in zip(paths, flaws, strict=True) if wrong}


def of_task(cfg: config.Config, task: str) -> dict[str, str]:
    """Check the recordings of a task that its parameters do not leave out.

    Returns:
        As `unusable`.

    Raises:
        AudiopgError: unknown task, its list is wrong, or its recordings cannot be fetched.
    """
    section = cfg.task(task)
    found = registry.find(task, section)
    root = fetch(found)
    paths = own.paths(section) if section.own else found.make_manifest(root).paths
    return unusable(root, paths, cfg.features.sample_rate_hz, task)


def allow_list(task: str, paths: Iterable[str]) -> str:
    """Write the lines of params.yaml that leave recordings out of a task of your own."""
    return yaml.safe_dump({"tasks": {task: {"leave_out": sorted(paths)}}}, allow_unicode=True, default_flow_style=False)
