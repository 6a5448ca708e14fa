"""Configurations that all tests share."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import ROOT

from audiopg.config import Config, profile

if TYPE_CHECKING:
    from simulated_cuda import Counts


@pytest.fixture(scope="session")
def quick() -> Config:
    """The parameters of profile `quick`."""
    return profile.load("quick")


@pytest.fixture(scope="session")
def tiny() -> Config:
    """The parameters of profile `test`: a few steps of everything."""
    return profile.load("test")


@pytest.fixture
def n_threads() -> Iterator[int]:
    """Torch's number of threads, to which it returns after the test."""
    import torch  # noqa: PLC0415  (not for tests that need none)

    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give tests marked ``gpu`` a simulated CUDA device where there is no real one."""
    if request.node.get_closest_marker("gpu") is None:
        yield
        return
    import torch  # noqa: PLC0415
    from simulated_cuda import simulation  # noqa: PLC0415

    with nullcontext() if torch.cuda.is_available() else simulation():
        yield


@pytest.fixture
def simulated_cuda() -> "Iterator[Counts]":
    """Counts of what a simulated CUDA device is asked for, which there is during the test, whatever the machine has."""
    from simulated_cuda import simulation  # noqa: PLC0415  (not for tests that need no torch)

    with simulation() as counts:
        yield counts


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder laid out as ``<host>/<path>`` with the real archives of `esc10` and `speech_commands_mini`."""
    folder = Path(os.environ.get("AUDIOPG_TEST_MIRROR", ROOT.parent / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no real archives: {folder} is no folder; AUDIOPG_TEST_MIRROR names another one")
    return folder
