"""What runs beside what on a machine with GPUs: stand-ins for stages and cards, the real rules and scheduler."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.cards import nvidia_smi

GPU_STAGES = {"pretrain", "finetune", "probe", "latent"}


class Job(NamedTuple):
    """One call of a stage: its name, when it began and ended, and the GPUs that it saw."""

    stage: str
    began: float
    ended: float
    card: str

    def beside(self, other: "Job") -> bool:
        """Whether both ran at the same time."""
        return self is not other and self.began < other.ended and other.began < self.ended


@pytest.fixture
def cuda(fresh: Any, tmp_path: Path) -> Any:
    """The project for GPUs, with the threads of profile `paper` and nothing made yet."""
    project = fresh.copy(tmp_path)
    project.edit("params.yaml", "  device: auto", "  device: cuda")
    text = (project.root / "params.yaml").read_text()
    before, middle, after = text.partition("finetune:")
    (project.root / "params.yaml").write_text(before.replace("  n_threads: 2", "  n_threads: 4") + middle + after)
    project.commit()
    nvidia_smi(tmp_path / "bin", ["GPU-a", "GPU-b"])
    return project


def run(project: Any, folder: Path, *options: str, **env: str) -> list[Job]:
    """Make everything, and return all calls."""
    path = os.pathsep.join([str(folder / "bin"), project.environment()["PATH"]])
    times = folder / "times"
    project.run("snakemake", *options, PATH=path, TMPDIR=str(folder), STUB_TIMES=str(times), **env)
    rows = [line.split() for line in times.read_text().splitlines()]
    return [Job(stage, float(began), float(ended), card) for stage, began, ended, card in rows]


@pytest.mark.slow
def test_with_two_gpus_each_job_has_its_own(cuda: Any, tmp_path: Path) -> None:
    jobs = run(cuda, tmp_path, "--cores", "4", "--resources", "gpu=2", "net=1", STUB_PAUSE="0.2")
    on_cards = [job for job in jobs if job.stage in GPU_STAGES]
    assert {job.stage for job in on_cards} == GPU_STAGES
    assert {job.card for job in on_cards} == {"GPU-a", "GPU-b"}
    pairs = [(one, other) for one in on_cards for other in on_cards if one.beside(other)]
    assert pairs
    assert all(one.card != other.card for one, other in pairs)
    assert {job.card for job in jobs if job.stage not in GPU_STAGES} == {"-"}


@pytest.mark.slow
def test_downloads_and_decoding_run_beside_the_pre_training(cuda: Any, tmp_path: Path) -> None:
    jobs = run(cuda, tmp_path, "--cores", "8", STUB_LASTS="pretrain:decode:2", STUB_PAUSE_fetch="8")
    (pretrain,) = [job for job in jobs if job.stage == "pretrain"]
    for stage in ("fetch", "prepare", "decode"):
        assert all(job.beside(pretrain) for job in jobs if job.stage == stage), stage
    fetches, decodings = ([job for job in jobs if job.stage == stage] for stage in ("fetch", "decode"))
    assert any(fetch.beside(decode) for fetch in fetches for decode in decodings)  # neither waits for the other
    on_cards = [job for job in jobs if job.stage in GPU_STAGES]
    assert not any(one.beside(other) for one in on_cards for other in on_cards)  # profiles/default has one GPU


def test_memory_is_asked_for_what_is_mapped(finished: Any, tmp_path: Path) -> None:
    project = finished.copy(tmp_path)
    os.truncate(project.root / "results/decoded/drums/frames.f16", 300_000_000)
    out = project.run("snakemake", "--dry-run", "--quiet", "host", AUDIOPG_DVC_SYNC="off")
    blocks = re.findall(r"^rule (finetune|probe):\n((?: {4}.*\n)+)", out, flags=re.MULTILINE)
    asked = {rule: int(found[1]) for rule, text in blocks if (found := re.search(r"mem_mb=(\d+)", text))}
    assert set(asked) == {"finetune", "probe"}
    assert 8280 < asked["finetune"] < 8400
    assert asked["probe"] > 4280
