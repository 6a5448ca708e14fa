"""Mistakes in the parameters are found before either tool removes a result."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cards import nvidia_smi
from support.places import ROOT

PREFLIGHT = "audiopg/cli/preflight.py"
# at least one of each section, and of each kind: type, range, name, what sections agree on, machine, recordings
MISTAKES = {
    "seed=abc": "seed: Input should be a valid integer",
    "compute.device=cuda": "compute.device: cuda asked for",
    "synth.sources.fm.weight=-1": "synth.sources.fm.weight",
    "+synth.sources.bell={weight: 1, parameters: {}}": "synth.sources.bell: unknown primitive 'bell'",
    "synth.sources.pulse.parameters.shape.choices=[0,7]": "shape: 7 is not allowed",
    "features.n_mels=127": "features.n_mels = 127 must be a multiple of encoder.patch_mels",
    "encoder.size=mikro": "did you mean 'micro'?",
    "pretrain.mask_ratio=1.5": "pretrain.mask_ratio",
    "+pretrain.n_stepps=5": "pretrain.n_stepps: unknown key",
    "finetune.batch_size=null": "finetune.batch_size",
    "tasks.drums.clip_s=0.333": "must be a multiple of features.hop_ms",
    "+tasks.birds={manifest: birds.csv, audio_root: birds, protocol: 5-fold}": "birds.csv: not a readable list",
    "+tasks.birds={manifest: workflow/recordings/birds.csv, audio_root: birds, protocol: 3-fold}": "is not a folder",
    "probe.knn_k=100000": "probe.knn_k = 100000",
    "latent.corpora=[events,natural,evnts]": "did you mean 'events'?",
}


@pytest.fixture(scope="module")
def checked(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished project with the check that the stand-ins do without."""
    project = finished.copy(tmp_path_factory.mktemp("checked"))
    shutil.copy(ROOT / PREFLIGHT, project.root / PREFLIGHT)
    project.edit("audiopg/tasks/registry.py", "sizes=(1, 1)", "sizes=(9, 9, 9)")  # enough for the probes
    (project.root / "workflow/recordings").mkdir()
    rows = [f"{number}.wav,{'ab'[number % 2]}" for number in range(18)]
    (project.root / "workflow/recordings/birds.csv").write_text("\n".join(["path,labels", *rows]) + "\n")
    project.commit()
    return project


def results(project: Any) -> dict[str, str]:
    """Digests of all results."""
    files = [path for path in sorted((project.root / "results").rglob("*")) if path.is_file()]
    return {path.relative_to(project.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_dvc_loses_nothing_by_a_mistake(mistake: str, checked: Any) -> None:
    if mistake == "compute.device=cuda":
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("no mistake on a machine with CUDA")
    before = results(checked)
    assert "results/code.json" in before
    out = checked.run("dvc", "exp", "run", "-S", mistake, code=255)
    assert MISTAKES[mistake] in out
    assert "failed to reproduce 'code'" in out
    assert results(checked) == before
    checked.run("git", "checkout", "--quiet", "params.yaml")


@pytest.mark.slow
def test_snakemake_loses_nothing_by_a_mistake_that_only_a_stage_sees(checked: Any, tmp_path: Path) -> None:
    project = checked.copy(tmp_path)
    before = results(project)
    project.edit("params.yaml", "corpora: [", "corpora: [evnts, ")
    out = project.run("snakemake", code=2)
    assert "did you mean 'events'?" in out
    assert results(project) == before
    assert project.calls() == []


@pytest.mark.slow
def test_a_gpu_that_torch_cannot_use_ends_the_run_before_any_job(checked: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("torch can use the GPU of this machine")
    project = checked.copy(tmp_path)
    before = results(project)
    project.append("params.yaml", "# so that there is something to do")
    nvidia_smi(tmp_path / "bin", ["GPU-a"], driver="535.104.05")
    path = os.pathsep.join([str(tmp_path / "bin"), project.environment()["PATH"]])
    out = project.run("snakemake", "--forcerun", "latent", code=2, PATH=path)
    (line,) = [line for line in out.splitlines() if line.startswith("audiopg: ")]
    assert "torch cannot use the GPU of this machine: driver 535.104.05 is too old" in line
    assert results(project) == before
    assert project.calls() == []
    project.edit("params.yaml", "  device: auto", "  device: cpu")
    assert "latent" in project.run("snakemake", "--forcerun", "latent", PATH=path)
