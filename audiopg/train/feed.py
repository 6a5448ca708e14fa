"""Batches of a run, in parts; those to come are made during the current one, so that the training need not wait."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor

from audiopg.compute import Backend
from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    from audiopg import config

Made = TypeVar("Made")
Piece = TypeVar("Piece")
Batch = tuple[Tensor, Tensor, *tuple[Tensor | None, ...]]
"""Spectrograms, what goes with each of them, and what the model draws, such as drop-path factors; None for nothing."""


class Data(Protocol):
    """The data of a run; the number of a step alone determines what it sees."""

    def n_clips(self, step: int) -> int:
        """Count the clips of a step."""

    def part(self, step: int, places: range) -> Batch:
        """Return some of a step's clips, by their places in its batch, in float32; on any device."""

    def names(self, step: int) -> str:
        """Name the clips of a step."""


@dataclass(frozen=True)
class Part:
    """Some of a step's clips."""

    places: range
    """Their places in the batch."""
    share: float
    """Their share of the batch."""


def parts(n_clips: int, n_parts: int) -> list[Part]:
    """Cut a batch in parts that differ by one clip at most.

    All processes of a run have the same work: if a batch has fewer clips than parts, each empty part is its first clip
    with a share of 0.
    """
    bounds = [n_clips * number // n_parts for number in range(n_parts + 1)]
    cut = [range(first, last) for first, last in zip(bounds, bounds[1:], strict=False)]
    return [Part(places, len(places) / n_clips) if places else Part(range(1), 0.0) for places in cut]


class Feed(Iterator[tuple[float, Batch]]):
    """This process's parts of the steps one after another, each with its share of the step, on the device.

    Threads make the steps to come during the current one, on a CPU too: drawing, playing and transforming hold hardly
    any lock of Python, and take the moments in which a core of the training has nothing to do.
    """

    def __init__(self, data: Data, steps: Iterable[int], accumulate: int, backend: Backend) -> None:
        """Take what the steps see.

        Args:
            data: makes the batches.
            steps: the steps to come.
            accumulate: parts of a step for each process.
            backend: device, processes, and threads that make batches.
        """
        self.data = data
        self.accumulate = accumulate
        self.backend = backend
        self.waited_s = 0.0
        """How long `next` took, in s."""
        self._parts = itertools.chain.from_iterable(ahead(self._make, steps, backend.n_feeders))

    def __next__(self) -> tuple[float, Batch]:
        """Return the next part."""
        began_s = time.perf_counter()
        part = next(self._parts)
        self.waited_s += time.perf_counter() - began_s
        return part

    def _make(self, step: int) -> list[tuple[float, Batch]]:
        """Make all parts of a step in one thread: they may have work in common."""
        cut = parts(self.data.n_clips(step), self.accumulate * self.backend.world_size)
        first = self.backend.rank * self.accumulate
        with self.backend.device_context():
            return [self._sent(step, part) for part in cut[first : first + self.accumulate]]

    def _sent(self, step: int, part: Part) -> tuple[float, Batch]:
        to_device = self.backend.to_device
        spectrograms, others, *drawn = self.data.part(step, part.places)
        sent = (None if tensor is None else to_device(tensor) for tensor in drawn)
        return part.share, (to_device(spectrograms), to_device(others), *sent)


def ahead(make: Callable[[Piece], Made], pieces: Iterable[Piece], n_threads: int = 1) -> Iterator[Made]:
    """Make things while their predecessors are in use, and give them in order.

    Args:
        make: makes one.
        pieces: what each is made from.
        n_threads: with one, the next thing is made while one is in use; with several, two are ready or in the making
            for each thread.

    Raises:
        Exception: what ``make`` raises, where its result would have come.
    """
    n_ahead = 1 if n_threads == 1 else 2 * n_threads
    pool = ThreadPoolExecutor(n_threads)
    try:
        coming: deque[Future[Made]] = deque()
        for piece in pieces:
            coming.append(pool.submit(make, piece))
            if len(coming) > n_ahead:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def check_division(
    place: str, steps: "config.Pretrain | config.Finetune", backend: Backend, n_together: int = 1
) -> None:
    """Check that all parts of a full batch have the same number of clips.

    Args:
        place: section of the parameters.
        steps: the section.
        backend: knows the number of processes.
        n_together: clips that must not be parted, and be beside others in each part.

    Raises:
        AudiopgError: they do not.
    """
    n_parts = steps.accumulate * backend.world_size
    if steps.batch_size % n_parts:
        msg = (
            f"params.yaml: {place}.batch_size = {steps.batch_size} cannot be cut evenly for {backend.world_size}"
            f" processes × accumulate = {steps.accumulate}; use a multiple of {n_parts}, or change these numbers"
        )
        raise AudiopgError(msg)
    part = steps.batch_size // n_parts
    if n_together > 1 and (part % n_together or part == n_together):
        msg = (
            f"params.yaml: {place}.batch_size = {steps.batch_size} leaves {part} clips for each of {backend.world_size}"
            f" processes × accumulate = {steps.accumulate}; twins need several identities of {n_together} clips there"
        )
        raise AudiopgError(msg)
