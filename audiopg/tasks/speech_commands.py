"""Speech Commands V2: 105,829 spoken words of up to 1 s in 35 classes, split by speaker with the official lists."""

from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.metadata import compare, read_lines
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="speech_commands",
    title="Speech Commands V2 (35)",
    licence="CC BY 4.0",
    citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209, 2018",
    url="https://www.tensorflow.org/datasets/catalog/speech_commands",
    protocol="split",
    sizes=(84_843, 9_981, 11_005),
    n_classes=35,
    metric="accuracy",
    paper=0.970,
    paper_selection="best epoch on the validation list, which is reported; the test list is never scored",
)
DOWNLOAD = Download(
    archives=(
        Archive(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            2_428_923_189,
            digest="sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    ),
    n_bytes=3_800_000_000,
    hours=29.0,
)
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"  # long recordings to mix in, no words


def make_manifest(root: Path) -> Manifest:
    """List the words; clips in neither official list are for training. Clips of one speaker are a group.

    Raises:
        AudiopgError: a list is missing, or names a file that is; a file is not audio.
    """
    split_of = {path: split for split, name in LISTS.items() for path in read_lines(root / name)}
    files = {file.relative_to(root).as_posix() for file in root.glob("*/*.wav") if file.parent.name != NOISE}
    compare(root, files, files | set(split_of))
    return Manifest(
        tuple(
            Row.measured(
                root,
                path,
                (path.partition("/")[0],),
                split=split_of.get(path, "train"),
                group=speaker(path),
                source_id=f"speech_commands_v0.02/{path}",
                licence=CARD.licence,
            )
            for path in sorted(files)
        )
    )


def speaker(path: str) -> str:
    """Return the speaker of ``word/<speaker>_nohash_<number>.wav``."""
    return path.rpartition("/")[2].partition("_nohash_")[0]


TASK = Task(CARD, DOWNLOAD, make_manifest)
