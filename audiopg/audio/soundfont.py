"""The sampled instruments that ship inside pretty_midi, and the player that makes notes of them."""

import importlib
from typing import Any, NamedTuple

import numpy as np

from audiopg.arrays import Float32
from audiopg.audio.packages import package_folder
from audiopg.errors import AudiopgError
from audiopg.storage import file_digest

# General MIDI families in the order of the programs, eight to a family.
FAMILIES = (
    "piano",
    "chromatic percussion",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
)
PROGRAMS_PER_FAMILY = 8
# Programs that play the same recordings (read from the soundfont's tables): they are one instrument, and in one fold.
SHARED_RECORDINGS = (
    (0, 1, 2, 3),
    (15, 25),
    (17, 18),
    (20, 21, 22, 23),
    (33, 35, 39),
    (40, 41),
    (44, 48, 49),
    (53, 54),
    (62, 63),
    (75, 76),
)
# Every fold has 20 programs and each family at least once. Two per family and fold would be possible only with the
# four pianos, or the four free-reed organs, on both sides of the split.
FOLDS = (
    (0, 1, 2, 3, 8, 12, 16, 24, 27, 36, 40, 41, 53, 54, 56, 60, 64, 68, 72, 74),
    (4, 9, 15, 20, 21, 22, 23, 25, 28, 37, 42, 46, 50, 52, 57, 61, 65, 69, 75, 76),
    (5, 10, 13, 17, 18, 26, 31, 33, 35, 39, 43, 47, 51, 55, 62, 63, 66, 70, 73, 77),
    (6, 7, 11, 14, 19, 29, 30, 32, 34, 38, 44, 45, 48, 49, 58, 59, 67, 71, 78, 79),
)

NAME = "instruments"  # in messages: the task that is made of them
SOUNDFONT = "TimGM6mb.sf2"
SOUNDFONT_SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"
# Most of the soundfont's recordings have this rate. tinysoundfont interpolates linearly without a filter: at 16 kHz it
# would fold back everything above 8 kHz. So the reader resamples instead.
SAMPLE_RATE_HZ = 44_100
HELD_S = 1.0
CLIP_S = 1.5
# Some releases last longer than the clip: without a fade they would end in a click.
FADE_S = 0.02


class Note(NamedTuple):
    """One clip of the task: a program, a pitch and a velocity, as MIDI numbers."""

    program: int
    pitch: int
    velocity: int

    @property
    def family(self) -> str:
        """General MIDI family of the program."""
        return FAMILIES[self.program // PROGRAMS_PER_FAMILY]

    @property
    def file_name(self) -> str:
        """Name of the clip, such as ``000-p060-v100.flac``."""
        return f"{self.program:03d}-p{self.pitch:03d}-v{self.velocity:03d}.flac"


def open_synth() -> Any:  # noqa: ANN401 - tinysoundfont has no types
    """Load the soundfont into a synthesiser.

    Raises:
        AudiopgError: pretty_midi or tinysoundfont is missing, or the soundfont is another one.
    """
    soundfont = package_folder("pretty_midi", NAME) / SOUNDFONT
    package_folder("tinysoundfont", NAME)
    if not soundfont.is_file() or file_digest(soundfont) != SOUNDFONT_SHA256:
        msg = f"{NAME}: {soundfont} is not the soundfont of pretty_midi 0.2.11.post0; run `make setup`"
        raise AudiopgError(msg)
    synth = importlib.import_module("tinysoundfont").Synth(samplerate=SAMPLE_RATE_HZ)
    synth.sfload(str(soundfont))
    return synth


def play(synth: Any, note: Note) -> Float32:  # noqa: ANN401 - tinysoundfont has no types
    """Play one note: held, released, faded out.

    Returns:
        Waveform, the mean of both channels, shape (T,), float32.
    """
    synth.program_select(0, 0, 0, note.program)
    synth.noteon(0, note.pitch, note.velocity)
    held = bytes(synth.generate(round(HELD_S * SAMPLE_RATE_HZ)))
    synth.noteoff(0, note.pitch)
    released = bytes(synth.generate(round((CLIP_S - HELD_S) * SAMPLE_RATE_HZ)))
    synth.sounds_off()
    # The voices end within 10 ms of that, and the next note must start from silence.
    synth.generate(SAMPLE_RATE_HZ // 10)
    channels = np.frombuffer(held + released, dtype=np.float32).reshape(-1, 2)
    waveform: Float32 = channels.mean(axis=1, dtype=np.float32)
    n_fade = round(FADE_S * SAMPLE_RATE_HZ)
    waveform[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return waveform
