"""Notes of the 80 pitched General MIDI programs, rendered once from the soundfont that ships inside pretty_midi."""

import importlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiopg.errors import AudiopgError
from audiopg.storage import file_digest, write_text
from audiopg.tasks.card import Card, Task
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.packages import package_folder

# Pitches (MIDI numbers) by General MIDI family, in the order of the programs, eight to a family. They lie where the
# family is written for, and below the highest keys of the soundfont, where some programs are silent (78 at 80, 67 at
# 84) and others borrow another instrument's recording.
PITCHES = {
    "piano": (36, 48, 60, 72, 84),
    "chromatic percussion": (60, 66, 72, 78, 84),
    "organ": (36, 48, 60, 72, 84),
    "guitar": (40, 47, 54, 61, 68),
    "bass": (28, 33, 38, 43, 48),
    "strings": (43, 48, 55, 62, 67),
    "ensemble": (48, 55, 60, 67, 72),
    "brass": (46, 52, 58, 64, 70),
    "reed": (50, 55, 60, 65, 70),
    "pipe": (60, 64, 68, 72, 76),
}
FAMILIES = tuple(PITCHES)
PROGRAMS_PER_FAMILY = 8
VELOCITIES = (60, 100)

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

SOUNDFONT = "TimGM6mb.sf2"
SOUNDFONT_SHA256 = "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1"
# Most of the soundfont's recordings have this rate. tinysoundfont interpolates linearly without a filter, so that
# playing at 16 kHz would fold all above 8 kHz back; the reader resamples properly instead.
SAMPLE_RATE_HZ = 44_100
HELD_S = 1.0
CLIP_S = 1.5
# Some releases last longer than the clip: without a fade they would end in a click.
FADE_S = 0.02
SILENT_PEAK = 1e-3
RECIPE = "recipe.json"

CARD = Card(
    name="instruments",
    title="General MIDI instruments",
    licence="GPL-2.0",
    citation="Tim Brechbill, TimGM6mb soundfont (2004), played by tinysoundfont",
    url="https://github.com/craffel/pretty-midi",
    protocol="folds",
    sizes=(200, 200, 200, 200),
    n_classes=len(FAMILIES),
    metric="accuracy",
)


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


def notes() -> Iterator[Note]:
    """Yield the notes of the task in the order of their file names."""
    for program in range(len(FAMILIES) * PROGRAMS_PER_FAMILY):
        for pitch in PITCHES[FAMILIES[program // PROGRAMS_PER_FAMILY]]:
            for velocity in VELOCITIES:
                yield Note(program, pitch, velocity)


def locate(data_dir: Path) -> Path:
    """Return the folder of the rendered notes; render them when it does not exist.

    The folder appears under its name when it is complete, so that an interrupted run leaves nothing half done.

    Raises:
        AudiopgError: pretty_midi or tinysoundfont is missing, the soundfont is another one, a note is silent, or the
            folder was rendered with other settings.
    """
    root = data_dir / CARD.name
    if not root.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=f".{CARD.name}.") as temporary:
            rendered = Path(temporary) / CARD.name
            render(rendered)
            try:
                rendered.rename(root)
            except OSError:
                # Another process was faster: its folder is as good as this one.
                if not root.exists():
                    raise
    if not (root / RECIPE).is_file() or (root / RECIPE).read_text(encoding="utf-8") != recipe():
        msg = f"{CARD.name}: {root} was rendered with other settings; delete the folder to render it again"
        raise AudiopgError(msg)
    return root


def recipe() -> str:
    """Return everything that the rendered notes depend on, as JSON, to be kept beside them."""
    settings = {
        "soundfont_sha256": SOUNDFONT_SHA256,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "held_s": HELD_S,
        "clip_s": CLIP_S,
        "fade_s": FADE_S,
        "velocities": VELOCITIES,
        "pitches": PITCHES,
    }
    return json.dumps(settings, indent=2) + "\n"


def render(folder: Path) -> None:
    """Render all notes to 16-bit FLAC files in a new folder.

    The level is the soundfont's own, the same for all: the loudest note stays below full scale, and the difference
    between a soft and a hard stroke is kept.

    Raises:
        AudiopgError: see `locate`.
    """
    folder.mkdir()
    synth = open_synth()
    for note in notes():
        waveform = play(synth, note)
        peak = float(np.abs(waveform).max())
        if not SILENT_PEAK < peak < 1:
            msg = f"{CARD.name}: {note} has peak level {peak:.4f}, allowed {SILENT_PEAK} to 1; run `make setup`"
            raise AudiopgError(msg)
        try:
            soundfile.write(folder / note.file_name, waveform, SAMPLE_RATE_HZ, subtype="PCM_16")
        except soundfile.SoundFileError as error:
            msg = f"{folder / note.file_name}: cannot be written ({error}); free some space"
            raise AudiopgError(msg) from error
    write_text(folder / RECIPE, recipe())


def open_synth() -> Any:  # noqa: ANN401 - tinysoundfont has no types
    """Load the soundfont into a synthesiser.

    Raises:
        AudiopgError: pretty_midi or tinysoundfont is missing, or the soundfont is another one.
    """
    soundfont = package_folder("pretty_midi", CARD.name) / SOUNDFONT
    package_folder("tinysoundfont", CARD.name)
    if not soundfont.is_file() or file_digest(soundfont) != SOUNDFONT_SHA256:
        msg = f"{CARD.name}: {soundfont} is not the soundfont of pretty_midi 0.2.11.post0; run `make setup`"
        raise AudiopgError(msg)
    synth = importlib.import_module("tinysoundfont").Synth(samplerate=SAMPLE_RATE_HZ)
    synth.sfload(str(soundfont))
    return synth


def play(synth: Any, note: Note) -> NDArray[np.float32]:  # noqa: ANN401 - tinysoundfont has no types
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
    waveform: NDArray[np.float32] = channels.mean(axis=1, dtype=np.float32)
    n_fade = round(FADE_S * SAMPLE_RATE_HZ)
    waveform[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return waveform


def make_manifest(root: Path) -> Manifest:
    """List the rendered notes; the class is the family, the group is the set of programs with the same recordings.

    Raises:
        AudiopgError: a note is missing or is not audio.
    """
    missing = [note.file_name for note in notes() if not (root / note.file_name).is_file()]
    if missing:
        msg = (
            f"{CARD.name}: expected {CARD.n_clips} clips, found {CARD.n_clips - len(missing)} under {root} "
            f"(missing {missing[0]}); delete the folder to render it again"
        )
        raise AudiopgError(msg)
    fold_of = {program: fold for fold, programs in enumerate(FOLDS, start=1) for program in programs}
    first_of = {program: programs[0] for programs in SHARED_RECORDINGS for program in programs}
    rows = []
    for note in notes():
        row = Row.measured(
            root,
            note.file_name,
            (note.family,),
            fold=fold_of[note.program],
            group=f"program={first_of.get(note.program, note.program)}",
            source_id=f"program={note.program} pitch={note.pitch} velocity={note.velocity}",
            licence=CARD.licence,
        )
        rows.append(row)
    return Manifest(tuple(rows))


TASK = Task(CARD, locate, make_manifest)
