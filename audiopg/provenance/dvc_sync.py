"""Keeps two records in agreement: Snakemake's record of its runs, and dvc.lock about the files.

`track` records in dvc.lock the results that are up to date for Snakemake; `sync` records in Snakemake the results that
are up to date for dvc.lock. Each is refused while the other tool would still run something. `guard` stops a run while
the two records describe different files.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from audiopg import config, storage
from audiopg.config import params
from audiopg.errors import AudiopgError
from audiopg.provenance import code_digest, verify
from audiopg.provenance.commands import SWITCH, call
from audiopg.provenance.verify import some
from audiopg.tasks import own

LOCK = Path("dvc.lock")
STAMP = Path(".snakemake/dvc_sync.json")  # the results in both records when they last agreed
CODE = Path("results/code.json")
# where results are: DVC takes some as whole folders, git takes all files that are there
FOLDERS = tuple(
    Path("results", name)
    for name in ("tasks", "decoded", "finetune", "probe", "summary", "metrics", "sound/clips", "sound/gallery")
)


def guard() -> None:
    """Stop unless Snakemake's record describes the files that are here; the Snakefile calls it first.

    Raises:
        AudiopgError: the files came from DVC (checkout, pull, repro), and Snakemake has no record of them.
    """
    # first remove the lock that a killed run left; no result depends on it
    if _managed() or os.environ.get(SWITCH) == "off" or not LOCK.exists() or "--unlock" in sys.argv:
        return
    recorded = _recorded()
    if STAMP.exists():
        seen = storage.read_json(STAMP)
        # a run that was killed while it recorded left dvc.lock either unchanged or complete for exactly these files
        known = recorded if seen.get("recording") else seen["digests"]
        unknown = [path for path in recorded if known.get(path) != recorded[path]]
        # Snakemake makes deleted files again
        there = {path: state for path, state in seen["states"].items() if Path(path).exists()}
        changed = [path for path, state in there.items() if _state(Path(path)) != state]
        if seen.get("recording"):  # DVC rewrites the files in its cache; another version has other numbers in git
            changed = sorted({*changed} - {*_cached(changed)})
        unknown = unknown or changed
    else:
        unknown = _cached(recorded)
    if unknown:
        msg = (
            f"dvc.lock describes results that Snakemake has not seen ({some(unknown)})\n"
            "  accept them:       audiopg sync     (in a new clone: dvc pull && audiopg sync)\n"
            "  or make them all:  AUDIOPG_DVC_SYNC=off snakemake --forceall"
        )
        raise AudiopgError(msg)


def begin() -> None:
    """Note that from now on Snakemake itself changes the files that the guard accepted."""
    if not _managed() and os.environ.get(SWITCH) != "off" and LOCK.exists():
        storage.write_json(STAMP, {"digests": _recorded(), "states": {}})


def end() -> None:
    """Record a successful run in dvc.lock, or print why not; under `dvc repro` DVC does that itself."""
    if _managed():
        return
    try:
        track()
    except AudiopgError as error:
        sys.stderr.write(f"audiopg: dvc.lock was not changed: {error}\n")


def track() -> None:
    """Record Snakemake's results in dvc.lock and in DVC's cache.

    Raises:
        AudiopgError: this is not a DVC repository, Snakemake would still update something, or there are results that no
            rule or no longer the present code makes.
    """
    missing = [name for name in (".git", ".dvc") if not Path(name).exists()]
    if missing:
        msg = (
            f"results can be tracked only in a git checkout with DVC, and this folder has no {' and no '.join(missing)}"
        )
        raise AudiopgError(msg)
    plan = _plan()
    stale = [path for path, todo in plan.items() if todo != "no update"]
    if stale:
        msg = f"{len(stale)} of {len(plan)} results are still to be made ({some(stale)}); run `snakemake`"
        raise AudiopgError(msg)
    cfg = params.load(Path("params.yaml"))
    if storage.read_json(CODE) != watched(cfg):
        msg = f"{CODE} does not describe the present code; run `snakemake --forcerun code`"
        raise AudiopgError(msg)
    orphans = _orphans(plan)
    if orphans:
        msg = (
            f"no rule makes {some(orphans)}; delete what is left over from other parameters and track the rest:\n"
            f"  rm -r {shlex.join(orphans)} && audiopg track"
        )
        raise AudiopgError(msg)
    cards = verify.results_cards()
    wrong = [*verify.disagreements(cards, cfg), *verify.damaged(cards)]
    if wrong:
        msg = f"{some(wrong, '; ')}; `snakemake --forcerun STAGE` makes results again"
        raise AudiopgError(msg)
    storage.write_json(STAMP, {"digests": {}, "states": {path: _state(Path(path)) for path in plan}, "recording": True})
    _commit(plan)
    _stamp()
    sys.stderr.write(f"audiopg: {len(plan)} results recorded in dvc.lock\n")


def watched(cfg: config.Config) -> dict[str, Any]:
    """Return the facts that DVC cannot see in parameters and results.

    These are digests of code and of lists of own recordings, and clip length and training share, which may be left to
    their defaults.
    """
    recordings = {task: own.digest(section) for task, section in cfg.tasks.items()}
    clip_s = {task: section.clip_s for task, section in cfg.tasks.items()}
    train_share = {task: section.train_share for task, section in cfg.tasks.items()}
    return {**code_digest.stage_digests(), "recordings": recordings, "clip_s": clip_s, "train_share": train_share}


def sync() -> None:
    """Check out the results in dvc.lock, and mark them as up to date for Snakemake.

    Raises:
        AudiopgError: files are not in DVC's cache, or dvc.lock does not match the present parameters and code.
    """
    try:
        call("dvc", "checkout")
    except AudiopgError as error:
        remedy = (
            "results changed here are not recorded; `audiopg track` records them, `dvc checkout --force` drops them"
            if "--force" in str(error)
            else "`dvc pull` fetches results that are not on this machine"
        )
        msg = f"dvc checkout: {remedy}"
        raise AudiopgError(msg) from error
    changed = json.loads(call("dvc", "status", "--json"))
    if changed:
        msg = f"dvc.lock does not match {some(sorted(changed))}; see `dvc status`, run `dvc repro`, then sync again"
        raise AudiopgError(msg)
    call("snakemake", "--touch", "--forceall", "--cores", "1", "--quiet")
    _stamp()
    sys.stderr.write("audiopg: Snakemake knows the results in dvc.lock\n")


def _managed() -> bool:
    """Return whether the records are kept elsewhere: by `dvc repro`, which sets DVC_STAGE, or by this module."""
    return "DVC_STAGE" in os.environ or os.environ.get(SWITCH) == "inside"


def _commit(plan: dict[str, str]) -> None:
    """Let DVC record the results, and drop those of removed tasks, which DVC alone would keep."""
    made = _made(plan)
    before = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    if before and any(Path(path) not in made for path in _recorded()):
        LOCK.unlink()  # DVC then records the present files from scratch
    try:
        call("dvc", "--wait-for-lock", "commit", "--force")  # a run killed just now may still hold the lock
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
    """List the results that are here but not in git."""
    there = "\n".join(path for path in recorded if Path(path).exists())
    try:
        ignored = subprocess.run(
            ["git", "check-ignore", "--stdin"], input=there, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # without git nothing was checked out
        return []
    return ignored.stdout.splitlines()


def _state(path: Path) -> list[int]:
    """Return the number of files, their total size and the time of the last write."""
    stats = [file.stat() for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    return [len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def _stamp() -> None:
    recorded = _recorded()
    storage.write_json(STAMP, {"digests": recorded, "states": {path: _state(Path(path)) for path in _cached(recorded)}})


def _plan() -> dict[str, str]:
    """Return what Snakemake would do with each output of the whole graph; "no update" is nothing."""
    lines = call("snakemake", "--summary").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("output_file\t"))
    header = lines[first].split("\t")
    rows = [line.split("\t") for line in lines[first + 1 :]]
    return {row[0]: row[header.index("plan")] for row in rows if len(row) == len(header)}


def _orphans(plan: dict[str, str]) -> list[str]:
    """List files and whole folders that DVC or git would take although no rule makes them."""
    made = _made(plan)
    found = [path for folder in FOLDERS for path in folder.rglob("[!.]*") if path not in made and path.parent in made]
    full = [path for path in found if any(file.is_file() for file in [path, *path.rglob("[!.]*")])]
    return sorted(path.as_posix() for path in full)
