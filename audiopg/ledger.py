"""Keeps two memories in step: what Snakemake remembers of its runs, and what dvc.lock says about the files.

`track` records in dvc.lock what Snakemake vouches for, `sync` tells Snakemake what dvc.lock vouches for; each is
refused where the other tool would still do something. `guard` stops a run while the two are about different files.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from audiopg import closure, config, params, storage
from audiopg.errors import AudiopgError
from audiopg.tasks import own

LOCK = Path("dvc.lock")
STAMP = Path(".snakemake/ledger.json")  # the results that both knew when they last agreed
CODE = Path("results/code.json")
# where the results of each task lie: DVC takes some as whole folders, git whatever is there
FOLDERS = tuple(Path("results", name) for name in ("tasks", "finetune", "probe", "metrics"))
SWITCH = "AUDIOPG_LEDGER"  # "off": no guard; "inside": a call by this module, nothing at all
RUN = "AUDIOPG_RUN"  # for whom a process works: number of a job's Snakemake, or of Snakemake's `dvc repro`
LOOK_S = 0.1  # how often a process looks whether those that started it are there
GRACE_S = 0.5  # how long it may then take to remove its temporary files
SHOWN = 5


def guard() -> None:
    """Stop unless Snakemake's memory is about the files that are here; the Snakefile calls it first.

    Raises:
        AudiopgError: the files came from DVC (checkout, pull, repro), and Snakemake does not know them.
    """
    os.environ[RUN] = str(os.getpid())  # whom the jobs follow
    # a lock that a killed run left behind has to go before anything else, and no result depends on it
    if _managed() or os.environ.get(SWITCH) == "off" or not LOCK.exists() or "--unlock" in sys.argv:
        return
    recorded = _recorded()
    if STAMP.exists():
        seen = storage.read_json(STAMP)
        # a run that was killed while it recorded has left dvc.lock as it was or as it should be, for these very files
        known = recorded if seen.get("recording") else seen["digests"]
        unknown = [path for path in recorded if known.get(path) != recorded[path]]
        changed = [path for path, state in seen["states"].items() if _state(Path(path)) != state]
        if seen.get("recording"):  # DVC writes the files in its cache anew; another version has other numbers in git
            changed = sorted({*changed} - {*_cached(changed)})
        unknown = unknown or changed
    else:
        unknown = _cached(recorded)
    if unknown:
        msg = (
            f"dvc.lock describes results that Snakemake has not seen ({_some(unknown)})\n"
            "  take them over:    audiopg sync     (in a new clone: dvc pull && audiopg sync)\n"
            "  or make them all:  AUDIOPG_LEDGER=off snakemake --forceall"
        )
        raise AudiopgError(msg)


def begin() -> None:
    """Note that from now on Snakemake itself changes the files that the guard let pass."""
    if not _managed() and os.environ.get(SWITCH) != "off" and LOCK.exists():
        storage.write_json(STAMP, {"digests": _recorded(), "states": {}})


def follow() -> None:
    """End this process when the one it works for is gone: a job calls this, and Snakemake, which may be DVC's.

    Nobody tells the children of a process that `kill -9`, the kernel for want of memory, or a cluster ends. They would
    go on writing, with the parameters of then, into folders that the next run has begun to fill; and a Snakemake whose
    `dvc repro` is gone would go on for hours while the next one deletes its outputs.
    """
    number = os.environ.get(RUN, "")
    if not number:
        return
    above: list[psutil.Process] = []  # the shell between is watched, too: Snakemake takes its end for the job's
    for process in psutil.Process().parents():
        above.append(process)
        if str(process.pid) == number:
            break
    else:
        above = []  # gone before this process came to look
    threading.Thread(target=_watch, args=(above,), daemon=True).start()


def end() -> None:
    """Record a successful run in dvc.lock, or say why not; under `dvc repro` DVC does that itself."""
    if _managed():
        return
    try:
        track()
    except AudiopgError as error:
        sys.stderr.write(f"audiopg: dvc.lock is as it was: {error}\n")


def track() -> None:
    """Record in dvc.lock and in DVC's cache what Snakemake made.

    Raises:
        AudiopgError: this is no DVC repository, Snakemake would still update something, or there are results that no
            rule or no longer the present code makes.
    """
    missing = [name for name in (".git", ".dvc") if not Path(name).exists()]
    if missing:
        msg = f"results are tracked in a git checkout with DVC only, and here is no {' and no '.join(missing)}"
        raise AudiopgError(msg)
    plan = _plan()
    stale = [path for path, todo in plan.items() if todo != "no update"]
    if stale:
        msg = f"{len(stale)} of {len(plan)} results are still to be made ({_some(stale)}); run `snakemake`"
        raise AudiopgError(msg)
    if storage.read_json(CODE) != watched(params.load(Path("params.yaml"))):
        msg = f"{CODE} is not about the present code; run `snakemake --forcerun code`"
        raise AudiopgError(msg)
    orphans = _orphans(plan)
    if orphans:
        msg = (
            f"no rule makes {_some(orphans)}; delete what is left over from other parameters and track the rest:\n"
            f"  rm -r {' '.join(orphans)} && audiopg track"
        )
        raise AudiopgError(msg)
    storage.write_json(STAMP, {"digests": {}, "states": {path: _state(Path(path)) for path in plan}, "recording": True})
    _commit(plan)
    _stamp()
    sys.stderr.write(f"audiopg: {len(plan)} results recorded in dvc.lock\n")


def watched(cfg: config.Config) -> dict[str, Any]:
    """Return what results depend on besides parameters and results: digests of code, and of lists of own recordings."""
    recordings = {task: own.digest(section) for task, section in cfg.tasks.items()}
    return {**closure.stage_digests(), "recordings": recordings}


def sync() -> None:
    """Check out what dvc.lock describes, and record it in Snakemake's memory.

    Raises:
        AudiopgError: files are not in DVC's cache, or dvc.lock is not about the present parameters and code.
    """
    try:
        _call("dvc", "checkout")
    except AudiopgError as error:
        msg = f"{error}; `dvc pull` fetches results that are not on this machine"
        raise AudiopgError(msg) from error
    changed = json.loads(_call("dvc", "status", "--json"))
    if changed:
        msg = f"dvc.lock does not vouch for {_some(sorted(changed))}; see `dvc status`; `dvc repro`, then sync again"
        raise AudiopgError(msg)
    _call("snakemake", "--touch", "--forceall", "--cores", "1", "--quiet")
    _stamp()
    sys.stderr.write("audiopg: Snakemake knows the results in dvc.lock\n")


def _managed() -> bool:
    """Tell whether somebody else keeps the memories in step: `dvc repro`, which sets DVC_STAGE, or this module."""
    return "DVC_STAGE" in os.environ or os.environ.get(SWITCH) == "inside"


def _watch(above: list[psutil.Process]) -> None:
    while above and all(_alive(process) for process in above):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:  # gone meanwhile
        return False


def _commit(plan: dict[str, str]) -> None:
    """Let DVC record the results, and forget those of tasks that there are no more, which by itself it keeps."""
    made = _made(plan)
    before = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    if before and any(Path(path) not in made for path in _recorded()):
        LOCK.unlink()  # what is there is then recorded anew
    try:
        _call("dvc", "--wait-for-lock", "commit", "--force")  # that of a run killed just now may be about to end
    except AudiopgError:
        if before and not LOCK.exists():
            storage.write_text(LOCK, before)
        raise


def _made(plan: dict[str, str]) -> set[Path]:
    """Return all outputs, and the folders that hold them."""
    return {path for output in plan for path in [Path(output), *Path(output).parents]}


def _recorded() -> dict[str, str]:
    """Return the digest of every file or folder that dvc.lock describes."""
    stages = params.read_yaml(LOCK).get("stages", {})
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def _cached(recorded: Iterable[str]) -> list[str]:
    """List the results that are here although git does not carry them."""
    there = "\n".join(path for path in recorded if Path(path).exists())
    try:
        ignored = subprocess.run(
            ["git", "check-ignore", "--stdin"], input=there, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # without git nothing was checked out
        return []
    return ignored.stdout.splitlines()


def _state(path: Path) -> list[int]:
    """Return how many files there are, how large they are and when one was last written."""
    stats = [file.stat() for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def _stamp() -> None:
    recorded = _recorded()
    storage.write_json(STAMP, {"digests": recorded, "states": {path: _state(Path(path)) for path in _cached(recorded)}})


def _plan() -> dict[str, str]:
    """Return what Snakemake would do with each output of the whole graph; "no update" is nothing."""
    lines = _call("snakemake", "--summary").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("output_file\t"))
    header = lines[first].split("\t")
    rows = [line.split("\t") for line in lines[first + 1 :]]
    return {row[0]: row[header.index("plan")] for row in rows if len(row) == len(header)}


def _orphans(plan: dict[str, str]) -> list[str]:
    """List the files and whole folders that DVC or git would take although no rule makes anything in them."""
    made = _made(plan)
    found = [path for folder in FOLDERS for path in folder.rglob("[!.]*") if path not in made and path.parent in made]
    full = [path for path in found if any(file.is_file() for file in [path, *path.rglob("[!.]*")])]
    return sorted(path.as_posix() for path in full)


def _call(tool: str, *arguments: str) -> str:
    """Run Snakemake or DVC and return what it writes."""
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, SWITCH: "inside"},
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        msg = f"{tool} {' '.join(arguments)}: {reason}"
        raise AudiopgError(msg)
    return done.stdout


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
