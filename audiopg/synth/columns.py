"""A score as columns: every number of it in one matrix and back, and its physics as arrays by name."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float64
from audiopg.synth.score import Score, Voice

Column = NDArray[Any]


def numbers(score: Score) -> tuple[list[str], Float64]:
    """Return every number of a score: their names, and their values, shape (B, P); NaN where one has no meaning."""
    names: list[str] = []
    columns: list[Float64] = []

    def collect(name: str, column: Column) -> Column:
        places = list(np.ndindex(column.shape[1:]))
        names.extend(f"{name}[{','.join(map(str, place))}]" if place else name for place in places)
        columns.append(column.astype(np.float64).reshape(len(score), -1))
        return column

    _mapped(score, collect)
    return names, np.concatenate(columns, axis=1)


def with_numbers(template: Score, values: Float64) -> Score:
    """Return a score like ``template`` with other numbers, in the order of `numbers`, shape (B, P)."""
    taken = 0

    def take(_: str, column: Column) -> Column:
        nonlocal taken
        size = column[0].size
        part = values[:, taken : taken + size].reshape(len(values), *column.shape[1:])
        taken += size
        return part.astype(column.dtype)

    return _mapped(template, take)


def _mapped(score: Score, change: Callable[[str, Column], Column]) -> Score:
    """Return a score whose every column went through a function, in a fixed order."""

    def columns(table: Score | Voice, prefix: str) -> dict[str, Any]:
        found = {field.name: getattr(table, field.name) for field in fields(table)}
        arrays = {name: column for name, column in found.items() if isinstance(column, np.ndarray)}
        return {name: change(prefix + name, column) for name, column in arrays.items()}

    voices = []
    for number, voice in enumerate(score.voices):
        parameters = {
            source: {name: change(f"voice_{number}.{source}.{name}", column) for name, column in known.items()}
            for source, known in voice.parameters.items()
        }
        voices.append(replace(voice, **columns(voice, f"voice_{number}."), parameters=parameters))
    return replace(score, **columns(score, ""), voices=tuple(voices))


def physics(score: Score) -> dict[str, Column]:
    """Return the physics of some clips by name, those of the voices side by side, without the keys of the hash."""

    def shown(table: Score | Voice) -> dict[str, Column]:
        return {
            name: column
            for name, column in vars(table).items()
            if isinstance(column, np.ndarray) and not name.endswith("key")
        }

    voices = [shown(voice) | _parameters(score, voice) for voice in score.voices]
    return shown(score) | {name: np.stack([voice[name] for voice in voices], axis=1) for name in voices[0]}


def _parameters(score: Score, voice: Voice) -> dict[str, Column]:
    """Return the parameters of whichever source plays a voice; sources share the column of a name."""
    found: dict[str, Column] = {}
    for number, source in enumerate(score.sources):
        rows = voice.source == number
        for name, column in voice.parameters[source].items():
            if column.ndim == 1:
                found.setdefault(name, np.full(len(score), np.nan))[rows] = column[rows]
                continue
            longest = max(other[name].shape[1] for other in voice.parameters.values() if name in other)
            table = found.setdefault(name, np.full((len(score), longest), np.nan))
            table[rows, : column.shape[1]] = column[rows]
    return found
