"""Recorded notes with known pitch and level: pairs of strokes on the sampled instruments of a soundfont."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr

from audiopg import config
from audiopg.arrays import Bool, Float32, Float64, Int64
from audiopg.audio import soundfont
from audiopg.philox import uniforms
from audiopg.synth.distributions import quantile

HARDEST = 127  # MIDI velocity of the louder note
N_PROGRAMS = len(soundfont.FAMILIES) * soundfont.PROGRAMS_PER_FAMILY
# The folds hold different instruments, and each has every family.
HELD_OUT_FOLDS = (2, 3)
# All programs play the same range: if each family had its own, an instrument would reveal half of the pitch.
PITCHES = range(48, 73)
# Where the soundfont has no recording: program 65 at 64 (all other notes sound). The note above is played instead.
GAP = (65, 64)


@dataclass(frozen=True)
class Pairs:
    """Clips of two notes of one program and pitch, one in each half of the clip, one of them struck softer."""

    program: Int64
    """General MIDI program, shape (N,)."""
    pitch: Float64
    """MIDI number, shape (N,)."""
    velocity: Int64
    """MIDI velocity of the softer note, shape (N,)."""
    loud_is_first: Bool
    """Shape (N,)."""
    clip_s: float
    sample_rate_hz: int
    synth: Any = field(default_factory=soundfont.open_synth)  # tinysoundfont has no types

    @classmethod
    def drawn(cls, latent: config.Latent, seed: int, clip_s: float, sample_rate_hz: int) -> "Pairs":
        """Take the programs in turn, draw pitches from one range for all of them, and velocities.

        Raises:
            AudiopgError: as `soundfont.open_synth`.
        """
        number = np.arange(latent.n_clips)
        pitch, level, order = uniforms(seed, "latent/notes", number.tolist(), 3).T
        program = number % N_PROGRAMS
        pitch = PITCHES.start + np.floor(pitch * len(PITCHES))
        pitch[(program == GAP[0]) & (pitch == GAP[1])] += 1
        velocity = HARDEST * 10 ** (quantile(latent.factors.event_level_db, level) / 20)
        return cls(
            program,
            pitch,
            np.maximum(1, np.rint(velocity)).astype(np.int64),
            order < 0.5,  # noqa: PLR2004  (even odds)
            clip_s,
            sample_rate_hz,
        )

    @property
    def level_db(self) -> Float64:
        """Level of the softer note relative to the louder, shape (N,): the synthesiser's gain is linear in velocity."""
        return 20 * np.log10(self.velocity / HARDEST)

    @property
    def family(self) -> Int64:
        """Number of the family, shape (N,)."""
        return self.program // soundfont.PROGRAMS_PER_FAMILY

    @property
    def instrument(self) -> Int64:
        """The first program that plays the same recordings, shape (N,)."""
        first = np.arange(N_PROGRAMS)
        for programs in soundfont.SHARED_RECORDINGS:
            first[list(programs)] = programs[0]
        return first[self.program]

    @property
    def held_out(self) -> Bool:
        """Whether a clip's instrument is in the folds that are scored, shape (N,)."""
        scored = [program for fold in HELD_OUT_FOLDS for program in soundfont.FOLDS[fold]]
        return np.isin(self.program, scored)

    def waveforms(self, first: int, last: int) -> Float32:
        """Play some of the clips, shape (B, T), float32, peak 1."""
        clips = np.stack([self._clip(number) for number in range(first, last)])
        peak: Float32 = np.abs(clips).max(axis=1, keepdims=True)
        return clips / peak

    def _clip(self, number: int) -> Float32:
        velocities = [HARDEST, int(self.velocity[number])]
        if not self.loud_is_first[number]:
            velocities.reverse()
        n_samples = round(self.clip_s * self.sample_rate_hz)
        clip = np.zeros(n_samples, dtype=np.float32)
        for place, velocity in enumerate(velocities):
            note = soundfont.Note(int(self.program[number]), int(self.pitch[number]), velocity)
            begin = place * (n_samples // 2)
            sound = self._note(note, n_samples // 2)
            clip[begin : begin + len(sound)] = sound
        return clip

    def _note(self, note: soundfont.Note, longest: int) -> Float32:
        """Play one note, at most ``longest`` samples with a fade at the end."""
        rate_hz = soundfont.SAMPLE_RATE_HZ
        # a little more than is heard, so that the resampler's end lies behind it
        played = soundfont.play(self.synth, note)[: round((longest / self.sample_rate_hz + 0.01) * rate_hz)]
        sound: Float32 = soxr.resample(played, rate_hz, self.sample_rate_hz)[:longest].copy()
        n_fade = min(round(soundfont.FADE_S * self.sample_rate_hz), len(sound))
        sound[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
        return sound
