"""Draws scores: each number of a clip from its own address, by the distributions of the params."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audiopg import config, rng
from audiopg.arrays import Bool, Float64, Int64
from audiopg.philox import uniforms
from audiopg.synth.distributions import check, largest, quantile
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Parameter

# A struck body needs no envelope: the event rises at once and is taken off at its end.
STRUCK_ATTACK_S, STRUCK_RELEASE_S = 0.001, 0.01


def draw(synth: config.Synth, seed: int, indices: Sequence[int]) -> Score:
    """Draw the score of some clips.

    Each component draws from its own stream at the address (seed, stream, index), at fixed positions; so no
    clip depends on the others, and no component on what another one draws. What sounds (the number of voices, their
    sources, parameters, fundamentals and levels; number, lengths, levels and envelopes of the events, and which part of
    the source each of them plays) is drawn at the number of the clip's identity, how it is heard at the clip's own.

    Args:
        synth: the ``synth`` section.
        seed: names the corpus, with `CORPUS` and the section.
        indices: numbers of the clips, >= 0, in any order.

    Raises:
        AudiopgError: as `check`.
    """
    check(synth)
    identities = [index // synth.identity.n_clips for index in indices]
    n_voices = quantile(synth.voices.count, uniforms(seed, "synth/voices", identities, 1)[:, 0]).astype(np.int64)
    floor = uniforms(seed, "synth/noise_floor", indices, 2)
    return Score(
        index=np.asarray(indices, dtype=np.int64),
        identity=np.asarray(identities, dtype=np.int64),
        sources=tuple(synth.sources),
        primitives=tuple(source.primitive or name for name, source in synth.sources.items()),
        n_voices=n_voices,
        voices=tuple(
            _draw_voice(synth, seed, indices, identities, number, number < n_voices)
            for number in range(int(synth.voices.count.max))
        ),
        **_draw_transient(synth, seed, indices),
        transient_key=rng.noise_keys(seed, "synth/transient/samples", indices),
        **_draw_room(synth, seed, indices),
        **_draw_band(synth, seed, indices),
        noise_floor_amplitude=quantile(synth.noise_floor.amplitude, floor[:, 0]),
        noise_floor_colour=quantile(synth.noise_floor.colour, floor[:, 1]),
        noise_floor_key=rng.noise_keys(seed, "synth/noise_floor/samples", indices),
    )


def _draw_voice(  # noqa: PLR0913
    synth: config.Synth, seed: int, indices: Sequence[int], identities: Sequence[int], number: int, sounds: Bool
) -> Voice:
    """Draw the source, its parameters and its events in the clips that have this voice."""
    stream = f"synth/voice{number}"
    fundamental, level = uniforms(seed, f"{stream}/fundamental", identities, 2).T
    if synth.identity.f0_shift:
        shift = uniforms(seed, f"{stream}/fundamental/shift", indices, 1)[:, 0]
        fundamental = _moved(fundamental, synth.identity.f0_shift * (2 * shift - 1))
    source = np.where(sounds, _draw_source(synth, seed, stream, identities), -1)
    f0_hz = np.full(len(indices), np.nan)
    struck = np.zeros(len(indices), dtype=np.bool_)
    parameters = {}
    for position, (name, section) in enumerate(synth.sources.items()):
        plays = np.flatnonzero(source == position)
        f0_hz[plays] = quantile(section.f0_hz or synth.f0_hz, fundamental[plays])
        struck[plays] = PRIMITIVES[section.primitive or name].struck
        parameters[name] = _draw_parameters(f"{stream}/{name}", section, name, seed, identities, plays)
    return Voice(
        source=source,
        f0_hz=f0_hz,
        level_db=np.where(sounds, quantile(synth.voices.level_db, level), np.nan),
        key=rng.noise_keys(seed, f"{stream}/samples", indices),
        parameters=parameters,
        **_draw_events(synth, seed, stream, indices, identities, sounds, struck),
    )


def _moved(uniform: Float64, by: Float64) -> Float64:
    """Move uniform numbers in [0, 1), back from the ends where they would leave; the result is as uniform."""
    moved = np.abs(uniform + by)
    return np.minimum(np.where(moved < 1, moved, 2 - moved), np.nextafter(1.0, 0.0))


def _draw_source(synth: config.Synth, seed: int, stream: str, indices: Sequence[int]) -> Int64:
    """Choose a source per clip by weight, shape (B,).

    Every source waits for an exponential time, at a rate that is its weight, and the first one plays. So a source
    that comes or goes changes only the clips that it plays itself.
    """
    waits = []
    for name, source in synth.sources.items():
        if source.weight:
            time = -np.log1p(-uniforms(seed, f"{stream}/source/{name}", indices, 1)[:, 0])
            waits.append(time / source.weight)
        else:
            waits.append(np.full(len(indices), np.inf))
    return np.asarray(np.argmin(waits, axis=0), dtype=np.int64)


def _draw_parameters(  # noqa: PLR0913
    stream: str, section: config.Source, name: str, seed: int, indices: Sequence[int], plays: Int64
) -> dict[str, Float64]:
    """Draw the parameters of one source, in the rows where it plays."""
    known, distributions = PRIMITIVES[section.primitive or name].parameters, section.parameters
    single = [parameter for parameter, spec in known.items() if not spec.one_per]
    several = [parameter for parameter, spec in known.items() if spec.one_per]
    n_columns = {parameter: _n_columns(known[parameter], distributions) for parameter in several}
    if not len(plays):
        return {p: np.full((len(indices), n_columns[p]) if p in n_columns else len(indices), np.nan) for p in known}
    n_rounds = max(n_columns.values(), default=0)
    uniform = uniforms(seed, stream, [indices[row] for row in plays.tolist()], len(single) + n_rounds * len(several))
    drawn = {p: quantile(distributions[p], uniform[:, position]) for position, p in enumerate(single)}
    # The values of one partial are adjacent, so that further partials draw after the existing ones.
    rounds = uniform[:, len(single) :].reshape(len(plays), n_rounds, len(several))
    for position, p in enumerate(several):
        values = quantile(distributions[p], rounds[:, : n_columns[p], position])
        one_per = known[p].one_per
        if isinstance(one_per, str):
            values = np.where(np.arange(n_columns[p]) < drawn[one_per][:, None], values, np.nan)
        drawn[p] = values
    return {p: _spread(drawn[p], plays, len(indices)) for p in known}


def _n_columns(parameter: Parameter, distributions: dict[str, config.Distribution]) -> int:
    """Largest number of values of a parameter that has several."""
    one_per = parameter.one_per
    return int(largest(distributions[one_per])) if isinstance(one_per, str) else one_per


def _spread(values: Float64, rows: Int64, n_rows: int) -> Float64:
    """Put values into some rows of a table that is NaN elsewhere."""
    table = np.full((n_rows, *values.shape[1:]), np.nan)
    table[rows] = values
    return table


def _draw_events(  # noqa: PLR0913
    synth: config.Synth,
    seed: int,
    stream: str,
    indices: Sequence[int],
    identities: Sequence[int],
    sounds: Bool,
    struck: Bool,
) -> dict[str, Any]:
    """Draw the events: all times on the sample grid, so that the score says exactly what is played.

    Their number, lengths, levels and envelopes, and where in the source they begin, belong to what sounds; when they
    begin in the clip, to how it is heard.
    """
    n_max, per_event = int(synth.events.count.max), 7

    def drawn(numbers: Sequence[int]) -> Float64:
        return uniforms(seed, f"{stream}/events", numbers, 1 + n_max * per_event)

    uniform = drawn(identities)
    own = uniform if synth.identity.n_clips == 1 else drawn(indices)
    count = quantile(synth.events.count, uniform[:, :1])
    duration, _, start, level, attack, decay, sustain = np.moveaxis(uniform[:, 1:].reshape(-1, n_max, per_event), 2, 0)
    onset = own[:, 1:].reshape(-1, n_max, per_event)[:, :, 1]
    shortest = synth.events.duration_s_min
    duration_s = shortest + (synth.clip_s / count - shortest) * duration
    n_duration = np.maximum(np.rint(duration_s * synth.sample_rate_hz), 1)
    n_free = synth.n_samples - n_duration + 1
    duration_s = n_duration / synth.sample_rate_hz
    strike = struck[:, None]
    attack_s = np.where(strike, STRUCK_ATTACK_S, quantile(synth.events.attack_fraction, attack) * duration_s)
    decay_s = np.where(strike, STRUCK_ATTACK_S, quantile(synth.events.decay_fraction, decay) * duration_s)
    events = {
        "event_onset_s": np.floor(onset * n_free) / synth.sample_rate_hz,
        "event_duration_s": duration_s,
        "event_source_start_s": np.where(strike, 0.0, np.floor(start * n_free) / synth.sample_rate_hz),
        "event_level_db": quantile(synth.events.level_db, level),
        "event_attack_s": attack_s,
        "event_decay_s": decay_s,
        "event_sustain_level": np.where(strike, 1.0, quantile(synth.events.sustain_level, sustain)),
        "event_release_s": np.where(strike, STRUCK_RELEASE_S, duration_s - attack_s - decay_s),
    }
    n_events = np.where(sounds, count[:, 0], 0).astype(np.int64)
    exists = np.arange(n_max) < n_events[:, None]
    return {"n_events": n_events, **{name: np.where(exists, column, np.nan) for name, column in events.items()}}


def _draw_transient(synth: config.Synth, seed: int, indices: Sequence[int]) -> dict[str, Float64]:
    """Draw whether, when, for how long and how loud there is a burst of noise."""
    plays, duration, onset, gain, colour = uniforms(seed, "synth/transient", indices, 5).T
    n_duration = np.rint(quantile(synth.transient.duration_s, duration) * synth.sample_rate_hz)
    transient = {
        "transient_onset_s": np.floor(onset * (synth.n_samples - n_duration + 1)) / synth.sample_rate_hz,
        "transient_duration_s": n_duration / synth.sample_rate_hz,
        "transient_gain": quantile(synth.transient.gain, gain),
        "transient_colour": quantile(synth.transient.colour, colour),
    }
    return {name: np.where(plays < synth.transient.probability, column, np.nan) for name, column in transient.items()}


def _draw_room(synth: config.Synth, seed: int, indices: Sequence[int]) -> dict[str, Float64]:
    """Draw whether the clip is heard in a room, in which one, and from where to where."""
    uniform = uniforms(seed, "synth/room", indices, 10)
    room = {
        "room_size_m": quantile(synth.room.size_m, uniform[:, 1]),
        "room_rt60_s": quantile(synth.room.rt60_s, uniform[:, 2]),
        "room_treble_damping": quantile(synth.room.treble_damping, uniform[:, 3]),
        "room_places": 0.1 + 0.8 * uniform[:, 4:],  # not in the walls
    }
    stands = uniform[:, 0] < synth.room.probability
    return {
        name: np.where(stands[:, None] if column.ndim > 1 else stands, column, np.nan) for name, column in room.items()
    }


def _draw_band(synth: config.Synth, seed: int, indices: Sequence[int]) -> dict[str, Float64]:
    """Draw the damping of all events, and the band of the microphone."""
    damped, cutoff = uniforms(seed, "synth/damping", indices, 2).T
    banded, low, high = uniforms(seed, "synth/microphone", indices, 3).T
    has_microphone = banded < synth.microphone.probability
    return {
        "cutoff_hz": np.where(damped < synth.damping.probability, quantile(synth.damping.cutoff_hz, cutoff), np.inf),
        "microphone_low_hz": np.where(has_microphone, quantile(synth.microphone.low_hz, low), 0.0),
        "microphone_high_hz": np.where(has_microphone, quantile(synth.microphone.high_hz, high), np.inf),
    }
