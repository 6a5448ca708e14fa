"""A score as tables to read: one row per clip, per voice and per event, with units in the names."""

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from audiopg.arrays import Float64
from audiopg.synth.score import Score, Voice, clip_name

# the columns of `Score.room_places`: parts of length, width and height
PLACES = tuple(f"room_{what}_{axis}_fraction" for what in ("source", "microphone") for axis in "xyz")


def tables(score: Score, seed: int) -> dict[str, pd.DataFrame]:
    """Return the physics of some clips.

    Returns:
        ``clips``, ``voices`` and ``events``; they share the columns ``clip`` and, the last two, ``voice``. An empty
        cell means that a parameter has no meaning there. Where a voice has several values of a parameter, as one per
        partial, the cell is a JSON list. ``voices`` has the parameters of all sources of the corpus. A voice's ``key``
        is that of its noise and of its grains' times and levels (`excited.grain_times`). Places in a room are
        fractions of its length, width and height.
    """
    clips = pd.DataFrame(
        {
            "clip": score.index,
            "name": [clip_name(seed, index) for index in score.index.tolist()],
            "n_voices": score.n_voices,
            **{name: column for name, column in _columns(score).items() if name not in {"index", "n_voices"}},
        }
    )
    clips = clips.assign(**dict(zip(PLACES, score.room_places.T, strict=True)))
    voices = [_voice_table(score, number, voice) for number, voice in enumerate(score.voices)]
    events = [_event_table(score, number, voice) for number, voice in enumerate(score.voices)]
    return {
        "clips": clips.replace([np.inf, -np.inf], np.nan).replace({"microphone_low_hz": {0.0: np.nan}}),
        "voices": pd.concat(voices)
        .reindex(columns=_voice_columns(score))
        .sort_values(["clip", "voice"], ignore_index=True),
        "events": pd.concat(events).sort_values(["clip", "voice", "event"], ignore_index=True),
    }


def _columns(table: Score | Voice) -> dict[str, NDArray[np.generic]]:
    """Return the physics with one value per clip, without the keys of the hash."""
    return {
        name: column
        for name, column in vars(table).items()
        if isinstance(column, np.ndarray) and column.ndim == 1 and not name.endswith("key")
    }


def _voice_table(score: Score, number: int, voice: Voice) -> pd.DataFrame:
    """List the clips that have this voice; parameters of equal name share a column."""
    rows = []
    for row in np.flatnonzero(voice.source >= 0).tolist():
        source = score.sources[voice.source[row]]
        parameters = {name: _cell(column[row]) for name, column in voice.parameters[source].items()}
        rows.append(
            {
                "clip": score.index[row],
                "voice": number,
                "source": source,
                "primitive": score.primitives[voice.source[row]],
                "f0_hz": voice.f0_hz[row],
                "level_db": voice.level_db[row],
                "n_events": voice.n_events[row],
                "key": voice.key[row],
                **parameters,
            }
        )
    return pd.DataFrame(rows)


def _voice_columns(score: Score) -> list[str]:
    """Return the columns of the voices, with the parameters of all sources: parts of a corpus have the same."""
    fixed = ("clip", "voice", "source", "primitive", "f0_hz", "level_db", "n_events", "key")
    parameters = [name for source in score.sources for name in score.voices[0].parameters[source]]
    return list(dict.fromkeys([*fixed, *parameters]))


def _cell(value: Float64) -> float | str:
    """Write one number as it is, several as JSON."""
    if value.ndim == 0:
        return float(value)
    return json.dumps(value[~np.isnan(value)].tolist())


def _event_table(score: Score, number: int, voice: Voice) -> pd.DataFrame:
    """List the events of this voice."""
    clip, event = np.nonzero(np.arange(voice.event_onset_s.shape[1]) < voice.n_events[:, None])
    names = [name for name in vars(voice) if name.startswith("event_")]
    columns = {name.removeprefix("event_"): vars(voice)[name][clip, event] for name in names}
    return pd.DataFrame({"clip": score.index[clip], "voice": number, "event": event, **columns})
