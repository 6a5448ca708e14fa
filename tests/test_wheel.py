"""What ``pip install audiopg`` brings: a wheel of a clean source, in environments of its own, outside a checkout."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from support.encoders import checkpoint
from support.environments import Environment, environment
from support.places import ROOT

from audiopg import storage
from audiopg.config import Config, profile
from audiopg.provenance import code_digest

pytestmark = pytest.mark.slow
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
SEEDS = [ROOT / "docs" / "results" / "small" / f"seed{seed}" for seed in (42, 43)]


class Built(NamedTuple):
    """A wheel, a source distribution, and what they were built from."""

    source: list[str]
    wheel: Path
    sdist: Path


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build as pip does, with the installed setuptools; ``kind`` is ``build_wheel`` or ``build_sdist``."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, kind, folder]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("built")
    files = [file for file in listed.stdout.splitlines() if (ROOT / file).exists()]
    for file in files:
        target = folder / "source" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target, follow_symlinks=False)
    sdist = build("build_sdist", folder / "source", folder / "dist")
    return Built(files, build("build_wheel", folder / "source", folder / "dist"), sdist)


@pytest.fixture(scope="module")
def light(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The package with no extra."""
    return environment(tmp_path_factory.mktemp("light"), built.wheel)


@pytest.fixture(scope="module")
def workflow(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The package with the extra ``workflow``."""
    return environment(tmp_path_factory.mktemp("workflow"), built.wheel, ["workflow"])


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(built: Built) -> None:
    package = {file for file in built.source if file.startswith("audiopg/")}
    links = {file for file in package if (ROOT / file).is_symlink() and (ROOT / file).is_dir()}
    behind = {f"{link}/{path.name}" for link in links for path in (ROOT / link).iterdir() if path.name != "__pycache__"}
    found = {name for name in members(built.wheel) if ".dist-info/" not in name}
    assert found == package - links | behind


def test_the_source_distribution_has_all_but_results_and_makes_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    assert [file for file in built.source if not (top / file).exists() and not file.startswith("results/")] == []
    again = build("build_wheel", top, tmp_path / "dist")
    assert members(again) == members(built.wheel)
    with zipfile.ZipFile(built.wheel) as one, zipfile.ZipFile(again) as other:
        assert all(one.read(name) == other.read(name) for name in members(again) if ".dist-info/" not in name)


def test_a_light_install_has_nothing_of_the_workflow(light: Environment, tmp_path: Path) -> None:
    for module in ("snakemake", "dvc", "dvclive", "matplotlib", "sklearn", "PIL", "psutil", "transformers", "onnx"):
        light.run("python", "-c", f"import {module}", cwd=tmp_path, code=1)
    place = light.run("python", "-c", "import audiopg; print(audiopg.__file__)", cwd=tmp_path).stdout
    assert Path(place.strip()).parent == light.packages / "audiopg"


def test_a_light_install_sets_up_lists_compares_and_estimates(light: Environment, tmp_path: Path) -> None:
    assert "render" in light.run("audiopg", "--help", cwd=tmp_path).stdout
    light.run("audiopg", "profile", "quick", cwd=tmp_path)
    assert (tmp_path / "params.yaml").read_text() == profile.text("quick")
    assert "pretrain" in light.run("audiopg", "cost", cwd=tmp_path).stdout
    assert "CC BY-SA 4.0" in light.run("audiopg", "fetch", "--dry-run", cwd=tmp_path).stdout
    assert "corrected t" in light.run("audiopg", "compare", *SEEDS, cwd=tmp_path).stdout
    (tmp_path / "birds" / "owl").mkdir(parents=True)
    shutil.copy(ROOT / "LICENSE", tmp_path / "birds" / "owl" / "1.wav")
    light.run("audiopg", "list", "birds", "--out", "birds.csv", cwd=tmp_path)
    assert "owl" in (tmp_path / "birds.csv").read_text()


def test_a_light_install_renders_and_embeds(light: Environment, tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    light.run("audiopg", "render", "--index", "0:2", "--out", "heard", cwd=tmp_path)
    assert {path.name for path in (tmp_path / "heard").glob("*.flac")} == {"000000.flac", "000001.flac"}
    assert not set(storage.read_json(tmp_path / "heard" / "run.json")["versions"]) & {"scikit-learn", "torchaudio"}
    weights = checkpoint(tmp_path / "encoder", tiny)
    light.run("audiopg", "embed", "heard", "--checkpoint", weights, "--out", "x.csv", cwd=tmp_path)
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 3
    light.run("audiopg", "embed", "heard", "--out", "y.parquet", cwd=tmp_path)  # with the encoder of the package
    code = "import audiopg as a; print(*a.corpus(clip_s=2.56)[3][0].shape, a.AudioEncoder.pretrained().embedding_size)"
    assert light.run("python", "-c", code, cwd=tmp_path).stdout == "40960 7680\n"


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (["render", "--preset", "world", "--index", "0", "--out", "x", "--sheet", "x.png"], "matplotlib"),
        (["compare", *map(str, SEEDS), "--along", "pretrain.n_steps", "--picture", "x.png"], "matplotlib"),
        (["latent", "--encoder", "x", "--model", "x", "--out-dir", "x"], "scikit-learn"),
        (["sync"], "dvc"),
    ],
)
def test_what_needs_the_workflow_says_so(
    arguments: list[str], package: str, light: Environment, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    done = light.run("audiopg", *arguments, cwd=tmp_path, code=2)
    assert done.stderr == f"audiopg: {package} is not installed; pip install 'audiopg[workflow]' brings it\n"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_new_project_tells_a_light_install_what_to_install(light: Environment, tmp_path: Path) -> None:
    assert "pip install 'audiopg[workflow]'\n" in light.run("audiopg", "init", "new", cwd=tmp_path).stdout


def test_a_new_project_runs_with_the_extra_workflow(workflow: Environment, tmp_path: Path) -> None:
    workflow.run("audiopg", "init", "new", cwd=tmp_path)
    project = tmp_path / "new"
    planned = workflow.run("python", "-m", "snakemake", "--cores", "1", "--dry-run", cwd=project).stdout
    assert {"pretrain", "finetune", "probe", "latent", "render", "table"} <= set(planned.split())
    workflow.run("audiopg", "code", "--out", "code.json", cwd=project)
    found = storage.read_json(project / "code.json")
    digests = code_digest.stage_digests(ROOT / code_digest.RULES)
    assert {stage: found[stage] for stage in digests} == digests
    refused = workflow.run("audiopg", "init", ".", cwd=project, code=2).stderr
    assert refused == "audiopg: params.yaml: is there already; choose another folder\n"
