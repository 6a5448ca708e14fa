"""Making things in other threads while those before them are in use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")
Piece = TypeVar("Piece")


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
