"""Progress: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
LINE_EVERY_S = 10.0


def say(line: str) -> None:
    """Write one line to standard error, where all progress goes."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def progress(items: Iterable[T], label: str, *, total: int, done: int = 0, per_item: int = 1) -> Iterator[T]:
    """Iterate while showing how far it has come.

    Args:
        items: what is iterated over.
        label: what is being done.
        total: items from the very beginning to the end.
        done: items done before this iteration began, for work that resumes.
        per_item: clips an item stands for, for the rate.
    """
    if sys.stderr.isatty():
        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, completed=done, rate="")
            began = time.monotonic()
            for count, item in enumerate(items, start=1):
                yield item
                bar.update(task, advance=1, rate=_rate(count * per_item, time.monotonic() - began))
        return
    began = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY_S or done + count == total:
            last = now
            remaining_s = (total - done - count) * (now - began) / count
            rate = _rate(count * per_item, now - began)
            say(f"{label}: {done + count}/{total}, {rate}, {remaining_s:.0f} s remaining")


def _rate(n_clips: int, seconds: float) -> str:
    return f"{n_clips / max(seconds, 1e-9):.0f} clips/s"
