"""Run cards: what a number was made from, and where."""

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiopg import __version__

PACKAGES = ("torch", "torchaudio", "numpy", "scikit-learn", "soxr", "soundfile")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_revision() -> str:
    """Return the revision of the checkout that is run in, with ``+`` when tracked files differ, or ``none``."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return described.stdout.strip()


def run_card(
    stage: str, params: Mapping[str, Any], inputs: Sequence[Path], device: str, **facts: object
) -> dict[str, Any]:
    """Describe one run of a stage.

    Args:
        stage: name of the stage.
        params: the parameters it read, by dotted name.
        inputs: the files it read.
        device: where it ran, such as ``cpu`` or ``cuda``.
        facts: what else is worth keeping (clips seen, seconds …); must be JSON.
    """
    return {
        "stage": stage,
        "params": dict(params),
        "inputs": {path.as_posix(): file_digest(path) for path in inputs},
        "git_revision": git_revision(),
        "device": device,
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {
            "audiopg": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        **facts,
    }
