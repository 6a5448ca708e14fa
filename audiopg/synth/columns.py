"""A score as named columns of numbers, and back: one flat table that a program can edit, learn from or store."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float64
from audiopg.synth.score import Score, Voice
from audiopg.synth.tables import PLACES

Columns = dict[str, NDArray[Any]]


def columns(score: Score) -> Columns:
    """Return all numbers of some clips by name, with the unit at the end of the name.

    Only the source that plays has parameters, so that parameters of equal name share a column.

    Returns:
        The clips' columns, shape (B,), such as ``cutoff_hz``; those of the V voices, shape (B, V), such as ``f0_hz``,
        or (B, V, N) where a parameter has several values; those of the E events of each voice, shape (B, V, E), such as
        ``event_onset_s``. Numbers as the score has them.
    """
    table: Columns = {}
    for name, values in _arrays(score):
        table |= dict(zip(PLACES, values.T, strict=True)) if name == "room_places" else {name: values}
    for name, _ in _arrays(score.voices[0]):
        table[name] = np.stack([getattr(voice, name) for voice in score.voices], axis=1)
    for name, width in _widths(score.voices[0]).items():
        table[name] = np.full((len(score), len(score.voices), *width), np.nan)
    for number, voice in enumerate(score.voices):
        for source, name, rows in _played(score, voice):
            values = voice.parameters[source][name][rows]
            table[name][(rows, number, *_first(values.shape[1:]))] = values
    return table


def from_columns(table: Mapping[str, NDArray[Any]], like: Score) -> Score:
    """Return the score with these numbers, as `columns` gives them.

    Voices and events beyond their number are not taken over: a renderer does not play them. Keys are.

    Args:
        table: any number of clips.
        like: a score with the same sources and the same largest numbers of voices, events and values; also without
            clips.
    """
    table = _present(table)
    own: dict[str, Any] = {
        name: table[name].astype(values.dtype) for name, values in _arrays(like) if name != "room_places"
    }
    places = np.stack([table[name] for name in PLACES], axis=1)
    voices = tuple(_voice(table, like, number) for number in range(len(like.voices)))
    return replace(like, **own, room_places=places, voices=voices)


def _present(table: Mapping[str, NDArray[Any]]) -> Columns:
    """Blank voices and events beyond their number, as in a score that never had them."""
    absent = np.arange(table["source"].shape[1]) >= table["n_voices"][:, None]
    n_events = np.where(absent, 0, table["n_events"])
    no_event = np.arange(table["event_onset_s"].shape[2]) >= n_events[:, :, None]
    found = dict(table) | {"source": np.where(absent, -1, table["source"]), "n_events": n_events}
    for name, values in table.items():
        if values.ndim > 1 and values.dtype == np.float64:
            gone = no_event if name.startswith("event_") else absent
            found[name] = np.where(gone.reshape(gone.shape + (1,) * (values.ndim - gone.ndim)), np.nan, values)
    return found


def names(table: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """Return a name for each number of a clip, in the order of `flat`: ``cutoff_hz``, ``voice0/event_onset_s/1``."""
    found = []
    for name, values in table.items():
        for place in np.ndindex(*values.shape[1:]):
            voice = [f"voice{number}" for number in place[:1]]
            found.append("/".join([*voice, name, *(str(number) for number in place[1:])]))
    return tuple(found)


def flat(table: Mapping[str, NDArray[Any]]) -> Float64:
    """Put all columns side by side, shape (B, P); float64 holds each number of a score exactly."""
    return np.concatenate([values.reshape(len(values), -1).astype(np.float64) for values in table.values()], axis=1)


def from_flat(vectors: Float64, like: Mapping[str, NDArray[Any]]) -> Columns:
    """Cut numbers, shape (B, P), into columns of the names, shapes and types of ``like``.

    What does not fit the type of a column, as a part of a key, comes out as another number.
    """
    table: Columns = {}
    at = 0
    for name, values in like.items():
        shape = values.shape[1:]
        width = int(np.prod(shape))
        with np.errstate(invalid="ignore"):
            table[name] = vectors[:, at : at + width].reshape(-1, *shape).astype(values.dtype)
        at += width
    return table


def _arrays(table: Score | Voice) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in fields(table):
        values = getattr(table, field.name)
        if isinstance(values, np.ndarray):
            yield field.name, values


def _first(shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Index the first values of a wider table."""
    return tuple(slice(n) for n in shape)


def _widths(voice: Voice) -> dict[str, tuple[int, ...]]:
    """Return the shape of a voice's parameters, that of the source with the most values."""
    widths: dict[str, tuple[int, ...]] = {}
    for parameters in voice.parameters.values():
        for name, values in parameters.items():
            widths[name] = max(widths.get(name, ()), values.shape[1:])
    return widths


def _played(score: Score, voice: Voice) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """List source and parameter with the clips in which this voice plays them."""
    for position, source in enumerate(score.sources):
        rows = np.flatnonzero(voice.source == position)
        for name in voice.parameters[source]:
            yield source, name, rows


def _voice(table: Mapping[str, NDArray[Any]], like: Score, number: int) -> Voice:
    """Take one voice out of the columns; sources that do not play have no parameters."""
    voice = like.voices[number]
    own: dict[str, Any] = {name: table[name][:, number].astype(values.dtype) for name, values in _arrays(voice)}
    playing = replace(voice, **own)
    parameters: dict[str, dict[str, Float64]] = {source: {} for source in like.sources}
    for source, name, rows in _played(like, playing):
        width = voice.parameters[source][name].shape[1:]
        column = np.full((len(table[name]), *width), np.nan)
        column[rows] = table[name][(rows, number, *_first(width))]
        parameters[source][name] = column
    return replace(playing, parameters=parameters)
