"""Compiles functions: without the interpreter's lock, cached on disk, and rounded as the source is written."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba

from audiopg import source_digest

Function = TypeVar("Function", bound=Callable[..., object])

# To use vector instructions, the compiler may assume that there are no infinities and no NaN. It may not change the
# rounding (sum in another order, fuse products and sums, multiply by inverses): it would do so in some places only, and
# the last bit would depend on whether a process has compiled the code or found it on disk.
FAST = {"nsz", "nnan", "ninf"}
# Parts that each thread takes: some items take several times as long as others.
SHARES = 8


def compiled(function: Function) -> Function:
    """Compile a function when it is first called; later runs on the same machine find it on disk.

    The compiler vectorises a loop if its own variable indexes the arrays from 0: numba counts a negative index from the
    end, and must check the sign of every other index. This is the reason for the many slices.
    """
    # numba would check only the function's module for changes, and not the modules that it calls
    settings = vars(numba.config)
    before, settings["CACHE_DIR"] = settings["CACHE_DIR"], str(folder(function.__module__))
    try:
        return cast("Function", numba.njit(nogil=True, cache=True, fastmath=FAST)(function))
    finally:
        settings["CACHE_DIR"] = before


@cache
def folder(module: str) -> Path:
    """Return the folder of a module's compiled code, named after its statements and those of all that it imports."""
    return Path(__file__).parent / "__pycache__" / f"compiled-{source_digest.digest(module)[:16]}"


def inlined(function: Function) -> Function:
    """Compile a function separately for each place that calls it, so that it knows the numbers written there."""
    return cast("Function", numba.njit(inline="always", fastmath=FAST)(function))


def spread(work: Callable[[int, int], None], n_items: int, n_threads: int) -> None:
    """Do ``work(first, last)`` for parts of a range of items, which must be independent, on several threads."""
    if n_threads == 1 or n_items == 1:
        work(0, n_items)
        return
    step = max(n_items // (SHARES * n_threads), 1)
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(work, at, min(at + step, n_items)) for at in range(0, n_items, step)]:
            done.result()
