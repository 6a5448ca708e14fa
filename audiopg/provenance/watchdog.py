"""A process ends with the one it works for: a job with its Snakemake, Snakemake with its `dvc repro`.

Nobody tells the children of a process that `kill -9`, the kernel for want of memory, or a cluster ends. They would go
on writing, with the parameters of then, into folders that the next run has begun to fill; and a Snakemake whose
`dvc repro` is gone would go on for hours while the next one deletes its outputs.
"""

import os
import signal
import threading
import time

import psutil

RUN = "AUDIOPG_RUN"  # for whom a process works: number of a job's Snakemake, or of Snakemake's `dvc repro`
LOOK_S = 0.1  # how often a process looks whether those that started it are there
GRACE_S = 0.5  # how long it may then take to remove its temporary files


def lead() -> None:
    """Let the processes that this one starts follow it."""
    os.environ[RUN] = str(os.getpid())


def follow() -> None:
    """End this process when the one it works for is gone, where there is one."""
    number = os.environ.get(RUN, "")
    if not number:
        return
    above: list[psutil.Process] = []  # the shell between is watched, too: Snakemake takes its end for the job's
    for process in psutil.Process().parents():
        above.append(process)
        if str(process.pid) == number:
            break
    else:
        above = []  # gone before this process came to look
    threading.Thread(target=_watch, args=(above,), daemon=True).start()


def _watch(above: list[psutil.Process]) -> None:
    while above and all(_alive(process) for process in above):
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:  # gone meanwhile
        return False
