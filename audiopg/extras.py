"""What to install where a package of an extra is missing; pyproject.toml lists the extras."""

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import contextmanager

from audiopg.errors import AudiopgError

# Modules that are not called like the package that brings them.
PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow"}
# As the metadata of an installed package has it: ``matplotlib>=3.10; extra == "workflow"``.
REQUIREMENT = re.compile(r"""([\w.-]+).*\bextra\s*==\s*["']([\w-]+)["']""")


@contextmanager
def named() -> Iterator[None]:
    """Name the extra to install where a module is missing that an extra brings.

    Raises:
        AudiopgError: the module is missing.
        ModuleNotFoundError: another module is missing, which no extra brings.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = PACKAGES.get(error.name or "", error.name or "")
        extra = _extras().get(_plain(package))
        if extra is None:
            raise
        msg = f"{package} is not installed; pip install 'audiopg[{extra}]' brings it"
        raise AudiopgError(msg) from error


def _extras() -> dict[str, str]:
    """Return the first extra that has each package; none if audiopg runs without being installed."""
    try:
        requirements = importlib.metadata.requires("audiopg") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for requirement in requirements:
        if match := REQUIREMENT.match(requirement):
            found.setdefault(_plain(match[1]), match[2])
    return found


def _plain(package: str) -> str:
    """Write the name of a package in the one way of package indexes."""
    return re.sub(r"[-_.]+", "-", package).lower()
