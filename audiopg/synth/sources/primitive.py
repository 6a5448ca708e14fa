"""Sound sources: functions from parameters to one of three things that the renderers can play."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Float32, Float64, Int64
from audiopg.synth.filters import Filter

Keys = NDArray[np.int32]

# Moving quantities are given at every 256th sample (16 ms at 16 kHz) and are straight lines in between.
KNOT = 256


class Grid(NamedTuple):
    """Time axis of a clip."""

    n_samples: int
    sample_rate_hz: int

    @property
    def knot_s(self) -> Float64:
        """Times of the knots in s, shape (K,); the last lies at or after the end of the clip."""
        return np.arange(-(-self.n_samples // KNOT) + 1, dtype=np.float64) * (KNOT / self.sample_rate_hz)

    @property
    def duration_s(self) -> float:
        """Length of the clip in s."""
        return self.n_samples / self.sample_rate_hz


class Lines(NamedTuple):
    """Sinusoids that add up, ``Σ_p a_p exp(-d_p t) sin(2π (f_p t + φ_p))``, each below the Nyquist frequency."""

    frequency_hz: Float64  # (B, P)
    amplitude: Float64  # (B, P), 0 where a row has fewer lines
    phase: Float64  # (B, P), cycles
    decay_per_s: Float64  # (B, P), >= 0


class Tone(NamedTuple):
    """Harmonics of one moving fundamental, ``Σ_k a_k(t) sin(2π k ∫ f0 dt)``, at the knots of the clip."""

    f0_hz: Float64  # (B, K)
    amplitude: Float32  # (B, K, P), partial k = 1 to P


class Excitation(NamedTuple):
    """White noise and impulses, filtered, then raised and lowered by a moving level, at the knots of the clip.

    The noise is that of the clip's key (`rng.hashed_uniform`), variance 1/3.
    """

    noise_amplitude: Float64  # (B,)
    impulse: Int64  # (B, G), sample of each impulse
    impulse_amplitude: Float64  # (B, G), 0 where a row has fewer impulses
    filter: Filter  # of shape (B,)
    level: Float64  # (B, K)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a source: its unit and the values that it may take."""

    unit: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    # Number of values, or the name of the parameter that gives this number. 0: a single value.
    one_per: str | int = 0


@dataclass(frozen=True)
class Primitive:
    """A source: what it plays, and the parameters that it takes by name, in the order of their draws.

    A new parameter goes to the end, so that the draws of the others stay.
    """

    # f(f0_hz, key, grid, **parameters): fundamental in Hz (B,), key of the hash (B,), each parameter (B,) or (B, N)
    play: Callable[..., Lines | Tone | Excitation]
    parameters: Mapping[str, Parameter]
    # Struck: an event begins with the sound itself, which dies away by its own nature, without an envelope.
    struck: bool = False


def below_nyquist(frequency_hz: Float64, amplitude: Float64, phase: Float64, decay_per_s: Float64, grid: Grid) -> Lines:
    """Leave out the lines that the sample rate cannot carry."""
    sounds = (frequency_hz < grid.sample_rate_hz / 2) & (amplitude != 0)
    columns = np.broadcast_arrays(frequency_hz, amplitude, phase, decay_per_s)
    return Lines(*(np.where(sounds, column, 0.0) for column in columns))


def decay_rate(t60_s: Float64) -> Float64:
    """Turn the time of a decay by 60 dB, in s, into the rate d of ``exp(-d t)``, in 1/s."""
    rate: Float64 = math.log(1000) / t60_s
    return rate
