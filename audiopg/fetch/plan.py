"""What fetching would download, from the cards alone: uses no network, writes nothing."""

from collections.abc import Sequence

from tabulate import tabulate

from audiopg import config
from audiopg.fetch import receipt
from audiopg.fetch.store import archive_path, data_folder, free_bytes, missing_bytes
from audiopg.tasks.task import Download, Task

HEADERS = ["task", "file", "size", "state"]


def plan(tasks: Sequence[Task], features: config.Features) -> str:
    """Return a table of what would be fetched for some tasks, and of the disk space that it takes.

    Args:
        tasks: the tasks.
        features: the ``features`` section, for the size of the cached spectrograms.
    """
    rows: list[list[str]] = []
    loaded = unpacked = spectrograms = to_load = to_unpack = to_decode = 0.0
    frame_bytes = 4 * features.n_mels
    for task in tasks:
        name, source = task.card.name, task.source
        if not isinstance(source, Download):
            rows.append([name, "–", "–", "nothing to fetch"])
            continue
        here = (data_folder() / name / receipt.NAME).exists()
        for archive in source.archives:
            path = archive_path(archive)
            state = "downloaded" if path.exists() else "unpacked" if here else "to be fetched"
            rows.append([name, archive.url, _size(archive.n_bytes), state])
        loaded += sum(archive.n_bytes for archive in source.archives)
        unpacked += source.n_bytes
        decoded = source.hours * 3600 * 1000 / features.hop_ms * frame_bytes
        spectrograms += decoded
        if not here:
            to_load += missing_bytes(source.archives)
            to_unpack += source.n_bytes
            to_decode += decoded
    free = free_bytes()
    totals = [
        ["archives (may be deleted once unpacked)", _size(loaded)],
        ["recordings, unpacked", _size(unpacked)],
        ["cached spectrograms, about", _size(spectrograms)],
        ["all together", _size(loaded + unpacked + spectrograms)],
        ["of this still to be downloaded", _size(to_load)],
        ["of this still to be unpacked", _size(to_unpack)],
        [f"free under {data_folder()}", _size(free)],
    ]
    right = ("left", "left", "right", "left")
    tables = [tabulate(rows, HEADERS, "github", colalign=right), tabulate(totals, ["", "size"], "github")]
    licences = [f"{task.card.name}: {task.card.licence}; cite {task.card.citation}" for task in tasks]
    short = to_load + to_unpack + to_decode - free
    notes = [f"not enough free space: {_size(short)} more are needed; set AUDIOPG_DATA to a folder on a larger disk"]
    return "\n\n".join([*tables, *(notes if short > 0 else []), *licences])


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"  # noqa: PLR2004
