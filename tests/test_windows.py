"""Every module can be imported where the parts of Python are missing that only POSIX systems have."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

# Other packages are imported first, as they are here: on Windows each takes a way of its own.
IMPORTS = """
import builtins, importlib, os, pkgutil, signal, sys

sys.path.insert(0, sys.argv[1])
import audiopg

names = [m.name for m in pkgutil.walk_packages(audiopg.__path__, "audiopg.") if m.name != "audiopg.__main__"]
for name in names:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "audiopg"]:
    del sys.modules[name]

windows = {"SIGABRT", "SIGBREAK", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
for name in [name for name in vars(signal) if name.startswith("SIG") and name not in windows]:
    delattr(signal, name)
for name in {"fork", "getuid", "geteuid", "getpgid", "killpg", "setsid", "sched_getaffinity", "sysconf", "uname"}:
    vars(os).pop(name, None)  # not every POSIX system has all of them

posix = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}
real = builtins.__import__

def without_posix(name, globals=None, locals=None, fromlist=(), level=0):
    if name in posix and (globals or {}).get("__name__", "").partition(".")[0] == "audiopg":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = without_posix
failed = []
for name in names:
    try:
        importlib.import_module(name)
    except (ImportError, AttributeError) as error:
        failed.append(f"{name}: {error}")
print(len(names), *failed, sep="\\n")
"""


def imported(place: Path) -> list[str]:
    """How many modules there are, and a line for each that cannot be imported."""
    done = subprocess.run([sys.executable, "-c", IMPORTS, place], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.slow
def test_all_modules_are_imported() -> None:
    number, *failed = imported(ROOT)
    assert failed == []
    assert int(number) > 100


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import fcntl", "audiopg.bad: No module named 'fcntl'"),
        ("import signal; signal.SIGKILL", "audiopg.bad: module 'signal' has no attribute 'SIGKILL'"),
        ("import os; os.getuid", "audiopg.bad: module 'os' has no attribute 'getuid'"),
    ],
)
def test_the_check_sees_what_is_missing(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "audiopg").mkdir()
    (tmp_path / "audiopg" / "__init__.py").touch()
    (tmp_path / "audiopg" / "bad.py").write_text(line)
    assert imported(tmp_path) == ["1", message]
