"""The registered tasks by name, and those that ``params.yaml`` describes."""

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.registry import Registry
from audiopg.tasks import (
    drums,
    esc10,
    esc50,
    fsd50k,
    instruments,
    own,
    speech_commands,
    speech_commands_mini,
    urbansound8k,
)
from audiopg.tasks.task import Task

TASKS: Registry[Task] = Registry("task")
for _module in (
    drums,
    instruments,
    esc10,
    speech_commands_mini,
    esc50,
    urbansound8k,
    fsd50k,
    speech_commands,
):
    TASKS.add(_module.CARD.name, _module.TASK)


def find(name: str, section: config.Task) -> Task:
    """Return a registered task, or the one that its section of ``params.yaml`` describes.

    >>> find("esc50", config.Task(clip_s=5.12)).card.n_folds
    5

    Raises:
        AudiopgError: unknown task; own recordings under a registered name; their list is wrong.
    """
    if not section.own:
        return TASKS[name]
    if name in TASKS:
        msg = f"tasks.{name}: is the name of a registered task; own recordings need another one"
        raise AudiopgError(msg)
    return own.task(name, section)
