"""The score: what each clip of the corpus is made of, in physical units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg import config, rng
from audiopg.synth.distributions import check, largest, quantile
from audiopg.synth.oscillators import PRIMITIVES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Which sound an index stands for. Whatever changes the waveform of an index makes a new version.
CORPUS = "audiopg-1"


@dataclass(frozen=True)
class Score:
    """What the clips of a batch are made of, one row per clip; a renderer plays exactly this.

    Times in s from the start of the clip, frequencies in Hz. NaN stands where a parameter has no meaning: another
    source plays, the event or partial does not exist, there is no transient.
    """

    index: Integers  # (B,), number of the clip in the corpus
    sources: tuple[str, ...]  # names of the sources in the params
    source: Integers  # (B,), position in `sources`
    f0_hz: Floats  # (B,)
    parameters: Mapping[str, Mapping[str, Floats]]  # by source and parameter, (B,) or (B, P)
    n_events: Integers  # (B,)
    event_onset_s: Floats  # (B, E)
    event_duration_s: Floats  # (B, E)
    event_source_start_s: Floats  # (B, E), where in the waveform of the source the event begins
    event_level_db: Floats  # (B, E)
    event_attack_s: Floats  # (B, E)
    event_decay_s: Floats  # (B, E)
    event_sustain_level: Floats  # (B, E)
    event_release_s: Floats  # (B, E)
    transient_onset_s: Floats  # (B,)
    transient_duration_s: Floats  # (B,)
    transient_gain: Floats  # (B,)
    transient_key: NDArray[np.int32]  # (B,), for `rng.hashed_uniform`
    cutoff_hz: Floats  # (B,), inf without a low-pass
    noise_floor_amplitude: Floats  # (B,)
    noise_floor_key: NDArray[np.int32]  # (B,)

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.index)

    def rows(self, which: slice | Integers) -> "Score":
        """Return the score of some of the clips."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {name: c[which] for name, c in columns.items() if isinstance(c, np.ndarray)}
        parameters = {
            source: {name: column[which] for name, column in parameters.items()}
            for source, parameters in self.parameters.items()
        }
        return replace(self, **taken, parameters=parameters)


def clip_name(seed: int, index: int) -> str:
    """Name of a clip for ever, as ``audiopg-1/42/000123``."""
    return f"{CORPUS}/{seed}/{index:06d}"


def draw(synth: config.Synth, seed: int, indices: Sequence[int]) -> Score:
    """Draw the score of some clips.

    Each component draws from a stream of its own at the address (seed, stream, index), at fixed positions; so no
    clip depends on the others, and no component on what another one draws.

    Args:
        synth: the ``synth`` section.
        seed: names the corpus, with `CORPUS` and the section.
        indices: numbers of the clips, >= 0, in any order.

    Raises:
        AudiopgError: as `check`.
    """
    check(synth)
    f0_hz = quantile(synth.f0_hz, rng.uniforms(seed, "synth/fundamental", indices, 1)[:, 0])
    source = _draw_source(synth, seed, indices)
    cutoff_hz = rng.uniforms(seed, "synth/damping", indices, 2)
    noise_floor = rng.uniforms(seed, "synth/noise_floor", indices, 1)[:, 0]
    return Score(
        index=np.asarray(indices, dtype=np.int64),
        sources=tuple(synth.sources),
        source=source,
        f0_hz=f0_hz,
        parameters={
            name: _draw_parameters(name, synth, seed, indices, np.where(source == position, f0_hz, np.nan))
            for position, name in enumerate(synth.sources)
        },
        **_draw_events(synth, seed, indices),
        **_draw_transient(synth, seed, indices),
        transient_key=rng.noise_keys(seed, "synth/transient/samples", indices),
        cutoff_hz=np.where(
            cutoff_hz[:, 0] < synth.damping.probability, quantile(synth.damping.cutoff_hz, cutoff_hz[:, 1]), np.inf
        ),
        noise_floor_amplitude=quantile(synth.noise_floor_amplitude, noise_floor),
        noise_floor_key=rng.noise_keys(seed, "synth/noise_floor/samples", indices),
    )


def _draw_source(synth: config.Synth, seed: int, indices: Sequence[int]) -> Integers:
    """Choose a source per clip by weight, shape (B,).

    Every source waits for an exponential time, at a rate that is its weight, and the first one plays. So a source
    that comes or goes changes only the clips that it plays itself.
    """
    waits = []
    for name, source in synth.sources.items():
        time = -np.log1p(-rng.uniforms(seed, f"synth/source/{name}", indices, 1)[:, 0])
        waits.append(time / source.weight if source.weight else np.full_like(time, np.inf))
    return np.asarray(np.argmin(waits, axis=0), dtype=np.int64)


def _draw_parameters(
    name: str, synth: config.Synth, seed: int, indices: Sequence[int], f0_hz: Floats
) -> dict[str, Floats]:
    """Draw the parameters of one source, where it plays (f0_hz is not NaN)."""
    primitive, distributions = PRIMITIVES[name], synth.sources[name].parameters
    plays = np.flatnonzero(~np.isnan(f0_hz))
    single = [parameter for parameter, spec in primitive.parameters.items() if not spec.one_per]
    several = [parameter for parameter, spec in primitive.parameters.items() if spec.one_per]
    n_columns = {p: int(largest(distributions[primitive.parameters[p].one_per])) for p in several}
    n_rounds = max(n_columns.values(), default=0)
    uniform = rng.uniforms(
        seed, f"synth/{name}", [indices[row] for row in plays.tolist()], len(single) + n_rounds * len(several)
    )
    drawn = {p: quantile(distributions[p], uniform[:, position]) for position, p in enumerate(single)}
    # The values of one partial stand side by side, so that more partials draw behind those that were there before.
    rounds = uniform[:, len(single) :].reshape(len(plays), n_rounds, len(several))
    for position, p in enumerate(several):
        exists = np.arange(n_columns[p]) < drawn[primitive.parameters[p].one_per][:, None]
        drawn[p] = np.where(exists, quantile(distributions[p], rounds[:, : n_columns[p], position]), np.nan)
    settled = primitive.settle(f0_hz[plays], drawn, synth.sample_rate_hz)
    return {p: _spread(settled[p], plays, len(f0_hz)) for p in primitive.parameters}


def _spread(values: Floats, rows: Integers, n_rows: int) -> Floats:
    """Put values into some rows of a table that is NaN elsewhere."""
    table = np.full((n_rows, *values.shape[1:]), np.nan)
    table[rows] = values
    return table


def _draw_events(synth: config.Synth, seed: int, indices: Sequence[int]) -> dict[str, Any]:
    """Draw the events: all times on the sample grid, so that the score says exactly what is played."""
    n_max, per_event = int(synth.events.count.max), 7
    uniform = rng.uniforms(seed, "synth/events", indices, 1 + n_max * per_event)
    count = quantile(synth.events.count, uniform[:, :1])
    duration, onset, start, level, attack, decay, sustain = np.moveaxis(
        uniform[:, 1:].reshape(-1, n_max, per_event), 2, 0
    )
    shortest = synth.events.duration_s_min
    n_duration = np.rint((shortest + (synth.clip_s / count - shortest) * duration) * synth.sample_rate_hz)
    n_free = synth.n_samples - n_duration + 1
    duration_s = n_duration / synth.sample_rate_hz
    attack_s = quantile(synth.events.attack_fraction, attack) * duration_s
    decay_s = quantile(synth.events.decay_fraction, decay) * duration_s
    events = {
        "event_onset_s": np.floor(onset * n_free) / synth.sample_rate_hz,
        "event_duration_s": duration_s,
        "event_source_start_s": np.floor(start * n_free) / synth.sample_rate_hz,
        "event_level_db": quantile(synth.events.level_db, level),
        "event_attack_s": attack_s,
        "event_decay_s": decay_s,
        "event_sustain_level": quantile(synth.events.sustain_level, sustain),
        "event_release_s": duration_s - attack_s - decay_s,
    }
    exists = np.arange(n_max) < count
    return {
        "n_events": count[:, 0].astype(np.int64),
        **{name: np.where(exists, column, np.nan) for name, column in events.items()},
    }


def _draw_transient(synth: config.Synth, seed: int, indices: Sequence[int]) -> dict[str, Any]:
    """Draw whether, when, for how long and how loud there is a burst of noise."""
    plays, duration, onset, gain = rng.uniforms(seed, "synth/transient", indices, 4).T
    n_duration = np.rint(quantile(synth.transient.duration_s, duration) * synth.sample_rate_hz)
    transient = {
        "transient_onset_s": np.floor(onset * (synth.n_samples - n_duration + 1)) / synth.sample_rate_hz,
        "transient_duration_s": n_duration / synth.sample_rate_hz,
        "transient_gain": quantile(synth.transient.gain, gain),
    }
    return {name: np.where(plays < synth.transient.probability, column, np.nan) for name, column in transient.items()}
