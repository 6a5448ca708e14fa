"""A score to read and to edit: it prints as tables of the clip, its voices and its events."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiopg.synth.columns import columns, from_columns
from audiopg.synth.score import Score
from audiopg.synth.tables import PLACES, tables

WIDTH = 110  # characters of a line
SHOWN_CLIPS, SHOWN_VALUES = 8, 4
VOICE = ("voice", "source", "f0_hz", "level_db", "n_events")


@dataclass(frozen=True, repr=False, eq=False)
class ClipScore(Score):
    """The score of some clips of a corpus; ``print`` shows it."""

    seed: int

    @classmethod
    def of(cls, score: Score, seed: int) -> "ClipScore":
        """Take a score and the seed of its corpus."""
        return cls(**{field.name: getattr(score, field.name) for field in fields(Score)}, seed=seed)

    def edit(
        self, *, voice: int | None = None, event: int | None = None, **changes: float | Sequence[float]
    ) -> "ClipScore":
        """Return a score with some numbers changed, in all of its clips; `Corpus.render` checks and plays it.

        Args:
            voice: which voice a voice's or event's number belongs to, from 0; None changes every voice that has it.
            event: which event of the voice, from 0; None changes all.
            changes: new numbers by the names that the score prints, events' with ``event_`` before them: ``cutoff_hz``,
                ``f0_hz``, ``event_onset_s``. A sequence gives all values of a parameter that has several.

        Raises:
            ValueError: no such name, voice or event; or a voice's source has no such parameter.
        """
        table = columns(self)
        for name, value in changes.items():
            if name not in table:
                msg = f"the score has no '{name}'{_suggestion(name, list(table))}"
                raise ValueError(msg)
            of_clip = hasattr(self, name) or name in PLACES
            where = slice(None) if of_clip else self._where(name, voice, event)
            table[name] = _changed(name, table[name], where, value)
        return ClipScore.of(from_columns(table, self), self.seed)

    def _where(self, name: str, voice: int | None, event: int | None) -> NDArray[np.bool_]:
        """Return where a voice's or event's quantity is to change, shape (B, V) or (B, V, E)."""
        where = self._having(name)
        if voice is not None:
            where &= np.arange(len(self.voices)) == voice
        if not where.any():
            which = "no voice" if voice is None else f"no voice {voice}"
            msg = f"{which} of this score has {name}; print the score to see its voices"
            raise ValueError(msg)
        if not name.startswith("event_"):
            return where
        n_events = np.stack([each.n_events for each in self.voices], axis=1)
        numbers = np.arange(self.voices[0].event_onset_s.shape[1])
        exists: NDArray[np.bool_] = (
            where[:, :, None] & (numbers < n_events[:, :, None]) & ((numbers == event) | (event is None))
        )
        if not exists.any():
            msg = f"no event {event} in this score; print the score to see its events"
            raise ValueError(msg)
        return exists

    def _having(self, name: str) -> NDArray[np.bool_]:
        """Return which voices of which clips have a quantity, shape (B, V)."""
        source = np.stack([voice.source for voice in self.voices], axis=1)
        sounds = (np.arange(len(self.voices)) < self.n_voices[:, None]) & (source >= 0)
        if hasattr(self.voices[0], name):
            return sounds
        having = [position for position, source in enumerate(self.sources) if name in self.voices[0].parameters[source]]
        return sounds & np.isin(source, having)

    def __str__(self) -> str:
        """Write the first clips as tables."""
        parts = tables(self.rows(slice(SHOWN_CLIPS)), self.seed)
        clips = [_clip(row, parts) for _, row in parts["clips"].iterrows()]
        more = [f"… and {len(self) - SHOWN_CLIPS} more clips"] if len(self) > SHOWN_CLIPS else []
        return "\n\n".join(clips + more)

    __repr__ = __str__


def _changed(
    name: str, values: NDArray[Any], where: slice | NDArray[np.bool_], value: float | Sequence[float]
) -> NDArray[Any]:
    """Return a column with some places changed."""
    new = np.asarray(value, dtype=np.float64)
    if values.dtype != np.float64 and not (new == np.rint(new)).all():
        msg = f"{name}: {value} is not allowed; allowed: a whole number"
        raise ValueError(msg)
    changed = values.copy()
    try:
        changed[where] = new
    except ValueError:
        msg = f"{name}: {new.size} numbers do not fit; allowed: one for all, or one for each of {changed[where].shape}"
        raise ValueError(msg) from None
    return changed


def _suggestion(name: str, known: list[str]) -> str:
    """Point at one close name; the list of all of them would be a page."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else "; `corpus.physics(score)` lists the names"


def _clip(clip: "pd.Series[Any]", parts: dict[str, pd.DataFrame]) -> str:
    """Write one clip: its voices with their parameters, its events, and the rest."""
    voices, events = (parts[name][parts[name]["clip"] == clip["clip"]] for name in ("voices", "events"))
    whole = clip.drop(["clip", "name", "identity"]).dropna()
    lines = [
        f"{clip['name']}, identity {clip['identity']}",
        _wrapped("clip", whole),
        "",
        "voices",
        _table(voices[[*VOICE]]),
    ]
    for _, voice in voices.iterrows():
        own = voice.drop([*VOICE, "clip", "primitive", "key"]).dropna()
        lines.append(_wrapped(f"  {voice['voice']} {voice['source']} ({voice['primitive']})", own))
    return "\n".join([*lines, "", "events", _table(events.drop(columns="clip"))])


def _table(table: pd.DataFrame) -> str:
    return textwrap.indent(table.to_string(index=False, float_format="{:.4g}".format), "  ")


def _wrapped(title: str, row: "pd.Series[Any]") -> str:
    text = f"{title}: {', '.join(f'{name} {_number(value)}' for name, value in row.items())}"
    return textwrap.fill(text, WIDTH, subsequent_indent="    ", break_long_words=False)


def _number(value: float | str) -> str:
    """Write a number, or the first of the several in a cell."""
    if not isinstance(value, str):
        return f"{value:.4g}"
    values = json.loads(value)
    shown = ", ".join(f"{each:.3g}" for each in values[:SHOWN_VALUES])
    return f"[{shown}]" if len(values) <= SHOWN_VALUES else f"[{shown}, … {len(values)} values]"
