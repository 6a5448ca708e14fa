"""How functions are compiled: without the interpreter's lock, kept on disk, and rounded as it is written."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numba

from audiopg import source_digest

Function = TypeVar("Function", bound=Callable[..., object])

# What the compiler may assume, to use vector instructions: no infinities and no NaN. It may not round otherwise (sum in
# another order, join products and sums, multiply by inverses): it would do so in one place and not in the other, as
# it pleases, and the last bit would depend on whether a process has compiled the code or found it on disk.
FAST = {"nsz", "nnan", "ninf"}
# Parts that each thread takes: some items take several times as long as others.
SHARES = 8


def compiled(function: Function) -> Function:
    """Compile a function when it is first called; later runs on the same machine find it on disk.

    Loops are turned into vector instructions where their arrays are indexed from 0 by the loop's own variable: numba
    counts a negative index from the end, and has to ask at every other one. Hence the many slices.
    """
    # numba would look for changes in the module of the function alone, and not in those that it calls
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
    """Compile a function anew in each place where it is called, so that the numbers written there are known to it."""
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
