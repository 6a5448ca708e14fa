"""A folder to fill with results, and their parameters."""

from pathlib import Path

import pytest
from support.averages import CLIP

from audiopg.config import Config, params, profile


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The paper's parameters with one task, in an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    found = profile.load("paper")
    return params.parse(found.model_dump(mode="json") | {"tasks": {"drums": CLIP}}, "params.yaml")
