"""UrbanSound8K: 8,732 street sounds of up to 4 s in ten classes, as uploaded; ten official folds, never reshuffled."""

from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.metadata import compare, read_table
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="urbansound8k",
    title="UrbanSound8K",
    licence="CC BY-NC 3.0",
    citation="J. Salamon et al., A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014",
    url="https://urbansounddataset.weebly.com/urbansound8k.html",
    protocol="folds",
    sizes=(873, 888, 925, 990, 936, 823, 838, 806, 816, 837),
    n_classes=10,
    metric="accuracy",
    paper=0.882,
    paper_selection="best epoch on the fold that is reported, fold 1 alone",
)
DOWNLOAD = Download(
    archives=(
        Archive(
            "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz",
            6_023_741_708,
            digest="md5:9aa69802bbf37fb986f71ec1483a196e",
        ),
    ),
    n_bytes=7_100_000_000,
    hours=8.75,
    top_folder=True,
)


def make_manifest(root: Path) -> Manifest:
    """List the clips of ``metadata/UrbanSound8K.csv``; slices of one Freesound recording are a group.

    Raises:
        AudiopgError: the list is missing or damaged, a file is missing, not listed or not audio.
    """
    rows = read_table(root / "metadata" / "UrbanSound8K.csv", ("slice_file_name", "fsID", "fold", "class"))
    paths = [f"audio/fold{row['fold']}/{row['slice_file_name']}" for row in rows]
    compare(root, {file.relative_to(root).as_posix() for file in root.glob("audio/fold*/*.wav")}, set(paths))
    return Manifest(
        tuple(
            Row.measured(
                root,
                path,
                (row["class"],),
                fold=int(row["fold"]),
                group=row["fsID"],
                source_id=f"freesound/{row['fsID']}",
                licence=CARD.licence,
            )
            for row, path in zip(rows, paths, strict=True)
        )
    )


TASK = Task(CARD, DOWNLOAD, make_manifest)
