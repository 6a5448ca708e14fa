"""Notes of the 80 pitched General MIDI programs, rendered once from the soundfont that ships inside pretty_midi."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from audiopg.audio.soundfont import (
    CLIP_S,
    FADE_S,
    FAMILIES,
    FOLDS,
    HELD_S,
    PROGRAMS_PER_FAMILY,
    SAMPLE_RATE_HZ,
    SHARED_RECORDINGS,
    SOUNDFONT_SHA256,
    Note,
    open_synth,
    play,
)
from audiopg.errors import AudiopgError
from audiopg.storage import write_text
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.task import Task

# Pitches (MIDI numbers) by General MIDI family, in the order of the programs, eight to a family. They lie in the usual
# range of the family, and below the highest keys of the soundfont, where some programs are silent (78 at 80, 67 at
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
VELOCITIES = (60, 100)

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
    """Return everything that the rendered notes depend on, as JSON, to be kept next to them."""
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
