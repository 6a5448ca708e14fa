"""Installed packages whose data files are used; their code is not run."""

from importlib.util import find_spec
from pathlib import Path

from audiopg.errors import AudiopgError


def package_folder(package: str, task: str) -> Path:
    """Return the folder of an installed package without importing it.

    FoxDot starts a server and a window when imported, and pretty_midi needs mido: neither matters for the data.

    Raises:
        AudiopgError: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        msg = f"{task}: the package {package}, which holds its audio, is not installed; run `make setup`"
        raise AudiopgError(msg)
    return Path(next(iter(spec.submodule_search_locations)))
