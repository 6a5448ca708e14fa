"""The NVIDIA GPUs of this machine, asked without torch: whether there are any, and which driver they have."""

import re
import shutil
import subprocess
from pathlib import Path

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/version")
VERSION = re.compile(r"\d+(?:\.\d+)+")
# The oldest driver, by its first number, for each CUDA that torch is built for, by its first number.
# Source: NVIDIA, CUDA Compatibility, minor version compatibility, table 1:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
OLDEST_DRIVER = {12: 525, 13: 580}


def present() -> bool:
    """Return whether this machine seems to have a GPU: ``nvidia-smi`` on the path, or ``/dev/nvidia<number>``."""
    return shutil.which("nvidia-smi") is not None or any(DEVICES.glob("nvidia[0-9]*"))


def driver() -> str:
    """Return the version of the driver that is loaded, such as ``535.104.05``; empty if none answers."""
    if DRIVER.is_file():
        found = VERSION.search(DRIVER.read_text(encoding="utf-8"))
        return found[0] if found else ""
    lines = _ask("--query-gpu=driver_version", "--format=csv,noheader")
    return lines[0] if lines and VERSION.fullmatch(lines[0]) else ""


def too_old(driver_version: str, cuda: str) -> str:
    """Say which driver a program needs, if this one is older; empty if it is not, or if one of them is unknown.

    Args:
        driver_version: of the driver, such as ``535.104.05``.
        cuda: version of CUDA that the program was built for, such as ``13.0``.

    >>> too_old("535.104.05", "13.0")
    'driver 535.104.05 is too old: CUDA 13.0 needs 580 or newer'
    >>> too_old("535.104.05", "12.8")
    ''
    """
    oldest = OLDEST_DRIVER.get(_first(cuda), 0)
    if not driver_version or _first(driver_version) >= oldest:
        return ""
    return f"driver {driver_version} is too old: CUDA {cuda} needs {oldest} or newer"


def newest_cuda(driver_version: str) -> int | None:
    """Return the first number of the newest CUDA that a driver runs; None if it runs none of the table.

    >>> newest_cuda("535.104.05")
    12
    """
    return max((cuda for cuda, oldest in OLDEST_DRIVER.items() if oldest <= _first(driver_version)), default=None)


def _first(version: str) -> int:
    return int(version.partition(".")[0])


def _ask(*options: str) -> list[str]:
    """Return the lines that ``nvidia-smi`` prints; none if it is not there or fails."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
