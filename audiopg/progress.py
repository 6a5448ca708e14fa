"""Progress: a bar on a terminal, a line now and then in a log."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
LINE_EVERY_S = 10.0


def tells() -> bool:
    """Whether this process prints progress: under torchrun, only the first process does."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"


def say(line: str) -> None:
    """Write one line to standard error, where all progress goes."""
    if not tells():
        return
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def progress(
    items: Iterable[T],
    label: str,
    *,
    total: int,
    done: int = 0,
    per_item: int = 1,
    amount: Callable[[T], int] = lambda _: 1,
    unit: str = "clips",
) -> Iterator[T]:
    """Iterate and show the progress.

    Args:
        items: the items to iterate over.
        label: name of the work in the progress lines.
        total: work from the beginning to the end; 0 if unknown.
        done: work done before this iteration began, for work that resumes.
        per_item: units that one piece of work counts for in the rate.
        amount: how much of the work an item is.
        unit: what the rate counts: ``clips``, or ``B`` for bytes.
    """
    if not tells():
        yield from items
        return
    began = last = time.monotonic()
    count = 0
    if sys.stderr.isatty():
        columns = (TextColumn(label), BarColumn(), TextColumn("{task.fields[state]}"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total or None, completed=done, state="")
            for item in items:
                yield item
                count += amount(item)
                state = _state(done + count, total, count * per_item / _since(began), unit)
                bar.update(task, completed=done + count, state=state)
        return
    for item in items:
        yield item
        count += amount(item)
        now = time.monotonic()
        if now - last >= LINE_EVERY_S or done + count == total:
            last = now
            state = _state(done + count, total, count * per_item / _since(began), unit)
            remaining_s = (total - done - count) * _since(began) / max(count, 1)
            say(f"{label}: {state}" + (f", {remaining_s:.0f} s remaining" if total else ""))


def _since(began: float) -> float:
    return max(time.monotonic() - began, 1e-9)


def _state(done: int, total: int, rate: float, unit: str) -> str:
    """Format the progress and the rate."""
    if unit == "B":
        return f"{done / 1e6:.1f}" + (f"/{total / 1e6:.1f}" if total else "") + f" MB, {rate / 1e6:.1f} MB/s"
    return f"{done}" + (f"/{total}" if total else "") + f", {rate:.0f} {unit}/s"
