"""Benchmarks: each data set is one module that exposes its card, where its audio is and how its manifest is made."""

from audiopg.registry import Registry
from audiopg.tasks import drums, instruments
from audiopg.tasks.card import Task

TASKS: Registry[Task] = Registry("task")
for _task in (drums.TASK, instruments.TASK):
    TASKS.add(_task.card.name, _task)
