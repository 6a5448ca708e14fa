"""Targets that a model may learn to predict: the physics of a clip, as the score knows it, in numbers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg import config
from audiopg.arrays import Float32, Float64, Int64
from audiopg.errors import AudiopgError
from audiopg.synth.distributions import quantile
from audiopg.synth.score import Score
from audiopg.synth.sources import PRIMITIVES

N_COLOURS = 3
# Where a distribution is read: the middles of equal parts, a number that 1 to 10 divide, so that counts are exact.
UNIFORM: Float64 = (np.arange(5040) + 0.5) / 5040


@dataclass(frozen=True)
class Number:
    """A quantity, and the mean and standard deviation that its distribution gives it."""

    presence: float
    """Share of the clips that have it."""
    mean: float
    std: float


@dataclass(frozen=True)
class Label:
    """A class out of several, which every clip has."""

    n_classes: int
    entropy: float
    """Of the class, in nats: the cross-entropy of a guess that knows only the distribution."""


def read(score: Score) -> dict[str, Float64]:
    """Return the physics of some clips, by name, shape (B,) each; NaN where a clip has no such quantity.

    Frequencies, times and amplitudes are in octaves (log2), levels in dB, classes numbers from 0. Of the voices it is
    the loudest one's, the first of several: all are drawn alike, so that their order cannot be heard. Its level is
    the score's. The attack is that of the loudest event; struck bodies have none.
    """
    clips = np.arange(len(score))
    loudest = np.nanargmax(np.stack([voice.level_db for voice in score.voices]), axis=0)

    def heard(name: str) -> NDArray[Any]:
        column: NDArray[Any] = np.stack([getattr(voice, name) for voice in score.voices])[loudest, clips]
        return column

    source, n_events, level_db = heard("source"), heard("n_events"), heard("event_level_db")
    weakest_db = np.nanmin(level_db, axis=1) - np.nanmax(level_db, axis=1)
    attack_s = heard("event_attack_s")[clips, np.nanargmax(level_db, axis=1)]
    struck = np.array([PRIMITIVES[primitive].struck for primitive in score.primitives])[source]
    return {
        "f0_octaves": _octaves(heard("f0_hz")),
        "n_events": n_events.astype(np.float64),
        "event_level_db": np.where(n_events > 1, weakest_db, np.nan),
        "attack_octaves": np.where(struck, np.nan, _octaves(attack_s)),
        "n_voices": score.n_voices.astype(np.float64),
        "cutoff_octaves": _octaves(score.cutoff_hz),
        "noise_octaves": _octaves(score.noise_floor_amplitude),
        "rt60_octaves": _octaves(score.room_rt60_s),
        "microphone_low_octaves": _octaves(score.microphone_low_hz),
        "microphone_high_octaves": _octaves(score.microphone_high_hz),
        "source": source.astype(np.float64),
        "transient": np.isfinite(score.transient_onset_s).astype(np.float64),
        "noise_colour": score.noise_floor_colour,
    }


class Physics:
    """The part of the physics that varies in a corpus, standardised: numbers first, then classes."""

    def __init__(self, synth: config.Synth) -> None:
        """Take the ``synth`` section, with registered sources.

        Raises:
            AudiopgError: nothing varies.
        """
        self.numbers = {name: number for name, number in _numbers(synth).items() if number.presence and number.std}
        self.labels = {name: label for name, label in _labels(synth).items() if label.entropy}
        if not (self.numbers or self.labels):
            msg = "params.yaml: pretrain.objectives.physics: nothing varies in synth; widen a range, or set it to 0"
            raise AudiopgError(msg)

    @property
    def n_outputs(self) -> int:
        """Count what a head gives: one per number, and one per class of each label."""
        return len(self.numbers) + sum(label.n_classes for label in self.labels.values())

    def targets(self, score: Score) -> Float32:
        """Return the targets of some clips, NaN where a clip has no such target.

        Returns:
            Shape (B, numbers + labels): numbers with mean 0 and variance 1 over the corpus, then numbers of classes.
        """
        values = read(score)
        columns = [(values[name] - number.mean) / number.std for name, number in self.numbers.items()]
        columns += [values[name] for name in self.labels]
        return np.stack(columns, axis=1).astype(np.float32)


def _octaves(values: Float64) -> Float64:
    """Binary logarithm; NaN where a value is absent: not above 0, or not finite."""
    return np.log2(np.where(np.isfinite(values) & (values > 0), values, np.nan))


def _numbers(synth: config.Synth) -> dict[str, Number]:
    """Return the distribution of each number, in the order of `read`.

    Mean and variance are those of the distribution in the params, read at 5040 places. The weakest event's level is
    as if levels were uniform between their bounds; lengths of events as if they needed no whole samples.
    """
    sources = {name: source for name, source in synth.sources.items() if source.weight}
    weights = np.array([source.weight for source in sources.values()])
    weights /= weights.sum()
    struck = np.array([PRIMITIVES[source.primitive or name].struck for name, source in sources.items()])
    f0 = np.stack([_octaves(quantile(source.f0_hz or synth.f0_hz, UNIFORM)) for source in sources.values()])
    n_events = quantile(synth.events.count, UNIFORM)
    band, noise = synth.microphone, synth.noise_floor
    return {
        "f0_octaves": _number(f0, weights=np.repeat(weights, len(UNIFORM))),
        "n_events": _number(n_events),
        "event_level_db": _weakest(n_events, synth.events.level_db.max - synth.events.level_db.min),
        "attack_octaves": _attack(synth, float(weights[~struck].sum())),
        "n_voices": _number(quantile(synth.voices.count, UNIFORM)),
        "cutoff_octaves": _number(_octaves(quantile(synth.damping.cutoff_hz, UNIFORM)), synth.damping.probability),
        "noise_octaves": _number(_octaves(quantile(noise.amplitude, UNIFORM))),
        "rt60_octaves": _number(_octaves(quantile(synth.room.rt60_s, UNIFORM)), synth.room.probability),
        "microphone_low_octaves": _number(_octaves(quantile(band.low_hz, UNIFORM)), band.probability),
        "microphone_high_octaves": _number(_octaves(quantile(band.high_hz, UNIFORM)), band.probability),
    }


def _number(values: Float64, presence: float = 1.0, weights: Float64 | None = None) -> Number:
    """Return presence, mean and standard deviation of equally likely values, or of weighted ones; NaN are absent."""
    values = values.ravel()
    weights = np.ones_like(values) if weights is None else weights
    there = np.isfinite(values)
    if not there.any():
        return Number(0.0, 0.0, 0.0)
    share = float(weights[there].sum() / weights.sum())
    mean = float(np.average(values[there], weights=weights[there]))
    variance = float(np.average((values[there] - mean) ** 2, weights=weights[there]))
    # rounding error where all values are equal
    std = math.sqrt(variance) if values[there].max() > values[there].min() else 0.0
    return Number(presence * share, mean, std)


def _weakest(n_events: Float64, width_db: float) -> Number:
    """Return the distribution of the weakest of n uniform levels relative to the loudest: minus their range.

    A range of n uniform numbers is Beta(n - 1, 2): mean (n - 1)/(n + 1), mean square n (n - 1)/((n + 1)(n + 2)).
    """
    n = n_events[n_events > 1]
    if not len(n):
        return Number(0.0, 0.0, 0.0)
    mean = float(((n - 1) / (n + 1)).mean())
    square = float((n * (n - 1) / ((n + 1) * (n + 2))).mean())
    return Number(len(n) / len(n_events), -width_db * mean, width_db * math.sqrt(square - mean**2))


def _attack(synth: config.Synth, presence: float) -> Number:
    """Return the distribution of an event's attack: a fraction of a length, drawn apart, so that variances add up."""
    events = synth.events
    counts = np.arange(events.count.min, events.count.max + 1)[:, None]
    length = _number(_octaves(events.duration_s_min + (synth.clip_s / counts - events.duration_s_min) * UNIFORM))
    fraction = _number(_octaves(quantile(events.attack_fraction, UNIFORM)))
    return Number(presence, fraction.mean + length.mean, math.hypot(fraction.std, length.std))


def _labels(synth: config.Synth) -> dict[str, Label]:
    """Return the distribution of each label, in the order of `read`."""
    happens = synth.transient.probability
    colours = np.bincount(np.asarray(synth.noise_floor.colour.choices, np.int64), minlength=N_COLOURS)
    return {
        "source": _label([source.weight for source in synth.sources.values()]),
        "transient": _label([1 - happens, happens]),
        "noise_colour": _label(colours),
    }


def _label(weights: list[float] | Int64) -> Label:
    """Return a label whose classes have these weights."""
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    drawn = shares[shares > 0]
    return Label(len(shares), float(-(drawn * np.log(drawn)).sum()))
