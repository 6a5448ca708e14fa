"""A large corpus in shards: a graph of its own, which continues after a kill and gives the same bytes."""

import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

CORPUS = ("snakemake", "--snakefile", "workflow/corpus.smk")
SIZE = ("--config", "clips=500", "clips_per_shard=200")
FILES = {f"clips-{number:06d}.{suffix}" for number in range(3) for suffix in ("tar", "json")} | {"SHA256SUMS"}
PATIENCE_S = 120


def wait(ready: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.01)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kill_in_the_second_shard(project: Any) -> Path:
    """Kill Snakemake, and nothing else, while it has one shard and makes another; return the finished one."""
    out = project.root / "corpus"
    process = subprocess.Popen(
        [*CORPUS, *SIZE, "--cores", "1"],
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait(lambda: list(out.glob("clips-*.json")) and list(out.glob(".*.part.tar")))
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.kill()
    process.wait()
    psutil.wait_procs(family, timeout=PATIENCE_S)
    (finished,) = out.glob("clips-*.json")
    return finished.with_suffix(".tar")


@pytest.mark.slow
def test_a_killed_run_continues_with_the_missing_shards_and_gives_the_same_bytes(checkout: Any, tmp_path: Path) -> None:
    whole, killed = checkout.copy(tmp_path / "whole"), checkout.copy(tmp_path / "killed")
    whole.run(*CORPUS, *SIZE, "--cores", "2")
    kept = kill_in_the_second_shard(killed)
    assert not (killed.root / "corpus" / "SHA256SUMS").exists()
    before = kept.stat()
    killed.run(*CORPUS, *SIZE, "--unlock")
    killed.run(*CORPUS, *SIZE, "--cores", "1")
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    expected = contents(whole.root / "corpus")
    assert expected.keys() == FILES
    assert contents(killed.root / "corpus") == expected
    assert "Nothing to be done" in killed.run(*CORPUS, *SIZE)
    killed.edit("params.yaml", "seed: 42", "seed: 43")
    assert "params have changed" in killed.run(*CORPUS, *SIZE, "--dry-run")
    assert killed.run("git", "status", "--porcelain") == " M params.yaml\n"


def test_a_mistake_in_the_settings_is_one_line_and_no_job(checkout: Any) -> None:
    said = checkout.run(*CORPUS, "--config", "clip=5", code=1)
    assert "audiopg: --config: unknown name 'clip'; did you mean 'clips'?" in said


def test_the_results_do_not_know_of_it(checkout: Any) -> None:
    assert not any("corpus" in Path(output).parts for output in checkout.pending())
