"""The official 12-class test archive of Speech Commands V2 as a separate task: 4,890 clips of 1 s in five folds.

Its figures are not Speech Commands figures: it trains and tests on clips that others use only for testing.
"""

from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.folds import deal
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.speech_commands import speaker
from audiopg.tasks.task import Archive, Download, Task

CARD = Card(
    name="speech_commands_mini",
    title="Speech Commands V2, test archive",
    licence="CC BY 4.0",
    citation="P. Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, arXiv 1804.03209, 2018",
    url="https://www.tensorflow.org/datasets/catalog/speech_commands",
    protocol="folds",
    sizes=(977, 978, 977, 976, 982),
    n_classes=12,
    metric="accuracy",
)
DOWNLOAD = Download(
    archives=(
        Archive(
            "http://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
            112_563_277,
            audio_digest="8b0ce6ef30093cd17acb44a6f19d4f35c55ce4bbee748d1494ce24fa5737e4dc",
        ),
    ),
    n_bytes=157_000_000,
    hours=1.36,
)
SILENCE, UNKNOWN = "_silence_", "_unknown_"


def make_manifest(root: Path) -> Manifest:
    """List the clips, and deal the speakers over five folds; cuts of silence have no speaker.

    Raises:
        AudiopgError: a file is not audio.
    """
    rows = []
    for file in sorted(root.glob("*/*.wav")):
        path, label = file.relative_to(root).as_posix(), file.parent.name
        # clips of other words carry the word first: bed_<speaker>_nohash_0.wav.wav
        name = file.name.partition("_")[2] if label == UNKNOWN else file.name
        rows.append(
            Row.measured(
                root,
                path,
                (label,),
                group=path if label == SILENCE else speaker(name),
                source_id=f"speech_commands_test_set_v0.02/{path}",
                licence=CARD.licence,
            )
        )
    return Manifest(deal(rows, CARD.n_folds))


TASK = Task(CARD, DOWNLOAD, make_manifest)
