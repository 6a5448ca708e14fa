"""A server that can be told to fail, and patience that is over soon."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import Server, serving

from audiopg.fetch import download


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "AUDIOPG_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "CHUNK", 1000)
    monkeypatch.setattr(download, "TIMEOUT_S", (0.5, 0.5))
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    monkeypatch.setattr(download, "N_ATTEMPTS", 3)
    with serving() as running:
        yield running


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for recordings."""
    monkeypatch.setenv("AUDIOPG_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
