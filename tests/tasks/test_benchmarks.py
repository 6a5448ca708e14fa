"""The public benchmarks: published counts, and what is particular to each."""

import hashlib
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiopg.errors import AudiopgError
from audiopg.tasks.registry import TASKS
from audiopg.tasks.task import Archive, Download

PUBLISHED = {  # clips, classes, runs, metric
    "esc10": (400, 10, 5, "accuracy"),
    "speech_commands_mini": (4_890, 12, 5, "accuracy"),
    "esc50": (2_000, 50, 5, "accuracy"),
    "urbansound8k": (8_732, 10, 10, "accuracy"),
    "fsd50k": (51_197, 200, 1, "mAP"),
    "speech_commands": (105_829, 35, 1, "accuracy"),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_counts_are_the_published_ones(name: str) -> None:
    card = TASKS[name].card
    assert (card.n_clips, card.n_classes, card.n_folds, card.metric) == PUBLISHED[name]


def test_every_download_is_verified_and_sized() -> None:
    downloads = [source for source in (TASKS[name].source for name in TASKS) if isinstance(source, Download)]
    assert len(downloads) == 6
    archives = [archive for source in downloads for archive in source.archives]
    assert len({archive.url for archive in archives}) == len(archives) == 16
    lengths = {"md5": 32, "sha256": 64}
    for archive in archives:
        for digest in filter(None, (archive.digest, *archive.member_digests.values())):
            algorithm, _, value = digest.partition(":")
            assert len(value) == lengths[algorithm], archive.url
    with pytest.raises(ValueError, match="has no digest to verify it by"):
        Archive("https://example.org/x.zip", 1)


@pytest.fixture
def root(present: Any, tmp_path: Path) -> Path:
    """A copy of a miniature, to be changed."""
    shutil.copytree(present.root, tmp_path / "copy")
    return tmp_path / "copy"


def only(name: str) -> Any:
    return pytest.mark.parametrize("present", [name], indirect=True)


@only("esc50")
def test_esc50(present: Any, root: Path) -> None:
    manifest = present.task.make_manifest(root)
    assert manifest.class_names == ("chirping_birds", "dog", "vacuum_cleaner")
    row = next(row for row in manifest.rows if row.path == "audio/3-100300-B-0.wav")
    assert (row.labels, row.fold, row.group, row.source_id) == (("dog",), 3, "100300", "freesound/100300")
    shutil.copy(root / row.path, root / "audio" / "9-9-A-9.wav")
    with pytest.raises(AudiopgError, match=r"9-9-A-9\.wav: not listed \(1 such files\)"):
        present.task.make_manifest(root)


@only("esc50")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("src_file", "source"), r"esc50\.csv:2: no 'src_file'; `audiopg fetch --check`"),
        (lambda text: text[:-40], r"(esc50\.csv:21: no '|missing|not listed)"),
        (lambda text: text[:0], "not listed"),
    ],
)
def test_a_damaged_list_is_named(present: Any, root: Path, change: Any, message: str) -> None:
    path = root / "meta" / "esc50.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(AudiopgError, match=message):
        present.task.make_manifest(root)
    path.unlink()
    with pytest.raises(AudiopgError, match=r"esc50\.csv: not a readable list"):
        present.task.make_manifest(root)


@only("urbansound8k")
def test_urbansound8k(present: Any, root: Path) -> None:
    manifest = present.task.make_manifest(root)
    assert len({(row.duration_s > 0, row.fold) for row in manifest.rows}) == 10
    row = next(row for row in manifest.rows if row.path == "audio/fold10/7101-3-0-0.wav")
    assert (row.labels, row.fold, row.group) == (("dog_bark",), 10, "7101")


@only("fsd50k")
def test_fsd50k(present: Any, root: Path) -> None:
    manifest = present.task.make_manifest(root)
    assert Counter(row.split for row in manifest.rows) == {"train": 6, "val": 2, "test": 4}
    row = next(row for row in manifest.rows if row.path == "FSD50K.dev_audio/10003.wav")
    assert row.labels == ("Bark", "Dog", "Rain")
    assert row.licence == "http://creativecommons.org/licenses/1/"
    assert {row.split for row in manifest.rows if "eval" in row.path} == {"test"}
    (root / "FSD50K.ground_truth" / "vocabulary.csv").write_text("0,Bark,/m/05tny_\n1,Dog,/m/0bt9lr\n")
    with pytest.raises(AudiopgError, match="clip 10002 has a label that is not in the vocabulary: Rain"):
        present.task.make_manifest(root)
    (root / "FSD50K.metadata" / "dev_clips_info_FSD50K.json").write_text("{")
    with pytest.raises(AudiopgError, match=r"dev_clips_info_FSD50K\.json: not readable"):
        present.task.make_manifest(root)


@only("speech_commands")
def test_speech_commands(present: Any, root: Path) -> None:
    manifest = present.task.make_manifest(root)
    assert manifest.class_names == ("bed", "tree")
    parts = dict(zip(manifest.paths, manifest.parts.tolist(), strict=True))
    assert parts["bed/00000005_nohash_0.wav"] == "val"
    assert parts["tree/00000007_nohash_0.wav"] == "test"
    assert parts["tree/00000000_nohash_1.wav"] == "train"
    assert {row.group for row in manifest.rows} == {f"{number:08x}" for number in range(8)}
    (root / "tree" / "00000007_nohash_0.wav").unlink()
    with pytest.raises(AudiopgError, match=r"tree/00000007_nohash_0\.wav: missing"):
        present.task.make_manifest(root)


@only("esc10")
def test_esc10(present: Any) -> None:
    manifest = present.task.make_manifest(present.root)
    assert Counter(label for row in manifest.rows for label in row.labels) == dict.fromkeys(manifest.class_names, 40)
    assert manifest.class_names[:3] == ("Baby cry", "Chainsaw", "Clock tick")
    row = next(row for row in manifest.rows if row.path == "001 - Dog bark/2-122104-B.ogg")
    assert (row.labels, row.fold, row.group) == (("Dog bark",), 2, "122104")
    assert len(set(manifest.groups)) < 400


@only("speech_commands_mini")
def test_speech_commands_mini(present: Any) -> None:
    manifest = present.task.make_manifest(present.root)
    spread = Counter((row.labels[0], row.fold) for row in manifest.rows)
    assert len(spread) == 60
    assert max(spread.values()) - min(spread.values()) <= 10
    row = next(row for row in manifest.rows if row.labels == ("_unknown_",))
    assert row.path.endswith(".wav.wav")
    speakers = {row.group for row in manifest.rows if row.labels != ("_silence_",)}
    assert all(len(speaker) == 8 and int(speaker, 16) >= 0 for speaker in speakers)
    assert row.group in speakers
    # the rule behind the official lists puts every one of these speakers into their test part, so that grouping by
    # speaker cannot be at odds with the lists
    for name in speakers:
        share = int(hashlib.sha1(name.encode()).hexdigest(), 16) % (1 << 27) * 100 / ((1 << 27) - 1)
        assert 10 <= share < 20


def test_cards_and_manifests_agree_on_what_a_miniature_is(present: Any) -> None:
    wrong = replace(present.task.card, n_classes=present.task.card.n_classes + 1)
    with pytest.raises(AudiopgError, match=f"expected {wrong.n_classes} classes, found {wrong.n_classes - 1}"):
        present.task.make_manifest(present.root).check(wrong)
