"""ESC-50: 2,000 environmental sounds of 5 s in 50 classes, five official folds."""

from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.metadata import compare, read_table
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="esc50",
    title="ESC-50",
    licence="CC BY-NC 3.0",
    citation="K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    url="https://github.com/karolpiczak/ESC-50",
    protocol="folds",
    sizes=(400,) * 5,
    n_classes=50,
    metric="accuracy",
    paper=0.906,
    paper_selection="best epoch on the fold that is reported, fold 1 alone",
)
DOWNLOAD = Download(
    archives=(
        # GitHub repacks the archive from time to time; the list inside stays, and zip checks each file by its CRC
        Archive(
            "https://github.com/karolpiczak/ESC-50/archive/33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6.zip",
            647_000_000,
            member_digests={"meta/esc50.csv": "md5:54a0d0055a10bb7df84ad340a148722e"},
        ),
    ),
    n_bytes=885_000_000,
    hours=2.78,
    top_folder=True,
)


def make_manifest(root: Path) -> Manifest:
    """List the clips of ``meta/esc50.csv``; clips cut from one Freesound recording are a group.

    Raises:
        AudiopgError: the list is missing or damaged, a file is missing, not listed or not audio.
    """
    rows = read_table(root / "meta" / "esc50.csv", ("filename", "fold", "category", "src_file"))
    compare(root, {f"audio/{file.name}" for file in root.glob("audio/*.wav")}, {f"audio/{r['filename']}" for r in rows})
    return Manifest(
        tuple(
            Row.measured(
                root,
                f"audio/{row['filename']}",
                (row["category"],),
                fold=int(row["fold"]),
                group=row["src_file"],
                source_id=f"freesound/{row['src_file']}",
                licence=CARD.licence,
            )
            for row in rows
        )
    )


TASK = Task(CARD, DOWNLOAD, make_manifest)
