"""A score as plain records for other programs: a clip with its voices, a voice with its events, units in the names."""

import math
from typing import Any

from audiopg.arrays import Float64
from audiopg.synth.score import Score, Voice
from audiopg.synth.tables import tables


def records(score: Score, seed: int) -> list[dict[str, Any]]:
    """Return the physics of some clips, a record each, which is JSON.

    Returns:
        The columns of the table ``clips``, and ``voices``: source, primitive, fundamental, level, key, ``parameters``
        by name, and ``events``. None means that a quantity has no meaning there: no room, no transient. A parameter
        with one value per partial is a list.
    """
    clips = tables(score, seed)["clips"].to_dict("records")
    return [
        {str(name): value if isinstance(value, str) else _plain(value) for name, value in clip.items()}
        | {"voices": [_voice(score, row, voice) for voice in score.voices if voice.source[row] >= 0]}
        for row, clip in enumerate(clips)
    ]


def _voice(score: Score, row: int, voice: Voice) -> dict[str, Any]:
    """Return what one voice plays in one clip."""
    position = int(voice.source[row])
    parameters = voice.parameters[score.sources[position]]
    events = {name.removeprefix("event_"): vars(voice)[name][row] for name in vars(voice) if name.startswith("event_")}
    return {
        "source": score.sources[position],
        "primitive": score.primitives[position],
        **{name: _plain(getattr(voice, name)[row]) for name in ("f0_hz", "level_db", "key")},
        "parameters": {
            name: [each for each in column[row].tolist() if not math.isnan(each)]
            if column.ndim > 1
            else _plain(column[row])
            for name, column in parameters.items()
        },
        "events": [
            {name: _plain(values[event]) for name, values in events.items()} for event in range(voice.n_events[row])
        ],
    }


def _plain(value: Float64 | float) -> float | int | None:
    """Return a number as JSON has it; None where it is not finite, which means that it has no meaning."""
    number: float | int = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else None
