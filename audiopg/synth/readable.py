"""A score that prints as tables and is edited by the names of its values."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from audiopg.registry import suggestion
from audiopg.synth.score import Score, Voice
from audiopg.synth.tables import tables


@dataclass(frozen=True)
class ReadableScore(Score):
    """The score of some clips, which prints as tables and can be edited by name."""

    def __str__(self) -> str:
        """Write a table of the clips, one of the voices and one of the events."""
        shown = []
        for name, table in tables(self, 0).items():
            columns = [column for column in table if not table[column].astype(str).str.startswith("[").any()]
            known = table[columns].drop(columns=["key", "name"], errors="ignore").dropna(axis=1, how="all")
            upright = known.to_string(index=False) if name == "events" else known.T.to_string(header=False, na_rep="")
            shown.append(f"{name}\n{upright}")
        return "\n\n".join(shown)

    def edited(self, voice: int | None = None, event: int | None = None, **values: float | Sequence[float]) -> Self:
        """Return the score with other values, in all of its clips.

        Args:
            voice: whose values are meant, from 0; None means those of the clip, such as ``room_rt60_s``.
            event: which event of the voice, from 0: ``onset_s``, ``level_db`` and so on; None means the voice's own
                values, such as ``f0_hz``, and the parameters of its source.
            values: by name. A room that a clip did not have needs all of its values, and so does a transient.

        Raises:
            ValueError: there is no such voice, event or name, or a part of a room or of a transient is missing.
        """
        if voice is None:
            changed = replace(self, **self._filled(self, values, "a clip has"))
            for group in ("room_", "transient_"):
                _check_whole(changed, group)
            return changed
        if voice not in range(int(self.n_voices.min())):
            msg = f"voice {voice}: the clips have {self.n_voices.min()}, counted from 0"
            raise ValueError(msg)
        part = self.voices[voice]
        if event is None:
            made = self._of_voice(part, values)
        elif event in range(int(part.n_events.min())):
            columns = {f"event_{name}": value for name, value in values.items()}
            made = replace(part, **self._filled(part, columns, "an event has", event))
        else:
            msg = f"event {event}: the voice has {part.n_events.min()}, counted from 0"
            raise ValueError(msg)
        return replace(self, voices=(*self.voices[:voice], made, *self.voices[voice + 1 :]))

    def _of_voice(self, voice: Voice, values: dict[str, float | Sequence[float]]) -> Voice:
        """Change values of a voice: its own, and parameters of the sources that play it."""
        plays = {self.sources[number] for number in set(voice.source.tolist())}
        parameters = {source: dict(columns) for source, columns in voice.parameters.items()}
        own = {}
        for name, value in values.items():
            having = [source for source in plays if name in parameters[source]]
            for source in having:
                column = parameters[source][name]
                parameters[source][name] = np.where(np.isnan(column), column, value)
            if not having:
                own[name] = value
        return replace(voice, **self._filled(voice, own, f"{' and '.join(sorted(plays))} has"), parameters=parameters)

    @staticmethod
    def _filled(
        table: Score | Voice, values: dict[str, float | Sequence[float]], what: str, event: int | None = None
    ) -> dict[str, Any]:
        """Return columns of a table with other values."""
        known = {
            name: column
            for name, column in vars(table).items()
            if isinstance(column, np.ndarray)
            and column.dtype == np.float64
            and name.startswith("event_") == (event is not None)
        }
        changed = {}
        for name, value in values.items():
            if name not in known:
                msg = f"{name}: {what} no such value{suggestion(name, sorted(known))}"
                raise ValueError(msg)
            changed[name] = known[name].copy()
            changed[name][(...,) if event is None else (..., event)] = value
        return changed


def _check_whole(score: Score, part: str) -> None:
    columns = {
        name: column for name, column in vars(score).items() if name.startswith(part) and column.dtype.kind == "f"
    }
    absent = {name: np.isnan(column.reshape(len(score), -1)).any(axis=1) for name, column in columns.items()}
    there = ~np.all(list(absent.values()), axis=0)
    for name, missing in absent.items():
        if (missing & there).any():
            msg = f"{name}: missing in a clip that has none; give {', '.join(columns)} together"
            raise ValueError(msg)


def readable(score: Score) -> ReadableScore:
    """Return the same score, with the methods of `ReadableScore`."""
    return ReadableScore(**{field.name: getattr(score, field.name) for field in fields(score)})
