"""Compiled code: where it is kept, and how work is spread over threads."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from audiopg import jit


def folder_of_copy(package: Path) -> str:
    """Where a copy of the package would keep the compiled code of its module ``kernels``."""
    code = "from audiopg import jit; print(jit.folder('audiopg.kernels'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=package.parent)
    return run.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a module that is compiled, one that it imports, and one that has nothing to do with it."""
    source = Path(jit.__file__).parent
    folder = tmp_path / "audiopg"
    folder.mkdir()
    for name in ("__init__.py", "jit.py", "source_digest.py"):
        (folder / name).write_text((source / name).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "kernels.py").write_text("from audiopg import constants\n", encoding="utf-8")
    (folder / "constants.py").write_text("K = 1\n", encoding="utf-8")
    (folder / "other.py").write_text("K = 1\n", encoding="utf-8")
    return folder


def test_code_is_compiled_again_when_a_statement_that_it_depends_on_changes(package: Path) -> None:
    before = folder_of_copy(package)
    assert Path(before).parent == package / "__pycache__"
    for name, text in (("kernels.py", "# a comment\n"), ("other.py", "K = 2\n"), ("new.py", "K = 1\n")):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write(text)
        assert folder_of_copy(package) == before, name
    seen = {before}
    for name in ("kernels.py", "constants.py"):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write("K = 3\n")
        seen.add(folder_of_copy(package))
    assert len(seen) == 3


def test_compiled_code_is_kept_in_the_packages_folder() -> None:
    from audiopg.philox import uniforms  # noqa: PLC0415  (compiles)

    uniforms(1, "a", [1], 1)
    assert any(jit.folder("audiopg.philox").rglob("*philox*.nbi"))


def test_numbas_own_setting_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "elsewhere")

    @jit.compiled
    def double(x: float) -> float:
        return 2 * x

    assert numba.config.CACHE_DIR == "elsewhere"
    assert double(4.0) == 8

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(numba, "njit", fails)
    with pytest.raises(RuntimeError):
        jit.compiled(double)
    assert numba.config.CACHE_DIR == "elsewhere"


def test_compiled_code_lets_other_threads_run() -> None:
    """Without the interpreter's lock a Python thread goes on while compiled code runs."""

    @jit.compiled
    def work(n: int) -> float:
        total = 0.0
        for i in range(n):
            total += np.sin(float(i))
        return total

    work(10)
    stamps_s, stop = [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            stamps_s.append(time.perf_counter())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began_s = time.perf_counter()
    work(30_000_000)
    ended_s = time.perf_counter()
    stop.set()
    watcher.join()
    # with the lock held, the watcher would be seen at the ends only
    assert sum(began_s + 0.02 < stamp_s < ended_s - 0.02 for stamp_s in stamps_s) > 10


@pytest.mark.slow
def test_code_that_was_just_compiled_rounds_as_code_from_the_disk(tmp_path: Path) -> None:
    """The whole package in another place, where nothing is compiled: its first run, then its second."""
    shutil.copytree(Path(jit.__file__).parent, tmp_path / "audiopg", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import hashlib; from audiopg.config.profile import load\n"
        "from audiopg.features.logmel import LogMel; from audiopg.synth.world import World\n"
        "config = load('test', 'world')\n"
        "clips = World(config.synth, 42).play(range(30))\n"
        "for x in (clips, LogMel(config.features)(clips)):\n"
        "    print(hashlib.sha256(x.numpy().tobytes()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        ).stdout
        for _ in range(2)
    ]
    assert len(runs[0].split()) == 2
    assert runs[0] == runs[1]


@pytest.mark.parametrize("n_threads", [1, 2, 3, 7])
@pytest.mark.parametrize("n_items", [0, 1, 2, 5, 16, 17, 100, 1001])
def test_each_item_is_done_exactly_once(n_items: int, n_threads: int) -> None:
    done = np.zeros(n_items, dtype=int)
    lock = threading.Lock()

    def work(first: int, last: int) -> None:
        with lock:
            done[first:last] += 1
            assert 0 <= first <= last <= n_items

    jit.spread(work, n_items, n_threads)
    assert (done == 1).all()


def test_work_is_spread_over_the_threads_that_are_asked_for() -> None:
    """Three parts that wait for one another need three threads."""
    barrier = threading.Barrier(3, timeout=20)
    waited = []

    def work(first: int, last: int) -> None:
        if first < 3:
            barrier.wait()
        waited.append((first, last))

    jit.spread(work, 24, 3)
    assert len(waited) > 3
    callers = []
    jit.spread(lambda *_: callers.append(threading.current_thread()), 24, 1)
    assert callers == [threading.current_thread()]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_what_goes_wrong_is_let_through(n_threads: int) -> None:
    def work(first: int, last: int) -> None:
        if first <= 50 < last:
            msg = "item 50"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="item 50"):
        jit.spread(work, 100, n_threads)
