"""From a score to what a renderer does, in samples: the one place for it, whatever renders the score."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.synth import filters, room
from audiopg.synth.room import Room
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import KNOT, Excitation, Grid, Keys, Lines, Tone

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LINES, TONE, EXCITATION = 0, 1, 2
AT_ONCE = 1e-6  # samples that a stage of an envelope takes at least, as renderers divide by it


class Events(NamedTuple):
    """Segments of sources, in the order of the clips; N of them."""

    clip: Integers  # (N,)
    kind: Integers  # (N,), LINES, TONE or EXCITATION
    row: Integers  # (N,), of the source in its table
    onset: Integers  # (N,), samples; as all times here
    length: Integers  # (N,)
    start: Integers  # (N,), in the waveform of the source
    amplitude: Floats  # (N,)
    attack: Floats  # (N,)
    decay: Floats  # (N,)
    sustain: Floats  # (N,)
    release: Floats  # (N,)


class LineTable(NamedTuple):
    """Lines of all sources that have some, one behind the other: row r has those from first[r] to first[r + 1]."""

    first: Integers  # (R + 1,)
    frequency: Floats  # (P,), cycles per sample
    amplitude: Floats  # (P,)
    phase: Floats  # (P,), cycles
    decay: Floats  # (P,), 1 / sample


class ToneTable(NamedTuple):
    """Moving tones at the knots."""

    phase: Floats  # (R, K), cycles
    frequency: Floats  # (R, K), cycles per sample
    amplitude: NDArray[np.float32]  # (R, K, P)
    n_partials: Integers  # (R,), beyond it all amplitudes are 0


class ExcitationTable(NamedTuple):
    """Excited resonators."""

    length: Integers  # (R,), samples that are needed
    key: NDArray[np.int32]  # (R,)
    noise_amplitude: Floats  # (R,)
    first: Integers  # (R + 1,), impulses of row r as in `LineTable`
    impulse: Integers  # (G,)
    impulse_amplitude: Floats  # (G,)
    direct: Floats  # (R,)
    pole: NDArray[np.complex128]  # (R, J)
    residue: NDArray[np.complex128]  # (R, J)
    level: NDArray[np.float32]  # (R, K)


class Finish(NamedTuple):
    """What is done to whole clips, in this order: transient, room, filters, noise floor; then the peak is set to 1."""

    transient_onset: Integers  # (B,)
    transient_length: Integers  # (B,), 0 without a transient
    transient_gain: Floats  # (B,)
    transient_colour: Integers  # (B,)
    transient_key: NDArray[np.int32]  # (B,)
    has_room: NDArray[np.bool_]  # (B,)
    has_filter: NDArray[np.bool_]  # (B, 2): damping, band of the microphone
    direct: Floats  # (B, 2)
    pole: NDArray[np.complex128]  # (B, 2, 2)
    residue: NDArray[np.complex128]  # (B, 2, 2)
    floor_amplitude: Floats  # (B,)
    floor_colour: Integers  # (B,)
    floor_key: NDArray[np.int32]  # (B,)


class Colours(NamedTuple):
    """Filters of coloured noise, pink and brown."""

    direct: Floats  # (2,)
    pole: NDArray[np.complex128]  # (2, J)
    residue: NDArray[np.complex128]  # (2, J)


class Playlist(NamedTuple):
    """Everything that a renderer needs; numbers of clips and events, no names."""

    n_clips: int
    n_samples: int
    events: Events
    lines: LineTable
    tones: ToneTable
    excitations: ExcitationTable
    room: Room
    finish: Finish
    colours: Colours


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


def _samples(time_s: Floats, grid: Grid) -> Integers:
    """Round times to samples; NaN is 0."""
    n: Integers = np.rint(np.nan_to_num(time_s) * grid.sample_rate_hz).astype(np.int64)
    return n


def _inside(what: str, score: Score, clip: Integers, first: Integers, length: Integers, grid: Grid) -> None:
    outside = np.flatnonzero((first < 0) | (length < 0) | (first + length > grid.n_samples))
    if len(outside):
        at = outside[0]
        last = first[at] + length[at]
        msg = f"clip {score.index[clip[at]]}: {what} at samples {first[at]} to {last} of {grid.n_samples}"
        raise ValueError(msg)


def _events(  # noqa: PLR0913
    score: Score, voice: Voice, sounds: NDArray[np.bool_], kind: Integers, row: Integers, grid: Grid
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


def _line_table(parts: list[Lines], grid: Grid) -> LineTable:
    sounds = [part.amplitude != 0 for part in parts]
    n_lines = np.concatenate([np.zeros(1, dtype=np.int64), *(mask.sum(axis=1) for mask in sounds)])

    def flat(name: str) -> Floats:
        columns = [getattr(part, name)[mask] for part, mask in zip(parts, sounds, strict=True)]
        return np.concatenate([np.zeros(0), *columns])

    return LineTable(
        np.cumsum(n_lines),
        flat("frequency_hz") / grid.sample_rate_hz,
        flat("amplitude"),
        flat("phase"),
        flat("decay_per_s") / grid.sample_rate_hz,
    )


def _tone_table(parts: list[Tone], grid: Grid) -> ToneTable:
    n_knots = len(grid.knot_s)
    n_partials = max((part.amplitude.shape[2] for part in parts), default=0)
    amplitude = np.zeros((sum(len(part.f0_hz) for part in parts), n_knots, n_partials), dtype=np.float32)
    row = 0
    for part in parts:
        amplitude[row : row + len(part.f0_hz), :, : part.amplitude.shape[2]] = part.amplitude
        row += len(part.f0_hz)
    frequency = np.concatenate([np.zeros((0, n_knots)), *(part.f0_hz for part in parts)]) / grid.sample_rate_hz
    # the frequency is a straight line between knots, so that the phase is a sum of trapezia
    steps = (frequency[:, 1:] + frequency[:, :-1]) / 2 * KNOT
    phase = np.concatenate([np.zeros((len(frequency), 1)), np.cumsum(steps, axis=1)], axis=1)
    numbers = np.arange(1, n_partials + 1)
    highest = (numbers * (amplitude != 0).any(axis=1)).max(axis=1, initial=0)
    return ToneTable(phase, frequency, amplitude, highest)


def _excitation_table(parts: list[tuple[Excitation, Keys]], events: Events) -> ExcitationTable:
    n_rows = sum(len(key) for _, key in parts)
    length = np.zeros(n_rows, dtype=np.int64)
    played = events.kind == EXCITATION
    np.maximum.at(length, events.row[played], (events.start + events.length)[played])
    n_poles = max((part.filter.pole.shape[1] for part, _ in parts), default=1)
    pole, residue = np.zeros((2, n_rows, n_poles), dtype=np.complex128)
    row = 0
    for part, key in parts:
        rows, columns = slice(row, row + len(key)), slice(part.filter.pole.shape[1])
        pole[rows, columns] = part.filter.pole
        residue[rows, columns] = part.filter.residue
        row += len(key)
    sounds = [part.impulse_amplitude != 0 for part, _ in parts]
    none = np.zeros(0)
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(mask.sum(axis=1) for mask in sounds)])
    pairs = [(part, mask) for (part, _), mask in zip(parts, sounds, strict=True)]
    level = [part.level for part, _ in parts]
    return ExcitationTable(
        length,
        np.concatenate([none.astype(np.int32), *(key for _, key in parts)]),
        np.concatenate([none, *(part.noise_amplitude for part, _ in parts)]),
        np.cumsum(counts),
        np.concatenate([none.astype(np.int64), *(part.impulse[mask] for part, mask in pairs)]),
        np.concatenate([none, *(part.impulse_amplitude[mask] for part, mask in pairs)]),
        np.concatenate([none, *(part.filter.direct for part, _ in parts)]),
        pole,
        residue,
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
    # an edge that is missing changes nothing, wherever it lies; only not where the other one does
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


def _colours(sample_rate_hz: int) -> Colours:
    pink, brown = (filters.coloured(colour, sample_rate_hz) for colour in (filters.PINK, filters.BROWN))
    pole, residue = np.zeros((2, 2, pink.pole.shape[1]), dtype=np.complex128)
    for number, filter_ in enumerate((pink, brown)):
        pole[number, : filter_.pole.shape[1]] = filter_.pole[0]
        residue[number, : filter_.residue.shape[1]] = filter_.residue[0]
    return Colours(np.concatenate([pink.direct, brown.direct]), pole, residue)
