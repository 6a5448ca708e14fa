"""The forms of a corpus, read back by the packages that they are for, without a network."""

import io
import json
import sys
import tarfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from audiopg.cli.app import app
from audiopg.config import Config, profile
from audiopg.data import formats, render
from audiopg.errors import AudiopgError
from audiopg.synth.records import records
from audiopg.synth.world import World

SEED = 7
STEP = 2**-23  # of 24-bit sound


@pytest.fixture(scope="module")
def many() -> Config:
    """Clips of 0.32 s of the preset that plays every primitive."""
    return profile.load("test", "world")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package ``datasets``, which asks no host, and needs no torchcodec to load names of files."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    datasets = pytest.importorskip("datasets", reason="needs datasets (extra `dev`)")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub" / "datasets")
    encoders = types.ModuleType("torchcodec.encoders")
    encoders.AudioEncoder = None  # type: ignore[attr-defined]  # imported for arrays, which there are none of
    monkeypatch.setitem(sys.modules, "torchcodec", types.ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def without_none(value: Any) -> Any:
    """Leave out what has no meaning: a table has a place for it, a record has none."""
    if isinstance(value, dict):
        return {name: without_none(each) for name, each in value.items() if each is not None}
    return [without_none(each) for each in value] if isinstance(value, list) else value


def test_datasets_reads_the_clips_and_their_physics(many: Config, hub: Any, tmp_path: Path) -> None:
    world, indices = World(many.synth, SEED), range(3, 43)
    render.run(many.synth, many.features, SEED, indices, tmp_path / "corpus", None, "audiofolder")
    assert not (tmp_path / "corpus" / "sheet.png").exists()
    loaded = hub.load_dataset("audiofolder", data_dir=str(tmp_path / "corpus"))["train"]
    loaded = loaded.cast_column("audio", hub.Audio(decode=False))
    expected, waveforms = records(world.score(indices), SEED), world.play(indices).numpy()
    assert len(loaded) == len(indices)
    for row, found in enumerate(loaded):
        heard, rate_hz = soundfile.read(found.pop("audio")["path"])
        assert rate_hz == many.synth.sample_rate_hz
        np.testing.assert_allclose(heard, waveforms[row], atol=STEP)
        assert without_none(found) == without_none(expected[row])


def test_webdataset_reads_the_clips_and_their_physics(many: Config, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset (extra `dev`)")
    world, indices = World(many.synth, SEED), range(3, 43)
    render.run(many.synth, many.features, SEED, indices, tmp_path, None, "webdataset", 20)
    expected, waveforms = records(world.score(indices), SEED), world.play(indices).numpy()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"clips-{number:06d}.{suffix}" for number in range(3) for suffix in ("json", "tar")]
    found = []
    for shard in sorted(tmp_path.glob("*.tar")):
        with shard.open("rb") as stream:  # the package's own way leaves files open, which is an error here
            found += list(
                webdataset.tariterators.group_by_keys(
                    webdataset.tariterators.tar_file_expander([{"url": shard.name, "stream": stream}])
                )
            )
    assert [sample["__key__"] for sample in found] == [f"{index:06d}" for index in indices]
    for row, sample in enumerate(found):
        heard, rate_hz = soundfile.read(io.BytesIO(sample["flac"]))
        assert rate_hz == many.synth.sample_rate_hz
        np.testing.assert_allclose(heard, waveforms[row], atol=STEP)
        assert json.loads(sample["json"]) == expected[row]


def test_a_shard_is_the_same_whichever_clips_are_rendered_with_it(many: Config, tmp_path: Path) -> None:
    for folder, first in (("a", 0), ("b", 30)):
        render.run(many.synth, many.features, SEED, range(first, 40), tmp_path / folder, None, "webdataset", 10)
    assert sorted(path.name for path in (tmp_path / "b").glob("*.tar")) == ["clips-000003.tar"]
    shards = [tmp_path / folder / "clips-000003.tar" for folder in ("a", "b")]
    assert shards[0].read_bytes() == shards[1].read_bytes()
    with tarfile.open(shards[0]) as tar:
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in tar} == {
            (0, 0, 0, "", "", 0o644)
        }


def test_tables_written_in_parts_are_those_of_all_clips(many: Config, tmp_path: Path) -> None:
    """Parts in which other sources play have the same columns; and there are several parts."""
    indices = range(2 * formats.BLOCK + 3)
    made = formats.write_folder(World(many.synth, SEED), indices, tmp_path)
    assert len(made) == len(indices) + 3
    voices = pd.read_csv(tmp_path / "voices.csv")
    expected = records(World(many.synth, SEED).score(indices), SEED)
    assert pd.read_csv(tmp_path / "clips.csv")["clip"].tolist() == list(indices)
    pairs = [(clip["clip"], voice) for clip in expected for voice in clip["voices"]]
    assert voices["clip"].tolist() == [clip for clip, _ in pairs]
    for (_, voice), (_, row) in zip(pairs, voices.iterrows(), strict=True):
        filled = {name: json.loads(cell) if isinstance(cell, str) else cell for name, cell in row.iloc[8:].items()}
        filled = {name: value for name, value in filled.items() if isinstance(value, list) or not np.isnan(value)}
        assert filled == voice["parameters"]


def test_no_more_than_a_block_is_in_memory(many: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    largest = 0
    score = World.score

    def counted(world: World, indices: Any) -> Any:
        nonlocal largest
        largest = max(largest, len(indices))
        return score(world, indices)

    monkeypatch.setattr(World, "score", counted)
    for form in ("folder", "audiofolder", "webdataset"):
        render.run(many.synth, many.features, SEED, range(50), tmp_path / form, None, form)
    assert largest == formats.BLOCK


@pytest.mark.parametrize("form", ["folder", "audiofolder"])
def test_a_clip_of_before_is_not_part_of_a_data_set(form: str, many: Config, tmp_path: Path) -> None:
    render.run(many.synth, many.features, SEED, range(3), tmp_path, None, form)
    render.run(many.synth, many.features, SEED, range(3), tmp_path, None, form)  # the same ones again
    with pytest.raises(AudiopgError, match=r"000001\.flac: not one of the clips to write.*choose another --out"):
        render.run(many.synth, many.features, SEED, [0], tmp_path, None, form)


@pytest.mark.parametrize("form", ["folder", "audiofolder", "webdataset"])
def test_the_command_has_the_formats(form: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    result = CliRunner().invoke(
        app,
        ["render", "--params", str(tmp_path / "params.yaml"), "--out", str(tmp_path / "out"), "--index", "0:2"]
        + (["--format", form] if form != "folder" else []),
    )
    assert result.exception is None
    expected = {
        "folder": {"clips.csv", "voices.csv", "events.csv", "run.json", "000000.flac", "000001.flac"},
        "audiofolder": {"metadata.jsonl", "run.json", "000000.flac", "000001.flac"},
        "webdataset": {"clips-000000.tar", "clips-000000.json"},
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected[form]


def test_shards_are_for_webdataset_only(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["render", "--out", str(tmp_path / "out"), "--clips-per-shard", "5"])
    assert isinstance(result.exception, AudiopgError)
    assert str(result.exception) == ("--clips-per-shard: allowed only with --format webdataset, found --format folder")
    assert not (tmp_path / "out").exists()
