"""Keeps two memories in step: what Snakemake remembers of its runs, and what dvc.lock says about the files.

`track` records in dvc.lock what Snakemake vouches for, `sync` tells Snakemake what dvc.lock vouches for; each is
refused where the other tool would still do something. `guard` stops a run while the two are about different files.
"""

import json
import os
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
from audiopg.tasks import own

LOCK = Path("dvc.lock")
STAMP = Path(".snakemake/dvc_sync.json")  # the results that both knew when they last agreed
CODE = Path("results/code.json")
# where results lie: DVC takes some as whole folders, git whatever is there
FOLDERS = tuple(
    Path("results", name) for name in ("tasks", "decoded", "finetune", "probe", "summary", "metrics", "sound/clips")
)
SHOWN = 5


def guard() -> None:
    """Stop unless Snakemake's memory is about the files that are here; the Snakefile calls it first.

    Raises:
        AudiopgError: the files came from DVC (checkout, pull, repro), and Snakemake does not know them.
    """
    # a lock that a killed run left behind has to go before anything else, and no result depends on it
    if _managed() or os.environ.get(SWITCH) == "off" or not LOCK.exists() or "--unlock" in sys.argv:
        return
    recorded = _recorded()
    if STAMP.exists():
        seen = storage.read_json(STAMP)
        # a run that was killed while it recorded has left dvc.lock as it was or as it should be, for these very files
        known = recorded if seen.get("recording") else seen["digests"]
        unknown = [path for path in recorded if known.get(path) != recorded[path]]
        # what was deleted is simply made again
        there = {path: state for path, state in seen["states"].items() if Path(path).exists()}
        changed = [path for path, state in there.items() if _state(Path(path)) != state]
        if seen.get("recording"):  # DVC writes the files in its cache anew; another version has other numbers in git
            changed = sorted({*changed} - {*_cached(changed)})
        unknown = unknown or changed
    else:
        unknown = _cached(recorded)
    if unknown:
        msg = (
            f"dvc.lock describes results that Snakemake has not seen ({_some(unknown)})\n"
            "  take them over:    audiopg sync     (in a new clone: dvc pull && audiopg sync)\n"
            "  or make them all:  AUDIOPG_DVC_SYNC=off snakemake --forceall"
        )
        raise AudiopgError(msg)


def begin() -> None:
    """Note that from now on Snakemake itself changes the files that the guard let pass."""
    if not _managed() and os.environ.get(SWITCH) != "off" and LOCK.exists():
        storage.write_json(STAMP, {"digests": _recorded(), "states": {}})


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
    cfg = params.load(Path("params.yaml"))
    if storage.read_json(CODE) != watched(cfg):
        msg = f"{CODE} is not about the present code; run `snakemake --forcerun code`"
        raise AudiopgError(msg)
    orphans = _orphans(plan)
    if orphans:
        msg = (
            f"no rule makes {_some(orphans)}; delete what is left over from other parameters and track the rest:\n"
            f"  rm -r {' '.join(orphans)} && audiopg track"
        )
        raise AudiopgError(msg)
    cards = verify.results_cards()
    wrong = [*verify.disagreements(cards, cfg), *verify.damaged(cards)]
    if wrong:
        msg = f"{_some(wrong, '; ')}; `snakemake --forcerun STAGE` makes results again"
        raise AudiopgError(msg)
    storage.write_json(STAMP, {"digests": {}, "states": {path: _state(Path(path)) for path in plan}, "recording": True})
    _commit(plan)
    _stamp()
    sys.stderr.write(f"audiopg: {len(plan)} results recorded in dvc.lock\n")


def watched(cfg: config.Config) -> dict[str, Any]:
    """Return what DVC cannot see in parameters and results.

    That are digests of code and of lists of own recordings, and the length of clips, which may be left to its default.
    """
    recordings = {task: own.digest(section) for task, section in cfg.tasks.items()}
    clip_s = {task: section.clip_s for task, section in cfg.tasks.items()}
    train_share = {task: section.train_share for task, section in cfg.tasks.items()}
    return {**code_digest.stage_digests(), "recordings": recordings, "clip_s": clip_s, "train_share": train_share}


def sync() -> None:
    """Check out what dvc.lock describes, and record it in Snakemake's memory.

    Raises:
        AudiopgError: files are not in DVC's cache, or dvc.lock is not about the present parameters and code.
    """
    try:
        call("dvc", "checkout")
    except AudiopgError as error:
        remedy = (
            "results that were changed here are not recorded; `audiopg track` does, `dvc checkout --force` drops them"
            if "--force" in str(error)
            else "`dvc pull` fetches results that are not on this machine"
        )
        msg = f"dvc checkout: {remedy}"
        raise AudiopgError(msg) from error
    changed = json.loads(call("dvc", "status", "--json"))
    if changed:
        msg = f"dvc.lock does not vouch for {_some(sorted(changed))}; see `dvc status`; `dvc repro`, then sync again"
        raise AudiopgError(msg)
    call("snakemake", "--touch", "--forceall", "--cores", "1", "--quiet")
    _stamp()
    sys.stderr.write("audiopg: Snakemake knows the results in dvc.lock\n")


def _managed() -> bool:
    """Tell whether somebody else keeps the memories in step: `dvc repro`, which sets DVC_STAGE, or this module."""
    return "DVC_STAGE" in os.environ or os.environ.get(SWITCH) == "inside"


def _commit(plan: dict[str, str]) -> None:
    """Let DVC record the results, and forget those of tasks that there are no more, which by itself it keeps."""
    made = _made(plan)
    before = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    if before and any(Path(path) not in made for path in _recorded()):
        LOCK.unlink()  # what is there is then recorded anew
    try:
        call("dvc", "--wait-for-lock", "commit", "--force")  # that of a run killed just now may be about to end
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
    lines = call("snakemake", "--summary").splitlines()
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


def _some(things: list[str], between: str = ", ") -> str:
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return between.join(things[:SHOWN]) + more
