"""`audiopg embed`: tables of embeddings, the same for any length, company, format and folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support.encoders import checkpoint

from audiopg import compute, gpus
from audiopg.audio import decode
from audiopg.config import Config, profile
from audiopg.pretrained import embed, hear

AUDIOPG = Path(sys.executable).with_name("audiopg")
LENGTHS = {"click": 1, "tick": 80, "short": 3000, "clip": 20_480, "long": 70_001}


def audiopg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AUDIOPG, *arguments], capture_output=True, text=True, check=False)


def record(path: Path, n_samples: int, rate_hz: int = 16_000, n_channels: int = 1) -> Path:
    draw = np.random.Generator(np.random.Philox(n_samples))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, draw.uniform(-0.5, 0.5, (n_samples, n_channels)), rate_hz)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny: Config) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), tiny)


@pytest.fixture
def sounds(tmp_path: Path) -> list[Path]:
    return [record(tmp_path / f"{name}.wav", n) for name, n in LENGTHS.items()]


def table(out: Path) -> pd.DataFrame:
    if out.suffix == ".parquet":
        return pd.read_parquet(out)
    read = pd.read_csv(out)
    return read.astype({name: np.float32 for name in read.columns if name.startswith("e")})


def embedded(files: list[Path], weights: Path, out: Path, *, timestamps: bool = False) -> pd.DataFrame:
    embed.run(files, weights, out, timestamps=timestamps)
    return table(out)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("timestamps", [False, True])
def test_the_table_holds_what_the_interface_returns(
    suffix: str, timestamps: bool, sounds: list[Path], weights: Path, tmp_path: Path
) -> None:
    found = embedded(sounds, weights, tmp_path / f"out{suffix}", timestamps=timestamps)
    model = hear.load_model(str(weights))
    keys = ["path", "timestamp_ms"] if timestamps else ["path"]
    size = model.timestamp_embedding_size if timestamps else model.scene_embedding_size
    assert list(found.columns) == [*keys, *(f"e{number}" for number in range(size))]
    assert (found.dtypes.iloc[len(keys) :] == np.float32).all()
    assert list(found["path"].unique()) == [str(path) for path in sounds]
    for path in sounds:
        rows = found[found["path"] == str(path)]
        waveform = torch.from_numpy(decode.read(path, 16_000))[None]
        if timestamps:
            expected, times_ms = (values[0].numpy() for values in hear.get_timestamp_embeddings(waveform, model))
            np.testing.assert_array_equal(rows["timestamp_ms"], times_ms)
        else:
            expected = hear.get_scene_embeddings(waveform, model).numpy()
        np.testing.assert_array_equal(rows.iloc[:, len(keys) :].to_numpy(), expected)


@pytest.mark.parametrize("timestamps", [False, True])
def test_rows_do_not_depend_on_company_or_order(
    timestamps: bool, sounds: list[Path], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = embedded(sounds, weights, tmp_path / "all.parquet", timestamps=timestamps)
    monkeypatch.setattr(embed, "ROWS", 3)  # several pieces
    backwards = embedded(sounds[::-1], weights, tmp_path / "backwards.parquet", timestamps=timestamps)
    alone = [embedded([path], weights, tmp_path / "one.parquet", timestamps=timestamps) for path in sounds]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), together, check_exact=True)
    pd.testing.assert_frame_equal(pd.concat(alone[::-1], ignore_index=True), backwards, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_two_runs_write_the_same_bytes(suffix: str, sounds: list[Path], weights: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for out in outs:
        run = audiopg("embed", *sounds, "--checkpoint", weights, "--out", out, "--timestamps")
        assert run.returncode == 0, run.stderr
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_channels_and_rates_become_one(weights: Path, tmp_path: Path) -> None:
    stereo = record(tmp_path / "stereo.flac", 90_000, 44_100, 2)
    mono = tmp_path / "mono.wav"
    soundfile.write(mono, decode.read(stereo, 16_000), 16_000, subtype="FLOAT")
    rows = embedded([stereo, mono], weights, tmp_path / "out.parquet").iloc[:, 1:].to_numpy()
    np.testing.assert_array_equal(rows[0], rows[1])


def test_folders_are_walked(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    inside = [record(folder / name, 2000 + number) for number, name in enumerate(("a/2.flac", "a/b/1.WAV", "z.ogg"))]
    (folder / "notes.txt").write_text("no recording")
    (folder / "folder.wav").mkdir()
    (folder / "a/._2.flac").write_text("no recording")
    first = record(tmp_path / "first.wav", 999)
    found = embedded([first, folder, inside[0], first], weights, tmp_path / "out.parquet")
    assert list(found["path"]) == [str(path) for path in (first, *inside)]


@pytest.mark.slow
def test_what_a_user_can_cause_is_one_line_and_code_2(weights: Path, sounds: list[Path], tmp_path: Path) -> None:
    damaged = record(tmp_path / "damaged.flac", 50_000)
    damaged.write_bytes(damaged.read_bytes()[:20_000])
    text, empty = tmp_path / "text.wav", tmp_path / "empty"
    text.write_text("no sound")
    empty.mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    out = tmp_path / "out.parquet"
    broken, latin = tmp_path / "broken", Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    broken.mkdir()
    (broken / "1.wav").symlink_to("annex")
    latin.mkdir()
    inside = record(tmp_path / "1.wav", 99).rename(latin / "1.wav")
    there = record(tmp_path / "z.csv.wav", 99).rename(tmp_path / "z.csv")  # a recording, by what is in it
    before = there.read_bytes()
    for files, target, reason in (
        ([broken], out, f"{broken / '1.wav'}: is a link to annex, which is not there; fetch that file, or remove the"),
        ([*sounds, broken / "1.wav"], out, f"{broken / '1.wav'}: is a link to annex, which is not there; fetch that"),
        ([latin], out, f"{tmp_path}/caf\\xe9/1.wav: this name is not UTF-8; choose another name"),
        (
            [*sounds, inside],
            out,
            f"{tmp_path}/caf\\xe9/1.wav: this name is not UTF-8; choose another name",
        ),
        (sounds, latin / "out.csv", f"{tmp_path}/caf\\xe9/out.csv: this name is not UTF-8; choose another name"),
        ([there], there, f"--out: {there} is {there}, which is read; choose another name for the table"),
        ([broken / "../z.csv"], there, f"--out: {there} is {broken / '../z.csv'}, which is read; choose"),
        ([*sounds, damaged], out, f"{damaged}: cannot be decoded"),
        ([text], out, f"{text}: cannot be decoded"),
        ([tmp_path / "none.wav"], out, f"{tmp_path / 'none.wav'}: no such audio file"),
        ([tmp_path / "pipe.wav"], out, f"{tmp_path / 'pipe.wav'}: a pipe or device, not an audio file"),
        ([empty], out, f"{empty}: no audio files in it"),
        (sounds, tmp_path / "out.txt", "--out: a name that ends in .parquet or .csv is needed"),
    ):
        run = audiopg("embed", *files, "--checkpoint", weights, "--out", target)
        assert run.returncode == 2
        assert run.stderr.splitlines()[-1].startswith(f"audiopg: {reason}")
        assert len(run.stderr.splitlines()) == 1
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(("out", ".out"))]
    assert there.read_bytes() == before
    moved = weights.rename(latin / weights.name)
    run = audiopg("embed", *sounds, "--checkpoint", moved, "--out", out)
    moved.rename(weights)
    assert run.returncode == 2
    assert run.stderr == f"audiopg: {tmp_path}/caf\\xe9/{weights.name}: this name is not UTF-8; choose another name\n"
    run = audiopg("embed", *sounds, "--checkpoint", tmp_path / "no.safetensors", "--out", out)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "no.safetensors: no such checkpoint" in run.stderr


@pytest.mark.slow
def test_what_pre_training_writes_can_be_used_as_it_is(sounds: list[Path], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    folder = tmp_path / "pretrain"
    files = {"encoder": "encoder.safetensors", "model": "model.safetensors", "loss": "loss.csv", "card": "run.json"}
    options = [f"--{option}={folder / file}" for option, file in files.items()]
    options += [f"--{option}={tmp_path / option}" for option in ("resume", "curves")]
    run = audiopg("pretrain", f"--params={tmp_path / 'params.yaml'}", *options)
    assert run.returncode == 0, run.stderr
    out = tmp_path / "out.csv"
    run = audiopg("embed", *sounds, "--checkpoint", folder / "encoder.safetensors", "--out", out)
    assert run.returncode == 0, run.stderr
    assert len(table(out)) == len(sounds)


def test_a_gpu_that_is_not_used_is_named(
    sounds: list[Path],
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpus, "present", lambda: False)
    embedded(sounds, weights, tmp_path / "a.csv")
    assert "on the CPU" not in capsys.readouterr().err
    monkeypatch.setattr(compute, "obstacle", lambda: "driver 1 is too old")
    monkeypatch.setattr(gpus, "present", lambda: True)
    embedded(sounds, weights, tmp_path / "b.csv")
    assert capsys.readouterr().err.startswith("on the CPU: driver 1 is too old\n")
