"""From a score to a playlist: the one place where physics turns into samples, for all renderers."""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Bool, Float64, Int64
from audiopg.synth import filters, room
from audiopg.synth.playlist import (
    EXCITATION,
    LINES,
    TONE,
    Colours,
    Events,
    ExcitationTable,
    Finish,
    LineTable,
    Playlist,
    ToneTable,
)
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import KNOT, Excitation, Grid, Keys, Lines, Tone

Number = TypeVar("Number", np.float32, np.complex128)

AT_ONCE = 1e-6  # least number of samples of an envelope's stage, because renderers divide by it


def arrange(score: Score, grid: Grid) -> Playlist:
    """Turn a score, drawn or edited, into a playlist.

    Raises:
        ValueError: an event or transient is not inside the clip, or reads beyond the source's end.
    """
    lines: list[Lines] = []
    tones: list[Tone] = []
    excitations: list[tuple[Excitation, Keys]] = []
    counts = {LINES: 0, TONE: 0, EXCITATION: 0}
    events = []
    for number, voice in enumerate(score.voices):
        kind, row = np.zeros((2, len(score)), dtype=np.int64)
        for position, name in enumerate(score.sources):
            clips = np.flatnonzero(voice.source == position)
            if not len(clips):
                continue
            parameters = {key: column[clips] for key, column in voice.parameters[name].items()}
            primitive = PRIMITIVES[score.primitives[position]]
            match primitive.play(voice.f0_hz[clips], voice.key[clips], grid, **parameters):
                case Lines() as played:
                    which = LINES
                    lines.append(played)
                case Tone() as played:
                    which = TONE
                    tones.append(played)
                case played:
                    which = EXCITATION
                    excitations.append((played, voice.key[clips]))
            kind[clips] = which
            row[clips] = counts[which] + np.arange(len(clips))
            counts[which] += len(clips)
        sounds = (number < score.n_voices) & (voice.source >= 0)
        events.append(_events(score, voice, sounds, kind, row, grid))
    joined = Events._make(np.concatenate(columns) for columns in zip(*events, strict=True))
    order = np.argsort(joined.clip, kind="stable")
    return Playlist(
        len(score),
        grid.n_samples,
        Events._make(column[order] for column in joined),
        _line_table(lines, grid),
        _tone_table(tones, grid),
        _excitation_table(excitations, joined),
        room.lay_out(score, grid.sample_rate_hz),
        _finish(score, grid),
        _colours(grid.sample_rate_hz),
    )


def _samples(time_s: Float64, grid: Grid) -> Int64:
    """Round times to samples; NaN is 0."""
    n: Int64 = np.rint(np.nan_to_num(time_s) * grid.sample_rate_hz).astype(np.int64)
    return n


def _inside(what: str, score: Score, clip: Int64, first: Int64, length: Int64, grid: Grid) -> None:
    outside = np.flatnonzero((first < 0) | (length < 0) | (first + length > grid.n_samples))
    if len(outside):
        at = outside[0]
        last = first[at] + length[at]
        msg = f"clip {score.index[clip[at]]}: {what} at samples {first[at]} to {last} of {grid.n_samples}"
        raise ValueError(msg)


def _events(  # noqa: PLR0913
    score: Score, voice: Voice, sounds: Bool, kind: Int64, row: Int64, grid: Grid
) -> Events:
    """List the events of one voice, in the clips where it sounds."""
    exists = (np.arange(voice.event_onset_s.shape[1]) < voice.n_events[:, None]) & sounds[:, None]
    clip = np.nonzero(exists)[0]
    onset, length, start = (
        _samples(column[exists], grid)
        for column in (voice.event_onset_s, voice.event_duration_s, voice.event_source_start_s)
    )
    _inside("event", score, clip, onset, length, grid)
    _inside("source segment", score, clip, start, length, grid)
    stages = (voice.event_attack_s, voice.event_decay_s, voice.event_release_s)
    attack, decay, release = (np.maximum(column[exists] * grid.sample_rate_hz, AT_ONCE) for column in stages)
    level_db = voice.event_level_db[exists] + voice.level_db[clip]
    sustain = voice.event_sustain_level[exists]
    return Events(
        clip, kind[clip], row[clip], onset, length, start, 10 ** (level_db / 20), attack, decay, sustain, release
    )


def _first(masks: Sequence[Bool]) -> Int64:
    """Where each row begins in a table of the values under the masks, one row after the other; and where it ends."""
    return np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *(mask.sum(axis=1) for mask in masks)]))


def _joined(parts: Sequence[NDArray[Number]], shape: tuple[int, ...], dtype: type[Number]) -> NDArray[Number]:
    """Put tables one after the other into one of this shape, whose last axis is filled up with zeros."""
    out = np.zeros(shape, dtype=dtype)
    row = 0
    for part in parts:
        out[row : row + len(part), ..., : part.shape[-1]] = part
        row += len(part)
    return out


def _line_table(parts: list[Lines], grid: Grid) -> LineTable:
    sounds = [part.amplitude != 0 for part in parts]

    def flat(name: str) -> Float64:
        columns = [getattr(part, name)[mask] for part, mask in zip(parts, sounds, strict=True)]
        return np.concatenate([np.zeros(0), *columns])

    return LineTable(
        _first(sounds),
        flat("frequency_hz") / grid.sample_rate_hz,
        flat("amplitude"),
        flat("phase"),
        flat("decay_per_s") / grid.sample_rate_hz,
    )


def _tone_table(parts: list[Tone], grid: Grid) -> ToneTable:
    n_knots = len(grid.knot_s)
    n_partials = max((part.amplitude.shape[2] for part in parts), default=0)
    frequency = np.concatenate([np.zeros((0, n_knots)), *(part.f0_hz for part in parts)]) / grid.sample_rate_hz
    # the frequency is a straight line between knots, so that the phase is a sum of trapezia
    steps = (frequency[:, 1:] + frequency[:, :-1]) / 2 * KNOT
    phase = np.concatenate([np.zeros((len(frequency), 1)), np.cumsum(steps, axis=1)], axis=1)
    amplitude = _joined([part.amplitude for part in parts], (len(frequency), n_knots, n_partials), np.float32)
    numbers = np.arange(1, n_partials + 1)
    highest = (numbers * (amplitude != 0).any(axis=1)).max(axis=1, initial=0)
    return ToneTable(phase, frequency, amplitude, highest)


def _excitation_table(parts: list[tuple[Excitation, Keys]], events: Events) -> ExcitationTable:
    n_rows = sum(len(key) for _, key in parts)
    length = np.zeros(n_rows, dtype=np.int64)
    played = events.kind == EXCITATION
    np.maximum.at(length, events.row[played], (events.start + events.length)[played])
    n_poles = max((part.filter.pole.shape[1] for part, _ in parts), default=1)
    sounds = [part.impulse_amplitude != 0 for part, _ in parts]
    none = np.zeros(0)
    pairs = [(part, mask) for (part, _), mask in zip(parts, sounds, strict=True)]
    level = [part.level for part, _ in parts]
    return ExcitationTable(
        length,
        np.concatenate([none.astype(np.int32), *(key for _, key in parts)]),
        np.concatenate([none, *(part.noise_amplitude for part, _ in parts)]),
        _first(sounds),
        np.concatenate([none.astype(np.int64), *(part.impulse[mask] for part, mask in pairs)]),
        np.concatenate([none, *(part.impulse_amplitude[mask] for part, mask in pairs)]),
        np.concatenate([none, *(part.filter.direct for part, _ in parts)]),
        _joined([part.filter.pole for part, _ in parts], (n_rows, n_poles), np.complex128),
        _joined([part.filter.residue for part, _ in parts], (n_rows, n_poles), np.complex128),
        np.concatenate(level).astype(np.float32) if level else np.zeros((0, 1), dtype=np.float32),
    )


def _finish(score: Score, grid: Grid) -> Finish:
    onset = _samples(score.transient_onset_s, grid)
    length = np.where(np.isnan(score.transient_onset_s), 0, _samples(score.transient_duration_s, grid))
    _inside("transient", score, np.arange(len(score)), onset, length, grid)
    rate = grid.sample_rate_hz
    narrow = np.flatnonzero(score.microphone_low_hz > 0.9 * score.microphone_high_hz)
    if len(narrow):
        low_hz, high_hz = score.microphone_low_hz[narrow[0]], score.microphone_high_hz[narrow[0]]
        msg = f"clip {score.index[narrow[0]]}: nothing passes a microphone from {low_hz:g} to {high_hz:g} Hz"
        raise ValueError(msg)
    damped = np.isfinite(score.cutoff_hz)
    has_low, has_high = score.microphone_low_hz > 0, np.isfinite(score.microphone_high_hz)
    damping = filters.low_pass(np.where(damped, score.cutoff_hz, rate / 4), rate)
    # a missing edge changes nothing, wherever it lies, but it must not lie at the other edge
    high_hz = np.where(has_high, score.microphone_high_hz, np.where(has_low, score.microphone_low_hz / 2, rate / 4))
    low_hz = np.where(has_low, score.microphone_low_hz, high_hz / 4)
    microphone = filters.cascade(
        filters.where(has_low, filters.high_pass(low_hz, rate)),
        filters.where(has_high, filters.low_pass(high_hz, rate)),
    )
    none = np.zeros_like(damping.pole)
    return Finish(
        onset,
        length,
        np.nan_to_num(score.transient_gain),
        np.nan_to_num(score.transient_colour).astype(np.int64),
        score.transient_key,
        ~np.isnan(score.room_size_m),
        np.stack([damped, has_low | has_high], axis=1),
        np.stack([damping.direct, microphone.direct], axis=1),
        np.stack([np.concatenate([damping.pole, none], axis=1), microphone.pole], axis=1),
        np.stack([np.concatenate([damping.residue, none], axis=1), microphone.residue], axis=1),
        score.noise_floor_amplitude,
        score.noise_floor_colour.astype(np.int64),
        score.noise_floor_key,
    )


@cache
def _colours(sample_rate_hz: int) -> Colours:
    both = [filters.coloured(colour, sample_rate_hz) for colour in (filters.PINK, filters.BROWN)]
    shape = (2, max(filter_.pole.shape[1] for filter_ in both))
    return Colours(
        np.concatenate([filter_.direct for filter_ in both]),
        _joined([filter_.pole for filter_ in both], shape, np.complex128),
        _joined([filter_.residue for filter_ in both], shape, np.complex128),
    )
