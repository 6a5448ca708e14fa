"""Delays SIGTERM, with which a cluster ends a job, and Ctrl-C until the step in progress is done and kept."""

import signal
from types import FrameType, TracebackType


class Stop:
    """Inside its block, the signals are only noted; a second Ctrl-C does what the first one would have done.

    SIGTERM may come often: a cluster and torchrun each send one.
    """

    def __init__(self) -> None:
        """Start without one."""
        self.asked = False

    def __enter__(self) -> "Stop":
        """Hold the signals back."""
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous actions of the signals."""
        for number, action in self._before.items():
            signal.signal(number, action)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (what a handler is called with)
        self.asked = True
        if number == signal.SIGINT:
            signal.signal(number, self._before[signal.SIGINT])
