"""The whole graph through a real Slurm cluster of one node, which lives as long as these tests do.

Its daemons listen on loopback only and keep everything in a temporary folder; its two GPUs are made up, so that they
can be asked for.
"""

import filecmp
import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
INSTALL = "apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge"
# without a data base for accounting only `squeue` tells how jobs ended, and here jobs are short
SLURM = (
    *("snakemake", "--workflow-profile", "workflow/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
)
# too little for any job, so that what it asks for must come from its rule
DEFAULTS = ("--default-resources", "mem_mb=1", "runtime=1")
CPU_RULES = {"code", "prepare", "decode", "aggregate", "table", "render", "gallery"}
GPU_RULES = {"pretrain", "finetune", "probe", "latent"}
CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# no cgroups, which a container may lack; a step that takes too much memory is ended all the same
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# jobs are looked at when a run is over, which takes longer than the five minutes that Slurm remembers them by itself
MinJobAge=86400
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# more memory than there may be
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:2
PartitionName=main Nodes=node Default=YES
"""
GRES = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"
# the executor starts srun without SLURM_CONF, since a cluster has its file in /etc
SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One idle node, which the programs of Slurm find by the environment."""
    if not all(map(shutil.which, PROGRAMS)):
        install()
    folder = tmp_path_factory.mktemp("slurm")
    configure(folder)
    munge = ["munged", "--foreground", f"--socket={folder}/munge.socket"]
    munge += ["--force"]  # although nobody else may enter the folder
    munge += [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        env = stack.enter_context(pytest.MonkeyPatch.context())
        env.setenv("SLURM_CONF", f"{folder}/slurm.conf")
        env.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "node"]):
            log = stack.enter_context((folder / f"{command[0]}.out").open("w"))
            daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(stop, daemon)
            wait((folder / "munge.socket").exists, folder)
        wait(lambda: tell("sinfo", "--noheader", "--format=%T").strip() == "idle", folder)
        yield


def install() -> None:
    """Install Slurm where nobody minds, and skip elsewhere."""
    if not (os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get")):
        pytest.skip(f"no Slurm here; as root with CI=true this is done by itself: {INSTALL}")
    done = subprocess.run(
        ["sh", "-c", INSTALL],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"Slurm cannot be installed: {done.stderr.strip()}")


def configure(folder: Path) -> None:
    """Write the cluster's settings, its key and its ``srun``."""
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    ctld_port, d_port = free_ports()
    conf = CONF.format(
        folder=folder,
        host=socket.gethostname(),
        user=getpass.getuser(),
        cpus=max(2, os.cpu_count() or 2),
        ctld_port=ctld_port,
        d_port=d_port,
    )
    (folder / "slurm.conf").write_text(conf)
    (folder / "gres.conf").write_text(GRES)
    (folder / "bin/srun").write_text(SRUN.format(folder=folder, srun=shutil.which("srun")))
    (folder / "bin/srun").chmod(0o755)


def free_ports() -> list[int]:
    """Return two ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return [one.getsockname()[1], two.getsockname()[1]]


def wait(ready: Callable[[], bool], folder: Path) -> None:
    """Wait until something is so, and show what the daemons say if it does not happen."""
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, "\n".join(path.read_text() for path in sorted(folder.glob("*.out")))
        time.sleep(0.2)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    daemon.wait(timeout=60)


def tell(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def jobs(project: Any) -> dict[str, list[dict[str, str]]]:
    """Return what Slurm knows of the jobs of a project, by rule."""
    lines = tell("scontrol", "show", "job", "--oneliner").splitlines()
    fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines]
    out: dict[str, list[dict[str, str]]] = {}
    for job in fields:
        if job["WorkDir"] == str(project.root):
            out.setdefault(job["Comment"].removeprefix("rule_").partition("_wildcards_")[0], []).append(job)
    return out


def minutes(limit: str) -> int:
    """Read Slurm's ``[days-]hours:minutes:seconds``."""
    days, _, clock = limit.rpartition("-")
    hours, mins, _ = map(int, clock.split(":"))
    return 1440 * int(days or 0) + 60 * hours + mins


def resources(out: str) -> dict[str, dict[str, str]]:
    """Return what Snakemake says that jobs need, by rule."""
    blocks = re.findall(r"^rule (\w+):\n((?: {4}.*\n)+)", out, flags=re.MULTILINE)
    return {rule: {"threads": "1", **dict(re.findall(r"(\w+)[=:] ?(\w+)(?=,|\n)", text))} for rule, text in blocks}


@pytest.fixture(scope="module")
def cuda(fresh: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """The small project, made for GPUs and by Slurm, and what Snakemake said; not to be changed."""
    project = fresh.copy(tmp_path_factory.mktemp("cuda"))
    project.edit("params.yaml", "  instruments: {clip_s: 0.32}", "  ")
    project.edit("params.yaml", "  device: auto", "  device: cuda")
    project.commit()
    return project, project.run(*SLURM, *DEFAULTS)


@pytest.fixture
def made(cuda: tuple[Any, str], tmp_path: Path) -> Any:
    """A copy of that project to play with."""
    project: Any = cuda[0].copy(tmp_path)
    return project


def test_a_run_on_the_cluster_gives_the_same_bytes_as_one_here(plain: Any, real: Any, tmp_path: Path) -> None:
    project = plain.copy(tmp_path)
    assert "results recorded in dvc.lock" in project.run(*SLURM)
    asked = jobs(project)
    assert set(asked) == CPU_RULES | GPU_RULES
    assert not any("TresPerJob" in job for submitted in asked.values() for job in submitted)
    assert "Nothing to be done" in project.run(*SLURM)
    assert project.stale() == set()
    there, here = project.root / "results", real.root / "results"
    results = [path.relative_to(here) for path in here.rglob("*") if path.is_file()]
    assert Path("table.csv") in results
    assert filecmp.cmpfiles(there, here, results, shallow=False)[1:] == ([], [])


def test_a_job_asks_slurm_for_what_its_rule_needs(cuda: tuple[Any, str]) -> None:
    project, out = cuda
    needs = resources(out)
    asked = jobs(project)
    assert set(asked) == CPU_RULES | GPU_RULES
    for rule, submitted in asked.items():
        for job in submitted:
            assert job["MinMemoryNode"] == f"{needs[rule]['mem_mb']}M", rule
            assert minutes(job["TimeLimit"]) == int(needs[rule]["runtime"]) > 1, rule
            assert job["NumCPUs"] == needs[rule]["threads"], rule
            assert job.get("TresPerJob") == ("gres:gpu:1" if rule in GPU_RULES else None), rule


def test_a_corpus_is_a_job_per_shard(plain: Any, tmp_path: Path) -> None:
    project = plain.copy(tmp_path)
    project.run(*SLURM, "--snakefile", "workflow/corpus.smk", "--config", "clips=30", "clips_per_shard=10")
    asked = jobs(project)
    assert {rule: len(submitted) for rule, submitted in asked.items()} == {"shard": 3, "corpus": 1}
    assert {minutes(job["TimeLimit"]) for job in asked["shard"]} == {120}
    assert (project.root / "corpus" / "SHA256SUMS").read_text().count("\n") == 3


def test_a_failing_stage_and_a_job_over_its_limit_are_shown_with_their_logs(made: Any) -> None:
    limit = ("--forcerun", "code", "latent", "--set-resources", "code:mem_mb=20", "--keep-going")
    out = made.run(*SLURM, *limit, code=1, STUB_FAILS="latent")
    assert "Error in rule latent:" in out
    assert "audiopg: latent fails on demand" in out
    assert "Error in rule code:" in out
    (log,) = re.findall(r"^    log: logs/code\.log, (\S+)", out, flags=re.MULTILINE)
    assert "exceeded memory limit" in Path(log).read_text()
    assert "recorded in dvc.lock" not in out


def test_jobs_are_not_stopped_by_what_earlier_jobs_changed(made: Any) -> None:
    made.edit("params.yaml", "  n_null: 20", "  n_null: 21")
    # without the hooks nothing tells the guard that results change from now on, as on a node that sees old files
    made.run(*SLURM, "--no-hooks")
    assert made.calls() == ["latent", "table"]
