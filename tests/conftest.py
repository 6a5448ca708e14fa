"""Configurations that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.places import ROOT

from audiopg.config import Config, profile


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


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder laid out as ``<host>/<path>`` with the real archives of `esc10` and `speech_commands_mini`."""
    folder = Path(os.environ.get("AUDIOPG_TEST_MIRROR", ROOT.parent / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no real archives: {folder} is no folder; AUDIOPG_TEST_MIRROR names another one")
    return folder
