"""ESC-10: 400 environmental sounds of 5 s in ten classes, five official folds; the smaller version of ESC-50."""

from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="esc10",
    title="ESC-10",
    licence="CC BY",
    citation="K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    url="https://github.com/karoldvl/ESC-10",
    protocol="folds",
    sizes=(80,) * 5,
    n_classes=10,
    metric="accuracy",
)
DOWNLOAD = Download(
    archives=(
        Archive(
            "https://github.com/karoldvl/ESC-10/archive/553c8f1743b9dba6b282e1323c3ca8fa76923448.zip",
            41_800_000,
            audio_digest="98dcfc5c90c324e1413fa1975dced99302ebae952bbdfa05a0381f4d07300269",
        ),
    ),
    n_bytes=42_500_000,
    hours=0.56,
    top_folder=True,
)


def make_manifest(root: Path) -> Manifest:
    """List the clips ``NNN - Class/fold-recording-take.ogg``; takes of one Freesound recording are a group.

    Raises:
        AudiopgError: a file is not audio.
    """
    rows = []
    for file in sorted(root.glob("*/*.ogg")):
        fold, recording, _ = file.stem.split("-")
        rows.append(
            Row.measured(
                root,
                file.relative_to(root).as_posix(),
                (file.parent.name.partition(" - ")[2],),
                fold=int(fold),
                group=recording,
                source_id=f"freesound/{recording}",
                licence=CARD.licence,
            )
        )
    return Manifest(tuple(rows))


TASK = Task(CARD, DOWNLOAD, make_manifest)
