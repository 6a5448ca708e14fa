"""Delays SIGTERM, with which a cluster ends a job, until the step in progress is done."""

import signal
from types import FrameType, TracebackType


class Sigterm:
    """Inside its block, SIGTERM is only noted, however often it comes: a cluster and torchrun may each send one."""

    def __init__(self) -> None:
        """Start without one."""
        self.received = False

    def __enter__(self) -> "Sigterm":
        """Hold the signal back."""
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous action of the signal."""
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (what a handler is called with)
        self.received = True
