"""Checks a score that was edited or put together by hand before it is played, with errors of one line."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float64
from audiopg.config.synth import (
    LARGEST_AMPLITUDE,
    LARGEST_LEVEL_DB,
    LARGEST_ROOM_M,
    LOWEST_CUTOFF_HZ,
    SHORTEST_RT60_S,
    SMALLEST_ROOM_M,
)
from audiopg.synth.columns import columns
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Grid
from audiopg.synth.tables import PLACES


class Bounds(NamedTuple):
    """Which values are allowed."""

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    text: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        if self.text:
            return self.text
        kind = "a whole number" if self.whole else "a number"
        limits = (f"at least {self.low:g}", f"at most {self.high:g}")
        return " ".join([kind, " and ".join(limit for limit in limits if "inf" not in limit)]).strip()


def _frequency(grid: Grid, low_hz: float = 0.0) -> Bounds:
    """Return the frequencies that the sample rate can carry, from the lowest of a low-pass or from above 0."""
    nyquist_hz = grid.sample_rate_hz / 2
    low = f"at least {low_hz:g} Hz" if low_hz else "above 0"
    text = f"{low} and below the Nyquist frequency, {nyquist_hz:g} Hz"
    return Bounds(low_hz or math.nextafter(0.0, 1.0), math.nextafter(nyquist_hz, 0.0), text=text)


FROM_0 = Bounds(0.0)
AMPLITUDE = Bounds(0.0, LARGEST_AMPLITUDE)
LEVEL = Bounds(-LARGEST_LEVEL_DB, LARGEST_LEVEL_DB)
COLOUR = Bounds(0.0, 2.0, whole=True)
ROOM = {
    "room_size_m": Bounds(SMALLEST_ROOM_M, LARGEST_ROOM_M),
    "room_rt60_s": Bounds(SHORTEST_RT60_S),
    "room_treble_damping": Bounds(0.0, 0.5),
    **dict.fromkeys(PLACES, Bounds(math.nextafter(0.0, 1.0), math.nextafter(1.0, 0.0), text="above 0 and below 1")),
}


def check(score: Score, grid: Grid) -> None:
    """Check that all that a renderer needs is there and can be played.

    Raises:
        ValueError: a number is missing or not allowed, or an event or transient is not inside the clip. The message
            names the clip, the voice, the value and what is allowed.
    """
    table = columns(score)
    _check_clips(score, table, grid)
    for number, voice in enumerate(score.voices):
        sounds = number < score.n_voices
        place = f"voice {number}, "
        _check(score, f"{place}f0_hz", voice.f0_hz, sounds, _frequency(grid))
        _check(score, f"{place}level_db", voice.level_db, sounds, LEVEL)
        _check_parameters(score, place, voice, sounds)
        _check_events(score, place, voice, sounds, grid)


def _check_clips(score: Score, table: dict[str, NDArray[Any]], grid: Grid) -> None:
    """Check the counts, and what is not a voice's."""
    everywhere = np.ones(len(score), dtype=np.bool_)
    n_events = score.voices[0].event_onset_s.shape[1]
    _check(score, "n_voices", score.n_voices, everywhere, Bounds(0, len(score.voices)))
    for number, voice in enumerate(score.voices):
        sounds = number < score.n_voices
        _check(score, f"voice {number}, source", voice.source, sounds, Bounds(0, len(score.sources) - 1, whole=True))
        _check(score, f"voice {number}, n_events", voice.n_events, everywhere, Bounds(0, n_events))
    happens = ~np.isnan(score.transient_onset_s)
    _check(score, "transient_gain", score.transient_gain, happens, AMPLITUDE)
    _check(score, "transient_colour", score.transient_colour, happens, COLOUR)
    _check_inside(score, "transient_onset_s", score.transient_onset_s, score.transient_duration_s, happens, grid)
    stands = ~np.isnan(score.room_size_m)
    for name, bounds in ROOM.items():
        _check(score, name, table[name], stands, bounds)
    _check(score, "microphone_low_hz", score.microphone_low_hz, score.microphone_low_hz != 0, _frequency(grid))
    for name in ("cutoff_hz", "microphone_high_hz"):
        _check(score, name, table[name], table[name] != np.inf, _frequency(grid, LOWEST_CUTOFF_HZ))
    _check(score, "noise_floor_amplitude", score.noise_floor_amplitude, everywhere, AMPLITUDE)
    _check(score, "noise_floor_colour", score.noise_floor_colour, everywhere, COLOUR)


def _check_parameters(score: Score, place: str, voice: Voice, sounds: NDArray[np.bool_]) -> None:
    """Check the parameters of the source that plays, by what its primitive allows."""
    for position, source in enumerate(score.sources):
        plays = sounds & (voice.source == position)
        if not plays.any():
            continue
        for name, spec in PRIMITIVES[score.primitives[position]].parameters.items():
            values = voice.parameters[source][name]
            needed = plays if values.ndim == 1 else np.repeat(plays[:, None], values.shape[1], axis=1)
            if isinstance(spec.one_per, str):
                needed &= np.arange(values.shape[1]) < voice.parameters[source][spec.one_per][:, None]
            _check(score, f"{place}{name} of {source}", values, needed, Bounds(spec.low, spec.high, spec.whole))


def _check_events(score: Score, place: str, voice: Voice, sounds: NDArray[np.bool_], grid: Grid) -> None:
    """Check the events of a voice: inside the clip, and read from inside their source."""
    exists = (np.arange(voice.event_onset_s.shape[1]) < voice.n_events[:, None]) & sounds[:, None]
    for name in ("event_attack_s", "event_decay_s", "event_release_s"):
        _check(score, place + name, getattr(voice, name), exists, FROM_0)
    _check(score, f"{place}event_level_db", voice.event_level_db, exists, LEVEL)
    _check(score, f"{place}event_sustain_level", voice.event_sustain_level, exists, Bounds(0.0, 1.0))
    for name in ("event_onset_s", "event_source_start_s"):
        _check_inside(score, place + name, getattr(voice, name), voice.event_duration_s, exists, grid)


def _check(score: Score, what: str, values: NDArray[Any], needed: NDArray[np.bool_], allowed: Bounds) -> None:
    """Refuse the first needed value that is missing or outside of its bounds."""
    good = (values >= allowed.low) & (values <= allowed.high) & (values < np.inf)
    if allowed.whole:
        good &= values == np.floor(values)
    wrong = np.argwhere(needed & ~good)
    if len(wrong):
        at = tuple(wrong[0])
        value = "missing" if np.isnan(values[at]) else f"{values[at]:.6g} is not allowed"
        msg = f"clip {score.index[at[0]]}: {what}: {value}; allowed: {allowed}"
        raise ValueError(msg)


def _check_inside(  # noqa: PLR0913
    score: Score, what: str, start_s: Float64, duration_s: Float64, exists: NDArray[np.bool_], grid: Grid
) -> None:
    """Refuse the first segment that begins before 0 or ends after the clip."""
    first, length = (np.rint(times * grid.sample_rate_hz) for times in (start_s, duration_s))
    wrong = np.argwhere(exists & ~((first >= 0) & (length >= 0) & (first + length <= grid.n_samples)))
    if len(wrong):
        at = tuple(wrong[0])
        what += "".join(f", event {number}" for number in at[1:])
        msg = (
            f"clip {score.index[at[0]]}: {what}: {start_s[at]:.6g} s, for {duration_s[at]:.6g} s, is not inside the "
            f"clip of {grid.duration_s:g} s; choose an earlier start or a shorter duration"
        )
        raise ValueError(msg)
