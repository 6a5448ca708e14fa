"""A process ends with the one it works for: a job with its Snakemake, Snakemake with its `dvc repro`.

When `kill -9`, the kernel (out of memory) or a cluster ends a process, its children do not notice. They would go on
writing, with the old parameters, into folders that the next run has begun to fill; and a Snakemake whose `dvc repro` is
gone would go on for hours while the next one deletes its outputs.
"""

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

RUN = "AUDIOPG_RUN"  # id of the process that this one works for: a job's Snakemake, or Snakemake's `dvc repro`
LOOK_S = 0.1  # how often a process checks that the processes above it still run
GRACE_S = 0.5  # how long it may then take to remove its temporary files


def lead() -> None:
    """Make the processes that this one starts end with it."""
    os.environ[RUN] = str(os.getpid())


def follow() -> None:
    """End this process when the one it works for is gone, where there is one."""
    number = os.environ.get(RUN, "")
    if not number:
        return
    import psutil  # noqa: PLC0415  (only the workflow needs it, and brings it)

    above: list[psutil.Process] = []  # watch the shell in between, too: Snakemake takes its end for the end of the job
    for process in psutil.Process().parents():
        above.append(process)
        if str(process.pid) == number:
            break
    else:
        above = []  # gone before the first check
    threading.Thread(target=_watch, args=(above,), daemon=True).start()


def _watch(above: "list[psutil.Process]") -> None:
    while above and all(_alive(process) for process in above):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _alive(process: "psutil.Process") -> bool:
    import psutil  # noqa: PLC0415  (as above)

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:  # gone in the meantime
        return False
