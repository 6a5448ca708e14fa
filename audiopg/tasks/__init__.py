"""Benchmarks: each data set is one module that exposes its card, where its audio is and how its manifest is made."""

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.registry import Registry
from audiopg.tasks import drums, instruments, own
from audiopg.tasks.card import Task

TASKS: Registry[Task] = Registry("task")
for _task in (drums.TASK, instruments.TASK):
    TASKS.add(_task.card.name, _task)


def find(name: str, section: config.Task) -> Task:
    """Return a registered task, or the one that its section of ``params.yaml`` describes.

    Raises:
        AudiopgError: unknown task; own recordings under a registered name; their list is wrong.
    """
    if not section.own:
        return TASKS[name]
    if name in TASKS:
        msg = f"tasks.{name}: is the name of a registered task; own recordings need another one"
        raise AudiopgError(msg)
    return own.task(name, section)
