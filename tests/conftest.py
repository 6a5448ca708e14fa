"""Configurations that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from audiopg import params
from audiopg.config import Config
from audiopg.profiles import profile


@pytest.fixture(scope="session")
def profiles() -> Path:
    """Folder of the profiles."""
    return Path(__file__).parents[1] / "workflow" / "params"


@pytest.fixture(scope="session")
def quick(profiles: Path) -> Config:
    """The parameters of profile `quick`."""
    return params.parse(yaml.safe_load(profile("quick", profiles)), "quick")


@pytest.fixture(scope="session")
def tiny(profiles: Path) -> Config:
    """The parameters of profile `test`: a few steps of everything."""
    return params.parse(yaml.safe_load(profile("test", profiles)), "test")


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
    folder = Path(os.environ.get("AUDIOPG_TEST_MIRROR", Path(__file__).parents[2] / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no real archives: {folder} is no folder; AUDIOPG_TEST_MIRROR names another one")
    return folder
