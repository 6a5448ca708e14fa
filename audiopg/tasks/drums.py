"""Drum and effect one-shots that ship inside FoxDot; audiopg copies nothing and runs nothing of FoxDot."""

import ast
from collections import Counter
from pathlib import Path

from audiopg.audio.packages import package_folder
from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.folds import deal
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.task import Task

# Classes, and the descriptions in FoxDot's table that name that kind of sound. FoxDot splits most kinds over several
# letters of three to seven clips ("Soft snare", "Rock snare" …), too few for a class each.
KINDS = {
    "beatbox": ("Beatbox",),
    "clap": ("Clap",),
    "cymbal": ("Crash", "Ride cymbal"),
    "hi-hat": ("Gameboy hihat", "Hi hat closed", "Hi hat open", "Hi-hats"),
    "kick": ("Bass drum", "Gameboy kick drum", "Hard kick", "Heavy kick", "Soft kick"),
    "metal": ("Metal", "Metallic"),
    "noise": ("Gameboy noise", "Noise", "Noise bursts", "Robot noise"),
    "shaker": ("Shaker", "Wood shaker"),
    "snare": ("Dirty snare", "Heavy snare", "Jungle snare", "Rock snare", "Snare drum", "Soft snare"),
    "stabs": ("Ambient stabs", "Electronic stabs", "Loud stabs", "Trumpet stabs"),
    "tabla": ("Tabla", "Tabla long"),
    "toms": ("808 toms", "Acoustic toms"),
    "vocals": ("Vocals (Four)", "Vocals (One)", "Vocals (Three)", "Vocals (Two)"),
}

CARD = Card(
    name="drums",
    title="FoxDot drums",
    licence="CC BY-SA 4.0",
    citation="Ryan Kirkbride, FoxDot: live coding with Python (2016)",
    url="https://foxdot.org",
    protocol="folds",
    sizes=(48, 48, 48, 47),
    n_classes=len(KINDS),
    metric="accuracy",
)
# The accuracy of a fold needs at least two clips of a class in each fold, on average.
MIN_CLIPS = 8
LOOPS = "_loop_"
# Clips whose normalised cross-correlation exceeds 0.9 without being copies: one sound with small changes. They stay in
# one fold.
NEAR_COPIES = (
    ("_/at/gb_noise (1).wav", "_/at/gb_noise (4).wav"),
    ("_/colon/hh01.wav", "_/colon/hh02.wav", "_/colon/hh03.wav", "_/colon/hh04.wav"),
    ("p/lower/12-tabla_te2.wav", "p/lower/13-tabla_te_m.wav"),
    ("p/upper/16-tabla_tun2.wav", "p/upper/17-tabla_tun3.wav"),
)


def locate(data_dir: Path) -> Path:  # noqa: ARG001 - the audio stays in the installed package
    """Return FoxDot's folder of samples.

    Raises:
        AudiopgError: FoxDot is not installed.
    """
    return package_folder("FoxDot", CARD.name) / "snd"


def make_manifest(root: Path) -> Manifest:
    """List the one-shots of the classes with enough clips.

    Leaves out only: loops; folders whose description is not among `KINDS`; all but the first (by path) of
    byte-identical files; classes with fewer than `MIN_CLIPS` clips.

    Args:
        root: FoxDot's ``snd`` folder, next to its ``lib``.

    Raises:
        AudiopgError: FoxDot's table cannot be read, or a file is not audio.
    """
    kind_of = {description: kind for kind, descriptions in KINDS.items() for description in descriptions}
    descriptions = read_descriptions(root.parent / "lib" / "Buffers.py")
    kinds = {folder: kind_of[text] for folder, text in descriptions.items() if text in kind_of}
    group_of = {path: group[0] for group in NEAR_COPIES for path in group}
    rows: dict[str, Row] = {}
    for file in sorted(root.glob("*/*/*"), key=lambda file: file.relative_to(root).as_posix()):
        path = file.relative_to(root).as_posix()
        folder = path.rpartition("/")[0]
        if folder.startswith(LOOPS) or folder not in kinds:
            continue
        row = Row.measured(
            root,
            path,
            (kinds[folder],),
            group=group_of.get(path, path),
            source_id=f"FoxDot-0.9.0/snd/{path}",
            licence=CARD.licence,
        )
        rows.setdefault(row.sha256, row)
    n_clips = Counter(row.labels for row in rows.values())
    kept = [row for row in rows.values() if n_clips[row.labels] >= MIN_CLIPS]
    return Manifest(deal(kept, CARD.n_folds))


def read_descriptions(buffers: Path) -> dict[str, str]:
    """Read what each sample folder holds from the two tables in FoxDot's ``Buffers.py``, without running it.

    Letters have a folder for each case; other symbols have a folder under ``_``, named in the second table. A symbol
    without a folder there (``|``) is left out.

    Returns:
        Description of each folder, such as ``{"h/upper": "Clap", "_/asterix": "Clap"}``.

    Raises:
        AudiopgError: the file is missing or has no such tables.
    """
    tables = {}
    try:
        for node in ast.parse(buffers.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name in {"DESCRIPTIONS", "nonalpha"}:
                    tables[name] = ast.literal_eval(node.value)
        descriptions, folders = tables["DESCRIPTIONS"], tables["nonalpha"]
    except (OSError, SyntaxError, ValueError, KeyError) as error:
        msg = f"{CARD.name}: no tables of sample folders in {buffers}; install FoxDot 0.9.0 with `make setup`"
        raise AudiopgError(msg) from error
    named = {f"_/{folder}": descriptions[symbol] for symbol, folder in folders.items() if symbol in descriptions}
    cases = {symbol: "upper" if symbol.isupper() else "lower" for symbol in descriptions if symbol.isalpha()}
    return named | {f"{symbol.lower()}/{case}": descriptions[symbol] for symbol, case in cases.items()}


TASK = Task(CARD, locate, make_manifest)
