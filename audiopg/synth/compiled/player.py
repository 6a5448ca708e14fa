"""Plays a playlist clip by clip, on any number of threads.

A clip's samples depend on the clip alone, and not on the thread that plays it.
"""

import numpy as np

from audiopg.arrays import Float32, Int64
from audiopg.jit import compiled, spread
from audiopg.synth.compiled.filtering import run_filter
from audiopg.synth.compiled.noise import add_white_noise, white_noise
from audiopg.synth.compiled.oscillators import add_lines, add_tone, envelope
from audiopg.synth.compiled.reverberation import reverberate
from audiopg.synth.filters import WHITE
from audiopg.synth.playlist import EXCITATION, LINES, Colours, ExcitationTable, Finish, Playlist
from audiopg.synth.sources.primitive import KNOT


def render(playlist: Playlist, n_threads: int) -> Float32:
    """Play a playlist.

    Returns:
        Waveforms with a peak of 1, shape (B, T), float32; the same for every number of threads.
    """
    out = np.empty((playlist.n_clips, playlist.n_samples), dtype=np.float32)
    ends = np.searchsorted(playlist.events.clip, np.arange(playlist.n_clips + 1))
    spread(lambda first, last: _play_clips(out, first, last, ends, playlist), playlist.n_clips, n_threads)
    return out


@compiled
def _play_clips(out: Float32, first: int, last: int, ends: Int64, playlist: Playlist) -> None:
    """Play the clips from ``first`` to ``last`` into the rows of ``out``; clip b has the events up to ends[b + 1]."""
    # not rows of one array: for many lengths these would share their places in the cache
    source = np.empty(out.shape[1], dtype=np.float32)
    level = np.empty(out.shape[1], dtype=np.float32)
    spare = np.empty(out.shape[1], dtype=np.float32)
    for clip in range(first, last):
        mix = out[clip]
        mix[:] = np.float32(0)
        _add_events(mix, ends[clip], ends[clip + 1], playlist, source, level, spare)
        _add_transient(mix, source, spare, playlist.finish, playlist.colours, clip)
        if playlist.finish.has_room[clip]:
            reverberate(mix, source, playlist.room, clip)
        _finish(mix, source, spare, playlist.finish, playlist.colours, clip)
        _normalise_peak(mix)


@compiled
def _add_events(  # noqa: PLR0913
    mix: Float32, first: int, last: int, playlist: Playlist, source: Float32, level: Float32, spare: Float32
) -> None:
    """Add the events from ``first`` to ``last``."""
    events, lines, excitations = playlist.events, playlist.lines, playlist.excitations
    excited = -1  # row of the excitation that `source` holds
    for e in range(first, last):
        onset, length, start, row = events.onset[e], events.length[e], events.start[e], events.row[e]
        envelope(
            level, length, events.attack[e], events.decay[e], events.sustain[e], events.release[e], events.amplitude[e]
        )
        target = mix[onset : onset + length]
        if events.kind[e] == LINES:
            add_lines(target, level, start, lines, lines.first[row], lines.first[row + 1])
        elif events.kind[e] == EXCITATION:
            if row != excited:
                needed = excitations.length[row]
                _excite(source[:needed], spare[:needed], excitations, row)
                excited = row
            segment = source[start : start + length]
            for n in range(length):
                target[n] += level[n] * segment[n]
        else:
            add_tone(target, level, start, playlist.tones, row)


@compiled
def _excite(out: Float32, spare: Float32, table: ExcitationTable, row: int) -> None:
    """Fill with a whole excited source."""
    amplitude = np.float32(table.noise_amplitude[row])
    if amplitude > 0:
        white_noise(spare, table.key[row])
        for n in range(spare.shape[0]):
            spare[n] *= amplitude
    else:
        spare[:] = np.float32(0)
    for g in range(table.first[row], table.first[row + 1]):
        if table.impulse[g] < spare.shape[0]:
            spare[table.impulse[g]] += np.float32(table.impulse_amplitude[g])
    run_filter(spare, out, table.direct[row], table.pole[row], table.residue[row])
    for begin in range(0, out.shape[0], KNOT):
        knot = begin // KNOT
        level = table.level[row, knot]
        slope = (table.level[row, knot + 1] - level) / np.float32(KNOT)
        segment = out[begin : begin + KNOT]
        for m in range(segment.shape[0]):
            segment[m] *= level + slope * np.float32(np.int32(m))


@compiled
def _colour(noise: Float32, spare: Float32, colour: int, colours: Colours) -> Float32:
    """Return white noise in its colour, in one of the two buffers."""
    if colour == WHITE:
        return noise
    run_filter(noise, spare, colours.direct[colour - 1], colours.pole[colour - 1], colours.residue[colour - 1])
    return spare


@compiled
def _add_transient(mix: Float32, source: Float32, spare: Float32, finish: Finish, colours: Colours, clip: int) -> None:
    """Add the burst of noise."""
    onset, length = finish.transient_onset[clip], finish.transient_length[clip]
    burst = source[:length]
    white_noise(burst, finish.transient_key[clip])
    burst = _colour(burst, spare[:length], finish.transient_colour[clip], colours)
    gain = np.float32(finish.transient_gain[clip])
    target = mix[onset : onset + length]
    for n in range(length):
        target[n] += gain * burst[n]


@compiled
def _finish(mix: Float32, source: Float32, spare: Float32, finish: Finish, colours: Colours, clip: int) -> None:
    """Filter the clip and add the noise of the recording."""
    for stage in range(finish.direct.shape[1]):
        if finish.has_filter[clip, stage]:
            run_filter(mix, mix, finish.direct[clip, stage], finish.pole[clip, stage], finish.residue[clip, stage])
    amplitude = np.float32(finish.floor_amplitude[clip])
    if finish.floor_colour[clip] == WHITE:
        add_white_noise(mix, amplitude, finish.floor_key[clip])
    else:
        white_noise(source, finish.floor_key[clip])
        noise = _colour(source, spare, finish.floor_colour[clip], colours)
        for n in range(mix.shape[0]):
            mix[n] += amplitude * noise[n]


@compiled
def _normalise_peak(mix: Float32) -> None:
    """Scale to a peak of exactly 1; silence stays silent."""
    # without their sign, floats are ordered as their bits are, and whole numbers are compared several at a time
    bits = mix.view(np.int32)
    highest = np.int32(0)
    for n in range(bits.shape[0]):
        highest = max(highest, np.int32(bits[n] & np.int32(0x7FFFFFFF)))
    peak = np.int32(highest).view(np.float32)
    if peak > 0:
        for n in range(mix.shape[0]):
            mix[n] /= peak
