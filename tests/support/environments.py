"""Virtual environments that hold exactly what a requirement asks for, in a second: links to what is installed here."""

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def packages(self) -> Path:
        """Its folder of packages."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    def run(self, *command: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one of its programs as a user does, without the variables of this process that name a checkout."""
        unwanted = {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}
        variables = {name: value for name, value in os.environ.items() if name not in unwanted}
        path = os.pathsep.join([str(self.folder / "bin"), variables["PATH"]])
        program, *arguments = command
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=cwd,
            env={**variables, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done


def environment(folder: Path, wheel: Path, extras: Iterable[str] = ()) -> Environment:
    """Make an environment with the package of a wheel, with what it requires, and with nothing else.

    The wheel is really installed. Each package that it or one of its requirements needs is a link to the one here.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    made = Environment(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    (installed,) = importlib.metadata.distributions(path=[str(made.packages)])
    for name in needed(installed.requires or [], set(extras)):
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
        for top in tops:
            link = made.packages / top
            if not link.is_symlink():  # several packages may share a folder, such as nvidia
                link.symlink_to(Path(str(distribution.locate_file(top))))
    return made


def needed(requirements: Iterable[str], extras: set[str]) -> set[str]:
    """Return the names of all packages that requirements lead to."""
    found: set[str] = set()
    asked: set[tuple[str, str]] = set()
    waiting = list(_of(requirements, extras))
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        found.add(name)
        new = {"", *requirement.extras} - {extra for known, extra in asked if known == name}
        if new:
            asked |= {(name, extra) for extra in new}
            waiting += _of(importlib.metadata.requires(name) or [], new)
    return found


def _of(requirements: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement
