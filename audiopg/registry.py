"""Named entries (tasks, primitives) that are looked up by the names used in ``params.yaml``."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from audiopg.errors import AudiopgError

T = TypeVar("T")


def suggestion(name: str, known: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` when a known name is close to ``name``, else the list of known names."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"


class Registry(Generic[T]):
    """Mapping from names to entries; it refuses duplicates, and lists the known names when a name is unknown."""

    def __init__(self, kind: str) -> None:
        """Start empty; ``kind`` is the noun used in error messages."""
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Register ``entry``.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._entries:
            msg = f"{self.kind} '{name}' is registered twice"
            raise ValueError(msg)
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """Look a name up.

        Raises:
            AudiopgError: no entry has that name; the message lists the known names.
        """
        if name not in self._entries:
            msg = f"unknown {self.kind} '{name}'{suggestion(name, sorted(self._entries))}"
            raise AudiopgError(msg)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in the order of registration."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._entries)
