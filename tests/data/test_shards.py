"""Shards of a corpus: which clips each holds, and a manifest of shards that are complete and made alike."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from audiopg import storage
from audiopg.data import shards
from audiopg.errors import AudiopgError


def test_a_plan_covers_every_clip_once() -> None:
    plan = shards.plan({"clips": 2500, "out": "x"})
    assert plan.names == ["clips-000000", "clips-000001", "clips-000002"]
    assert [plan.index(name) for name in plan.names] == ["0:1000", "1000:2000", "2000:2500"]
    assert shards.plan({"clips": 7, "clips_per_shard": 7}).names == ["clips-000000"]


def test_clips_go_to_the_shard_of_their_number() -> None:
    assert list(shards.split([5, 9, 10, 3], 5)) == [
        ("clips-000000", [3]),
        ("clips-000001", [5, 9]),
        ("clips-000002", [10]),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip": 5}, "--config: unknown name 'clip'; did you mean 'clips'?"),
        ({"clips": "many"}, "--config clips: a whole number above 0 is needed, found 'many'"),
        ({"clips_per_shard": 0}, "--config clips_per_shard: a whole number above 0 is needed, found '0'"),
        ({"clips": 1.5}, "--config clips: a whole number above 0 is needed, found '1.5'"),
    ],
)
def test_mistakes_are_told_in_a_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AudiopgError) as error:
        shards.plan(settings)
    assert str(error.value) == message


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of two clips with what the manifest reads of their run cards."""
    for number in range(3):
        write(tmp_path, number, [2 * number, 2 * number + 1])
    return tmp_path


def write(folder: Path, number: int, indices: list[int], **other: str) -> None:
    shard = folder / f"clips-{number:06d}.tar"
    shard.write_text(f"shard {number}")
    shared = dict.fromkeys(shards.SHARED, "same") | other
    outputs = {f"elsewhere/{shard.name}": storage.file_digest(shard)}
    storage.write_json(shard.with_suffix(".json"), {**shared, "indices": indices, "outputs": outputs})


def test_sha256sum_reads_the_manifest(corpus: Path) -> None:
    shards.run(corpus, 6)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    said = subprocess.run(check, cwd=corpus, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"clips-{number:06d}.tar: OK" for number in range(3)]
    (corpus / "clips-000001.tar").write_text("damaged")
    assert subprocess.run(check, cwd=corpus, capture_output=True, check=False).returncode == 1


def test_shards_that_are_no_corpus_get_no_manifest(corpus: Path) -> None:
    with pytest.raises(AudiopgError, match="expected 5 clips in the shards, found 6; delete what is not part"):
        shards.run(corpus, 5)
    write(corpus, 2, [4, 5], code="other")
    with pytest.raises(AudiopgError, match=r"clips-000002\.tar: made with other code than the first shard"):
        shards.run(corpus, 6)
    (corpus / "clips-000001.tar").unlink()
    with pytest.raises(AudiopgError, match=r"clips-000002\.tar: .*code"):
        shards.run(corpus, 6)
    write(corpus, 2, [4, 5])
    with pytest.raises(AudiopgError, match=r"clips-000002\.tar: expected clips from 2 on, found 4"):
        shards.run(corpus, 6)
    (corpus / "clips-000002.json").unlink()
    with pytest.raises(AudiopgError, match=r"clips-000002\.json: no such file"):
        shards.run(corpus, 6)
    assert not (corpus / "SHA256SUMS").exists()
