"""An exported encoder is the one that was trained, tells what it was made from, and a damaged folder says so."""

import math
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from support.exports import Project, finished

from audiopg import __version__, storage, tensors
from audiopg.config import Config
from audiopg.data.synthetic import SyntheticClips
from audiopg.errors import AudiopgError
from audiopg.models.vit import Encoder
from audiopg.pretrained import card, export
from audiopg.pretrained.encoder import AudioEncoder

AUDIOPG = Path(sys.executable).with_name("audiopg")


@pytest.fixture
def project(tiny: Config, tmp_path: Path) -> Project:
    """Results of a pre-training and of a table."""
    return finished(tiny, tmp_path / "results")


@pytest.fixture
def folder(project: Project, tmp_path: Path) -> Path:
    """An exported folder."""
    export.run(project.encoder, project.results, tmp_path / "hub")
    return tmp_path / "hub"


@pytest.fixture
def waveform(tiny: Config) -> torch.Tensor:
    """Three clips of the corpus."""
    return SyntheticClips(tiny.synth, tiny.features, 0, torch.device("cpu")).world.play(range(3))


def head(folder: Path) -> dict[str, Any]:
    """Front matter of the model card."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_a_graph_of_another_origin_is_not_removed(project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / export.GRAPH).write_bytes(b"mine")
    with pytest.raises(AudiopgError, match=r"model\.onnx: would be replaced, and `audiopg export` did not write it"):
        export.run(project.encoder, project.results, tmp_path / "mine")
    assert (tmp_path / "mine" / export.GRAPH).read_bytes() == b"mine"


def test_a_graph_of_other_weights_does_not_stay(project: Project, folder: Path) -> None:
    (folder / export.GRAPH).write_bytes(b"of the weights before")
    export.run(project.encoder, project.results, folder)
    assert not (folder / export.GRAPH).exists()


def test_the_folder_gives_the_tokens_of_the_trained_encoder_bit_for_bit(
    project: Project, folder: Path, waveform: torch.Tensor
) -> None:
    model = AudioEncoder.from_pretrained(folder)
    assert not model.training
    expected = project.trained.eval()(model.log_mel(waveform))
    assert torch.equal(model(waveform), expected)
    assert expected.std() > 0.1  # they tell something
    weights = project.trained.state_dict()
    assert weights.keys() == model.encoder.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.encoder.state_dict().items())


def test_the_front_end_is_that_of_pretraining(folder: Path, tiny: Config, waveform: torch.Tensor) -> None:
    clips = SyntheticClips(tiny.synth, tiny.features, 0, torch.device("cpu"))
    model = AudioEncoder.from_pretrained(str(folder))
    assert torch.equal(model.log_mel(waveform), clips.batch(range(3)))
    assert model.sample_rate_hz == tiny.features.sample_rate_hz


def test_what_is_missing_to_whole_patches_is_silence(folder: Path, waveform: torch.Tensor) -> None:
    model = AudioEncoder.from_pretrained(folder)
    cut = waveform[:, :-100]
    padded = torch.cat([cut, torch.zeros(3, 100)], dim=1)
    assert torch.equal(model(cut), model(padded))
    assert model(waveform[:, :1]).shape[1] == 8  # one column of patches


def test_gradients_reach_the_encoder(folder: Path, waveform: torch.Tensor) -> None:
    model = AudioEncoder.from_pretrained(folder)
    model(waveform).mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    "wrong", [torch.zeros(100), torch.zeros(1, 2, 100), torch.zeros(1, 0), torch.zeros(1, 100, dtype=torch.int16)]
)
def test_other_waveforms_are_refused(wrong: torch.Tensor, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"waveform: float32 of shape \(B, T\) is needed, found"):
        AudioEncoder.from_pretrained(folder)(wrong)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (torch.tensor([[0.0, math.nan, 0.0]]), "contains samples that are not finite"),
        (torch.tensor([[0.0, math.inf, -math.inf]]), "contains samples that are not finite"),
        (torch.tensor([[0.0, 32_767.0]]), "has a peak of 32767 where full scale is 1"),
        (np.array([[math.nan]]), "contains samples that are not finite"),
        (np.zeros((1, 100), dtype=np.int16), "float32 of shape"),
        ([0.0, 0.5], "float32 of shape"),
        ([[0.0], [0.0, 0.5]], "numbers in rows of one length"),
        ("loud", "numbers in rows of one length"),
    ],
)
def test_no_token_comes_from_what_is_no_sound(wrong: Any, reason: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        AudioEncoder.from_pretrained(folder)(wrong)
    assert "\n" not in str(caught.value)


def test_arrays_and_lists_give_the_same_tokens(folder: Path, waveform: torch.Tensor) -> None:
    model = AudioEncoder.from_pretrained(folder)
    short = waveform[:, :3000]
    for same in (short.numpy(), short.numpy().astype(np.float64), short.tolist()):
        assert torch.equal(model(same), model(short))


def test_no_pickle_and_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    AudioEncoder.from_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "modeling_audiopg.py",
        "preprocessor_config.json",
        "run.json",
    ]


def test_weights_and_run_card_are_those_of_the_stage(project: Project, folder: Path) -> None:
    assert (folder / "model.safetensors").read_bytes() == project.encoder.read_bytes()
    assert (folder / "run.json").read_bytes() == project.encoder.with_name("run.json").read_bytes()


def test_the_configuration_is_complete(folder: Path, tiny: Config) -> None:
    found = storage.read_json(folder / "config.json")
    assert found["encoder"] == tiny.encoder.model_dump()
    assert found["features"] == tiny.features.model_dump()
    assert (found["corpus"], found["audiopg_version"]) == ("audiopg-2", __version__)
    assert found["n_parameters"] == sum(p.numel() for p in Encoder(tiny.encoder).parameters())


def test_the_card_tells_licence_data_figures_and_digests(project: Project, folder: Path) -> None:
    found, text = head(folder), (folder / "README.md").read_text(encoding="utf-8")
    assert (found["license"], found["pipeline_tag"]) == ("mit", "feature-extraction")
    (model,) = found["model-index"]
    assert [result["dataset"]["type"] for result in model["results"]] == ["drums", "fsd50k"]
    figures = [(m["type"], m["value"]) for result in model["results"] for m in result["metrics"]]
    # only the rows that are about this encoder
    assert figures == [(t, v) for t in ("accuracy", "mean_average_precision") for v in (0.5, 0.52, 0.53)]
    assert model["results"][1]["metrics"][0]["name"] == "pre-trained, mAP, mean of 1 run"
    assert "no recording: 64 clips" in text
    assert "| drums | 0.500 |" in text
    made_from = [project.encoder, project.encoder.with_name("run.json"), project.results / "run.json"]
    for digest in (*map(storage.file_digest, made_from), storage.read_json(made_from[1])["code"]):
        assert f"`{digest}`" in text


def test_the_card_tells_what_was_learnt_and_by_whom_it_was_taught(folder: Path, tiny: Config, tmp_path: Path) -> None:
    objectives = tiny.pretrain.objectives.model_copy(update={"physics": 0.25})
    section = tiny.pretrain.model_copy(update={"objectives": objectives})
    taught = finished(tiny.model_copy(update={"pretrain": section}), tmp_path / "taught")
    export.run(taught.encoder, taught.results, tmp_path / "told")
    plain, told = ((path / "README.md").read_text(encoding="utf-8") for path in (folder, tmp_path / "told"))
    assert head(folder)["tags"] == card.TAGS
    assert head(tmp_path / "told")["tags"] == [*card.TAGS, "supervised"]
    assert "physics" not in plain
    assert "What it learnt: a decoder reconstructed hidden patches of the spectrogram (weight 1).\n" in plain
    for claim in ("(weight 1); a linear head predicted the physics", "(weight 0.25). So the encoder was supervised"):
        assert claim in told


def test_equal_exports_are_equal_bytes(project: Project, folder: Path, tmp_path: Path) -> None:
    export.run(project.encoder, project.results, tmp_path / "again")
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def change(key: str, value: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        storage.write_json(folder / "config.json", storage.read_json(folder / "config.json") | {key: value})

    return write


def forge(folder: Path) -> None:
    """Put in other weights, and their digest with them."""
    tensors.write(folder / "model.safetensors", {"x": torch.zeros(2)}, {})
    change("weights_sha256", storage.file_digest(folder / "model.safetensors"))(folder)


def as_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"fLaC")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "hub: no such folder; `audiopg export` writes such a folder"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: no such file"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file; `audiopg export`"),
        (
            lambda folder: (folder / "config.json").write_text("{"),
            "config.json: not a JSON mapping; copy the folder again",
        ),
        (as_file, "hub: is a FLAC recording, not the weights of an audiopg encoder; `audiopg pretrain`"),
        (
            lambda folder: (folder / "config.json").write_text("[]"),
            "config.json: not a JSON mapping; copy the folder again",
        ),
        (lambda folder: (folder / "config.json").write_text("{}"), "config.json: not the configuration of an encoder"),
        (change("model_type", "bert"), "config.json: model_type is 'bert', not 'audiopg'"),
        (change("encoder", {"size": "huge", "patch_frames": 16, "patch_mels": 16}), "config.json: encoder.size: "),
        (change("clip_s", 1.27), "config.json: clip_s: 1.27 s are no whole number of patches; `audiopg export`"),
        (change("clip_s", None), "config.json: not the configuration of an encoder"),
        (change("features", {}), "config.json: features.sample_rate_hz: Field required"),
        (change("encoder", {"size": "tiny", "patch_frames": 16, "patch_mels": 16}), "model.safetensors: not made for"),
        (lambda folder: flip(folder / "model.safetensors"), "model.safetensors: damaged, or not the weights that"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors: damaged, or not the"),
        (forge, "model.safetensors: not made for the encoder and features of config.json"),
    ],
)
def test_a_damaged_folder_is_told_in_one_line(damage: Callable[[Path], object], message: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(AudiopgError) as told:
        AudioEncoder.from_pretrained(folder)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def replace_encoder(project: Project) -> None:
    """Put another encoder, with a run card of its own, in the place of the one that the table rests on."""
    card = project.encoder.with_name("run.json")
    told = storage.read_json(card)
    tensors.write(project.encoder, {k: v + 1 for k, v in project.trained.state_dict().items()}, header(project))
    told["outputs"] = {project.encoder.as_posix(): storage.file_digest(project.encoder)}
    storage.write_json(card, told)


def header(project: Project) -> dict[str, str]:
    return tensors.read(project.encoder)[1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.encoder.unlink(), "encoder.safetensors: no such checkpoint"),
        (lambda p: tensors.write(p.encoder, {}, {}), "encoder.safetensors: not the weights of an encoder"),
        (lambda p: tensors.write(p.encoder, {}, header(p)), "encoder.safetensors: Error(s) in loading state_dict"),
        (lambda p: flip(p.encoder), "run.json: describes another encoder.safetensors than "),
        (lambda p: p.encoder.with_name("run.json").unlink(), "run.json: no such file"),
        (lambda p: p.encoder.with_name("run.json").write_text("{}"), "run.json: not a run card of the stage pretrain"),
        (
            lambda p: tensors.write(p.encoder, {}, header(p) | {"encoder": "{}"}),
            "safetensors: written by another version",
        ),
        (lambda p: (p.results / "table.md").unlink(), "table.md: no such file"),
        (lambda p: flip(p.results / "table.csv", -2), "run.json: describes another table.csv than "),
        (replace_encoder, "table.csv: is not based on "),
    ],
)
def test_what_does_not_belong_together_is_not_exported(
    damage: Callable[[Project], object], message: str, project: Project, tmp_path: Path
) -> None:
    damage(project)
    with pytest.raises(AudiopgError) as told:
        export.run(project.encoder, project.results, tmp_path / "hub")
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("name", export.FILES)
def test_a_file_of_other_origin_is_not_replaced(name: str, project: Project, tmp_path: Path) -> None:
    """``--out .`` in a project would replace its README, ``--out results`` the run card of its table."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / name).write_text("mine")
    with pytest.raises(AudiopgError) as told:
        export.run(project.encoder, project.results, tmp_path / "hub")
    message = "would be replaced, and `audiopg export` did not write it; choose another folder for --out"
    assert str(told.value) == f"{tmp_path / 'hub' / name}: {message}"
    assert [path.read_text() for path in (tmp_path / "hub").iterdir()] == ["mine"]


def test_an_export_is_replaced_by_the_next(project: Project, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "README.md").write_text("changed")
    export.run(project.encoder, project.results, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_without_a_table_the_card_has_no_figures_and_a_line_says_so(
    project: Project, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export.run(project.encoder, tmp_path / "nowhere", tmp_path / "bare")
    line = f"{tmp_path / 'nowhere' / 'table.csv'}: no such file; the model card has no figures"
    assert line in capsys.readouterr().err
    text = (tmp_path / "bare" / "README.md").read_text(encoding="utf-8")
    assert "model-index" not in head(tmp_path / "bare")
    assert "This folder has no figures" in text
    assert "## Results" not in text
    for name in set(export.FILES) - {"README.md"}:
        assert (tmp_path / "bare" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.slow
def test_the_command_exports(project: Project, tmp_path: Path, waveform: torch.Tensor) -> None:
    command = [AUDIOPG, "export", "--encoder=results/pretrain/encoder.safetensors", "--out=hub"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert AudioEncoder.from_pretrained(tmp_path / "hub")(waveform).shape[0] == 3
    alone = subprocess.run([*command, "--private"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (alone.returncode, alone.stderr) == (2, "audiopg: --private: is about the repository of --push; give both\n")
    (project.results / "run.json").write_text("{}")
    wrong = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = "audiopg: results/run.json: not a run card of the stage table; `snakemake --cores all` makes it\n"
    assert (wrong.returncode, wrong.stderr) == (2, told)
