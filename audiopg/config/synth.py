"""The ``synth`` section: what the corpus sounds like."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from audiopg.config.base import Choice, Count, Distribution, Float, Fraction, NonNegative, Positive, Range, Section

SHORTEST_RT60_S = 0.05  # below, the walls of the largest rooms would absorb all sound
SMALLEST_ROOM_M = 2.0  # below, its echoes are closer than the renderers' steps
LARGEST_ROOM_M = 300.0  # above, the shortest reverberation fades to less than float64 can hold
LOWEST_CUTOFF_HZ = 20.0  # below, the renderers' float32 filters differ by more than 1e-4
LARGEST_LEVEL_DB = 120.0  # from 0, to both sides; float32 cannot hold the power of anything much louder
LARGEST_AMPLITUDE = 10 ** (LARGEST_LEVEL_DB / 20)
# A source's name is a part of the names of its draws, which slashes separate.
SOURCE_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*")
# They name draws of each voice: a source of such a name would repeat them as its own parameters.
TAKEN_NAMES = ("events", "fundamental", "samples")


def _check_levels(level_db: Range) -> Range:
    if max(-level_db.min, level_db.max) > LARGEST_LEVEL_DB:
        msg = f"levels must lie between {-LARGEST_LEVEL_DB:g} and {LARGEST_LEVEL_DB:g} dB"
        raise ValueError(msg)
    return level_db


def _check_amplitudes(amplitude: Range) -> Range:
    if not 0 <= amplitude.min <= amplitude.max <= LARGEST_AMPLITUDE:
        msg = f"an amplitude must lie between 0 and {LARGEST_AMPLITUDE:g}"
        raise ValueError(msg)
    return amplitude


Levels = Annotated[Range, AfterValidator(_check_levels)]
Amplitudes = Annotated[Range, AfterValidator(_check_amplitudes)]


class Source(Section):
    """One sound source of the corpus: how often it plays, and the distribution of each of its parameters."""

    weight: NonNegative
    primitive: str | None = None  # plays it; the source's own name if None
    f0_hz: Range | None = None  # the section's if None
    parameters: dict[str, Distribution]


class Identity(Section):
    """Clips that share what sounds, and differ in how it is heard."""

    n_clips: Count
    f0_shift: Annotated[Float, Field(ge=0, le=0.5)]


class Voices(Section):
    """Independent sources that sound together in a clip, and how loud each is."""

    count: Range
    level_db: Levels

    @model_validator(mode="after")
    def _playable(self) -> "Voices":
        if self.count.scale != "integer" or self.count.min < 1:
            msg = "count must be a range of whole numbers from 1 (scale: integer)"
            raise ValueError(msg)
        return self


class Events(Section):
    """Segments of the source, each with an envelope, placed in the clip."""

    count: Range
    duration_s_min: Positive
    level_db: Levels
    attack_fraction: Range
    decay_fraction: Range
    sustain_level: Range

    @model_validator(mode="after")
    def _playable(self) -> "Events":
        if self.count.scale != "integer" or self.count.min < 1:
            msg = "count must be a range of whole numbers from 1 (scale: integer)"
            raise ValueError(msg)
        attack, decay, sustain = self.attack_fraction, self.decay_fraction, self.sustain_level
        if min(attack.min, decay.min) <= 0 or attack.max + decay.max >= 1:
            msg = "attack_fraction and decay_fraction must be above 0, and their maxima together below 1"
            raise ValueError(msg)
        if sustain.min < 0 or sustain.max > 1:
            msg = "sustain_level must lie between 0 and 1"
            raise ValueError(msg)
        return self


class Colour(Choice):
    """Colour of noise: 0 white, 1 pink, 2 brown."""

    @field_validator("choices")
    @classmethod
    def _known(cls, choices: list[float]) -> list[float]:
        if not set(choices) <= {0, 1, 2}:
            msg = "colours are 0 (white), 1 (pink) and 2 (brown)"
            raise ValueError(msg)
        return choices


class Transient(Section):
    """A short burst of noise, placed in the clip."""

    probability: Fraction
    duration_s: Range
    gain: Amplitudes
    colour: Colour


class Room(Section):
    """Early reflections and late reverberation of a room, in some of the clips."""

    probability: Fraction
    size_m: Range
    rt60_s: Range
    treble_damping: Range

    @model_validator(mode="after")
    def _playable(self) -> "Room":
        if not SMALLEST_ROOM_M <= self.size_m.min <= self.size_m.max <= LARGEST_ROOM_M:
            msg = f"size_m must lie between {SMALLEST_ROOM_M:g} and {LARGEST_ROOM_M:g}"
            raise ValueError(msg)
        if self.rt60_s.min < SHORTEST_RT60_S:
            msg = f"rt60_s must be at least {SHORTEST_RT60_S:g}"
            raise ValueError(msg)
        if not 0 <= self.treble_damping.min <= self.treble_damping.max <= 0.5:  # noqa: PLR2004  (a mean of two samples)
            msg = "treble_damping must lie between 0 and 0.5"
            raise ValueError(msg)
        return self


class Damping(Section):
    """A second-order low-pass over all events."""

    probability: Fraction
    cutoff_hz: Range


class Microphone(Section):
    """Band of the recording device: a high-pass and a low-pass of second order, in some of the clips."""

    probability: Fraction
    low_hz: Range
    high_hz: Range

    @model_validator(mode="after")
    def _playable(self) -> "Microphone":
        if 2 * self.low_hz.max > self.high_hz.min:
            msg = "high_hz must lie at least an octave above low_hz"
            raise ValueError(msg)
        return self


class NoiseFloor(Section):
    """Noise of the recording, in all clips."""

    amplitude: Amplitudes
    colour: Colour


class Synth(Section):
    """What the corpus sounds like."""

    clip_s: Positive
    sample_rate_hz: Count
    f0_hz: Range
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    identity: Identity
    voices: Voices
    events: Events
    transient: Transient
    room: Room
    damping: Damping
    microphone: Microphone
    noise_floor: NoiseFloor

    @property
    def n_samples(self) -> int:
        """Samples per clip."""
        return round(self.clip_s * self.sample_rate_hz)

    def with_identities(self, n_clips: int) -> "Synth":
        """Return the same corpus with so many clips of each identity, with consecutive numbers; 1 makes no twins."""
        return self.model_copy(update={"identity": self.identity.model_copy(update={"n_clips": n_clips})})

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, Source]) -> dict[str, Source]:
        for name in sources:
            if name in TAKEN_NAMES or not SOURCE_NAME.fullmatch(name):
                taken = ", ".join(TAKEN_NAMES)
                msg = f"'{name}' cannot name a source; letters, digits, '-' and '_' can, but {taken} are taken"
                raise ValueError(msg)
        return sources

    @model_validator(mode="after")
    def _playable(self) -> "Synth":
        nyquist_hz = self.sample_rate_hz / 2
        bands = {
            "f0_hz": self.f0_hz,
            **{f"sources.{name}.f0_hz": source.f0_hz for name, source in self.sources.items() if source.f0_hz},
            "damping.cutoff_hz": self.damping.cutoff_hz,
            "microphone.low_hz": self.microphone.low_hz,
            "microphone.high_hz": self.microphone.high_hz,
        }
        for place, band in bands.items():
            if not 0 < band.min <= band.max < nyquist_hz:
                msg = f"{place} must lie between 0 and the Nyquist frequency {nyquist_hz:g} Hz"
                raise ValueError(msg)
        for place in ("damping.cutoff_hz", "microphone.high_hz"):
            if bands[place].min < LOWEST_CUTOFF_HZ:
                msg = f"{place} must be at least {LOWEST_CUTOFF_HZ:g} Hz"
                raise ValueError(msg)
        if self.events.duration_s_min * self.events.count.max > self.clip_s:
            msg = f"events.count.max × events.duration_s_min must fit into clip_s = {self.clip_s:g}"
            raise ValueError(msg)
        if not 0 < self.transient.duration_s.min <= self.transient.duration_s.max <= self.clip_s:
            msg = f"transient.duration_s must lie between 0 and clip_s = {self.clip_s:g}"
            raise ValueError(msg)
        if self.n_samples < 1:
            msg = f"clip_s = {self.clip_s:g} is shorter than one sample"
            raise ValueError(msg)
        if sum(source.weight for source in self.sources.values()) == 0:
            msg = "sources: at least one weight must be above 0"
            raise ValueError(msg)
        return self
