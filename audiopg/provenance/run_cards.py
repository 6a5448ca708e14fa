"""Run cards: what a result was made from, by which code, and where."""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiopg import __version__, storage
from audiopg.errors import AudiopgError
from audiopg.provenance import code_digest

# packages that numbers can depend on
PACKAGES = ("torch", "torchaudio", "numpy", "scipy", "numba", "scikit-learn", "soxr", "soundfile")


def versions() -> dict[str, str]:
    """Return the versions of all that numbers can depend on, by name."""
    return {
        "audiopg": __version__,
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str:
    """Return the version of a package; empty if it is not installed, so that no number can depend on it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def run_digest(stage: str, reads: Mapping[str, Any], inputs: Sequence[Path], *place: str) -> str:
    """Return a digest of all that a run depends on; only a run with the same digest may continue its state.

    Args:
        stage: name of the stage, and so of its code.
        reads: the parameters it reads, by dotted name.
        inputs: the files it reads.
        place: what else distinguishes runs, such as the device and the fold.
    """
    files = [storage.file_digest(file) for file in inputs]
    whole = [stage, code_digest.stage_digest(stage), dict(reads), files, versions(), *place]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def check_place(path: Path, stage: str) -> None:
    """Refuse to replace the run card of another stage: what it describes would have none.

    Raises:
        AudiopgError: there is such a card.
    """
    if path.exists() and storage.read_json(path).get("stage") != stage:
        msg = f"{path}: would be replaced, and `audiopg {stage}` did not write it; choose another folder"
        raise AudiopgError(msg)


def write_card(
    path: Path,
    stage: str,
    reads: Mapping[str, Any],
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    *,
    task: str | None = None,
    device: str = "cpu",
    **facts: object,
) -> None:
    """Describe one run of a stage, after its outputs are written.

    Nothing in a card depends on when or how fast the stage ran: the same run gives the same bytes.

    Args:
        path: the card, JSON.
        stage: name of the stage.
        reads: the parameters it read, by dotted name.
        inputs: the files it read.
        outputs: the files it wrote.
        task: the task it is about, where it is about one.
        device: where it ran, such as ``cpu`` or ``cuda``.
        facts: what else is worth keeping (clips seen, final loss …); must be JSON.
    """
    card = {
        "stage": stage,
        "task": task,
        "params": dict(reads),
        "inputs": {file.as_posix(): storage.file_digest(file) for file in inputs},
        "outputs": {file.as_posix(): storage.file_digest(file) for file in outputs},
        "code": code_digest.stage_digest(stage),
        "device": device,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        **facts,
    }
    storage.write_json(path, card)
