"""What the device was asked to do, by the line of the package that asked."""

import os
import sys
import threading
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

import audiopg

PACKAGE = f"{Path(audiopg.__file__).parent}{os.sep}"
ELSEWHERE = "elsewhere"


class Kind(StrEnum):
    """What may happen on the device."""

    LAUNCH = "launch"
    """An operator that computes; it counts as one kernel, of which some operators start several."""
    SYNC = "sync"
    """The CPU waits until the device has done all that was asked for before."""
    COPY = "copy"
    """A copy between CPU and device that nobody waits for."""


class Thread(StrEnum):
    """Who asked."""

    MAIN = "main"
    """The thread that began the simulation: that of the training."""
    OTHER = "other"
    """Any thread beside it."""


class Site(NamedTuple):
    """A place in the source of the package."""

    file: str
    """Below the package."""
    line: int
    function: str


class Event(NamedTuple):
    """One way in which something happens."""

    kind: Kind
    operator: str
    site: Site
    thread: Thread


class Counts:
    """How often each event happened."""

    def __init__(self) -> None:
        """Start with none; this thread is the main one."""
        self._events: Counter[Event] = Counter()
        self._lock = threading.Lock()
        self._main = threading.get_ident()

    def add(self, kind: Kind, operator: str) -> None:
        """Count what the line in use has asked for."""
        thread = Thread.MAIN if threading.get_ident() == self._main else Thread.OTHER
        event = Event(kind, operator, site(), thread)
        with self._lock:
            self._events[event] += 1

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._events.clear()

    def by(
        self, what: Literal["line", "function", "operator", "file"], kind: Kind, thread: Thread | None = None
    ) -> Counter[str]:
        """Add up the events of a kind, of one thread or of all.

        Args:
            what: what has one number: a source line as ``train/loop.py:12``, a function as ``train/loop.py
                Training.fit``, an operator of torch, or a file.
            kind: of the events.
            thread: that asked; None for any.
        """
        found: Counter[str] = Counter()
        with self._lock:
            for event, number in self._events.items():
                if event.kind is kind and thread in (None, event.thread):
                    found[_label(what, event)] += number
        return found

    def total(self, kind: Kind, thread: Thread | None = None) -> int:
        """Count the events of a kind, of one thread or of all."""
        return self.by("line", kind, thread).total()


def _label(what: str, event: Event) -> str:
    site = event.site
    return {
        "line": f"{site.file}:{site.line}",
        "function": f"{site.file} {site.function}",
        "operator": event.operator,
        "file": site.file,
    }[what]


def site() -> Site:
    """Return the innermost line of the package that is in use in this thread."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE):
            return Site(code.co_filename.removeprefix(PACKAGE).replace(os.sep, "/"), frame.f_lineno, code.co_qualname)
        frame = frame.f_back  # type: ignore[assignment]
    return Site(ELSEWHERE, 0, "")
