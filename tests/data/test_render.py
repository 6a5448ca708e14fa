"""The command that renders clips: what it writes is the corpus, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from audiopg import config
from audiopg.cli.app import app
from audiopg.config import Config
from audiopg.data import render
from audiopg.errors import AudiopgError
from audiopg.synth.world import World


def test_files_are_the_clips_of_the_corpus(tiny: Config, tmp_path: Path) -> None:
    render.run(tiny.synth, tiny.features, 7, [12, 3], tmp_path, tmp_path / "sheet.png")
    expected = World(tiny.synth, 7).play([12, 3]).numpy()
    for row, name in enumerate(("000012.flac", "000003.flac")):
        found, rate_hz = soundfile.read(tmp_path / name)
        assert rate_hz == tiny.synth.sample_rate_hz
        np.testing.assert_allclose(found, expected[row], atol=2**-23)
    assert pd.read_csv(tmp_path / "clips.csv")["clip"].tolist() == [12, 3]
    assert set(pd.read_csv(tmp_path / "events.csv")["clip"]) == {3, 12}
    assert soundfile.info(tmp_path / "000012.flac").subtype == "PCM_24"


def test_the_card_is_enough_to_make_them_again(tiny: Config, tmp_path: Path) -> None:
    render.run(tiny.synth, tiny.features, 7, [4], tmp_path / "a", tmp_path / "a" / "sheet.png")
    card = json.loads((tmp_path / "a" / "run.json").read_text())
    assert card["corpus"] == "audiopg-2"
    params, again = card["params"], tmp_path / "b"
    synth = config.Synth.model_validate(params["synth"])
    render.run(synth, tiny.features, params["seed"], card["indices"], again, again / "sheet.png")
    for path in (tmp_path / "a").iterdir():
        if path.name != "run.json":  # which names the folder
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_without_a_sheet_no_picture_is_drawn(tiny: Config, tmp_path: Path) -> None:
    render.run(tiny.synth, tiny.features, 7, [4], tmp_path, None)
    names = {"000004.flac", "clips.csv", "voices.csv", "events.csv", "run.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    made = {Path(name).name for name in json.loads((tmp_path / "run.json").read_text())["outputs"]}
    assert made == names - {"run.json"}


@pytest.mark.parametrize("n_clips", [1, 3, 5])
def test_the_sheet_takes_any_number_of_clips(n_clips: int, tiny: Config, tmp_path: Path) -> None:
    render.run(tiny.synth, tiny.features, 7, range(n_clips), tmp_path, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "x"], "--index: a number or a range such as 0:16 is needed, found 'x'"),
        (["--index", "3:"], "--index: a number or a range such as 0:16 is needed, found '3:'"),
        (["--index", "-1"], "--index: a number or a range such as 0:16 is needed, found '-1'"),
        (["--index", "7:7"], "--index: 7:7 holds no clip"),
        (["--index", str(1 << 70)], f"--index: clips are numbered up to 2^62, found '{1 << 70}'"),
        (["--preset", "wold"], "unknown preset 'wold'; known: paper, world"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["render", "--out", str(tmp_path), *arguments])
    assert isinstance(result.exception, AudiopgError)
    assert str(result.exception) == message
    assert not any(tmp_path.iterdir())


def test_the_run_card_of_another_stage_is_not_replaced(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"stage": "pretrain"}')
    with pytest.raises(AudiopgError, match=r"run.json: would be replaced, and `audiopg render` did not write it"):
        render.run(tiny.synth, tiny.features, 7, [0], tmp_path, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    with pytest.raises(AudiopgError, match=r"--sheet: a name that ends in \.png is needed, found '.*x\.wav'"):
        render.run(tiny.synth, tiny.features, 7, [0], tmp_path / "b", tmp_path / "x.wav")
