"""Fixtures for the tests of the tasks."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for all tests of the tasks, so that the instruments are rendered once."""
    return tmp_path_factory.mktemp("data")
