"""The NVIDIA GPUs of this machine, without torch: are there any, with which driver, and one of them for each job."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

from audiopg.progress import say

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/version")
VERSION = re.compile(r"\d+(?:\.\d+)+")
# The oldest driver, by its first number, for each CUDA that torch is built for, by its first number.
# Source: NVIDIA, CUDA Compatibility, minor version compatibility, table 1:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
OLDEST_DRIVER = {12: 525, 13: 580}
VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_S = 1.0  # how often a job that waits looks for a free GPU


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


def visible() -> list[str]:
    """List the GPUs that this process may use: by number or UUID where it was told so, else by UUID."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [gpu.strip() for gpu in given.split(",") if gpu.strip()]
    return _ask("--query-gpu=uuid", "--format=csv,noheader")


def take() -> None:
    """Choose a GPU that no other job of this user has, if this process sees several, and let it see no other.

    The GPU is held until the process ends, in whatever way: the system then opens the locked file. A job that finds all
    of them held says so and waits. It has to be called before torch looks for GPUs.
    """
    found = visible()
    if len(found) < 2:  # noqa: PLR2004  (no choice, such as the one that Slurm gave to its job)
        return
    user = os.getuid() if hasattr(os, "getuid") else ""  # elsewhere each user has a temporary folder
    folder = Path(tempfile.gettempdir()) / f"audiopg-gpus-{user}{_allocation()}"
    folder.mkdir(parents=True, exist_ok=True)
    waits = False
    while True:
        for gpu in found:
            lock = FileLock(folder / f"{gpu}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            atexit.register(lock.release)  # which also keeps it until then
            os.environ[VISIBLE] = gpu
            return
        if not waits:
            say(f"other jobs have all {len(found)} GPUs: waiting for one")
        waits = True
        time.sleep(LOOK_S)


def _allocation() -> str:
    """Return what tells Slurm's jobs apart: the numbers that it gives may mean other GPUs in each of them."""
    return f"-{os.environ['SLURM_JOB_ID']}" if VISIBLE in os.environ and "SLURM_JOB_ID" in os.environ else ""


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
