"""The score: what each clip of the corpus is made of, in physical units."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float64, Int64

Keys = NDArray[np.int32]

# Version of the corpus. A change to the waveform of any index makes a new version.
CORPUS = "audiopg-2"

T = TypeVar("T", bound="Voice | Score")


def clip_name(seed: int, index: int) -> str:
    """Name of a clip for ever, as ``audiopg-2/42/000123``."""
    return f"{CORPUS}/{seed}/{index:06d}"


def _rows(table: T, which: slice | Int64) -> dict[str, Any]:
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    return {name: column[which] for name, column in columns.items() if isinstance(column, np.ndarray)}


@dataclass(frozen=True)
class Voice:
    """One of the sources that sound together, one row per clip. NaN (-1, 0) where a clip has fewer voices."""

    source: Int64  # (B,), position in the score's `sources`
    f0_hz: Float64  # (B,)
    level_db: Float64  # (B,)
    key: Keys  # (B,), for `rng.hashed_uniform`
    parameters: Mapping[str, Mapping[str, Float64]]  # by source and parameter, (B,) or (B, N)
    n_events: Int64  # (B,)
    event_onset_s: Float64  # (B, E)
    event_duration_s: Float64  # (B, E)
    event_source_start_s: Float64  # (B, E), where in the waveform of the source the event begins
    event_level_db: Float64  # (B, E)
    event_attack_s: Float64  # (B, E)
    event_decay_s: Float64  # (B, E)
    event_sustain_level: Float64  # (B, E)
    event_release_s: Float64  # (B, E)

    def rows(self, which: slice | Int64) -> "Voice":
        """Return the voice in some of the clips."""
        parameters = {
            source: {name: column[which] for name, column in parameters.items()}
            for source, parameters in self.parameters.items()
        }
        return replace(self, **_rows(self, which), parameters=parameters)


@dataclass(frozen=True)
class Score:
    """What the clips of a batch are made of, one row per clip; a renderer plays exactly this.

    Times in s from the start of the clip, frequencies in Hz. NaN means that a parameter has no meaning: another
    source plays, the event or partial does not exist, there is no transient, no room.
    """

    index: Int64  # (B,), number of the clip in the corpus
    identity: Int64  # (B,), clips with the same number are the same sources, heard differently
    sources: tuple[str, ...]  # names of the sources in the params
    primitives: tuple[str, ...]  # what plays each of them
    n_voices: Int64  # (B,)
    voices: tuple[Voice, ...]
    transient_onset_s: Float64  # (B,)
    transient_duration_s: Float64  # (B,)
    transient_gain: Float64  # (B,)
    transient_colour: Float64  # (B,), 0 white, 1 pink, 2 brown
    transient_key: Keys  # (B,)
    room_size_m: Float64  # (B,), length of the room
    room_rt60_s: Float64  # (B,)
    room_treble_damping: Float64  # (B,)
    room_places: Float64  # (B, 6), source and microphone as parts of length, width and height
    cutoff_hz: Float64  # (B,), inf without a low-pass
    microphone_low_hz: Float64  # (B,), 0 without a microphone
    microphone_high_hz: Float64  # (B,), inf without a microphone
    noise_floor_amplitude: Float64  # (B,)
    noise_floor_colour: Float64  # (B,)
    noise_floor_key: Keys  # (B,)

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.index)

    def rows(self, which: slice | Int64) -> "Score":
        """Return the score of some of the clips."""
        return replace(self, **_rows(self, which), voices=tuple(voice.rows(which) for voice in self.voices))
