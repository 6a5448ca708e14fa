"""Each thing that can go wrong on the way ends in the right file or in one error, never in a wrong file."""

import errno
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from support.servers import Fault, Server

from audiopg.errors import AudiopgError
from audiopg.fetch import download as module
from audiopg.fetch.download import download

DATA = np.random.Generator(np.random.Philox(3)).bytes(40_000)


def verify(path: Path) -> None:
    """Accept the right bytes only."""
    if path.read_bytes() != DATA:
        msg = "wrong bytes"
        raise AudiopgError(msg)


def part_of(source: str) -> str:
    """Name of what is there of ``x.zip`` from one source while it is loaded."""
    return f".x.{hashlib.sha256(source.encode()).hexdigest()[:8]}.part.zip"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        ([], [""]),
        ([Fault(cut_after=10_000)], ["", "bytes=10000-"]),
        ([Fault(cut_after=10_000), Fault(cut_after=5_000)], ["", "bytes=10000-", "bytes=15000-"]),
        ([Fault(cut_after=4_000)] * 8, ["", *(f"bytes={n * 4000}-" for n in range(1, 9))]),
        ([Fault(cut_after=0)], ["", ""]),
        ([Fault(stall_after=10_000)], ["", "bytes=10000-"]),
        ([Fault(status=503)], ["", ""]),
        ([Fault(status=429), Fault(status=500)], ["", "", ""]),
        ([Fault(cut_after=10_000), Fault(status=503)], ["", "bytes=10000-", "bytes=10000-"]),
        ([Fault(cut_after=10_000), Fault(ignores_range=True)], ["", "bytes=10000-"]),
        ([Fault(cut_after=10_000), Fault(start_off_by=7)], ["", "bytes=10000-", ""]),
        ([Fault(length_off_by=100)], ["", "bytes=40000-"]),
        ([Fault(headers={"Content-Length": "abc"})], [""]),
        ([Fault(headers={"Content-Length": "40000, 40000"})], [""]),
        ([Fault(cut_after=10_000, wrong_bytes=True)], ["", "bytes=10000-", ""]),
    ],
)
def test_a_fault_that_passes_ends_in_the_right_file(
    faults: list[Fault], ranges: list[str], server: Server, tmp_path: Path
) -> None:
    url = server.put("/a/x.zip", DATA, *faults)
    target = tmp_path / "deep" / "x.zip"
    download(url, target, verify)
    assert target.read_bytes() == DATA
    assert files(target.parent) == ["x.zip"]
    assert server.ranges("/a/x.zip") == ranges


@pytest.mark.parametrize(
    ("fault", "reason", "n_requests"),
    [
        (Fault(status=404), "the server returned 404", 1),
        (Fault(status=403), "the server returned 403", 1),
        (Fault(status=503), "the server returned 503, 3 times in a row", 3),
        (Fault(cut_after=0), "connection cut, 3 times in a row", 3),
        (Fault(wrong_bytes=True), "wrong bytes", 1),
        (Fault(length_off_by=-100), "wrong bytes", 1),
    ],
)
def test_a_fault_that_stays_is_one_error_and_no_file(
    fault: Fault, reason: str, n_requests: int, server: Server, tmp_path: Path
) -> None:
    url = server.put("/a/x.zip", DATA, *[fault] * 9)
    with pytest.raises(
        AudiopgError, match=rf"^x\.zip: could not be downloaded; {re.escape(url)}: .*{reason}"
    ) as caught:
        download(url, tmp_path / "x.zip", verify)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.zip").exists()
    assert len(server.log) == n_requests


def test_pieces_that_are_thrown_away_each_time_are_one_error(server: Server, tmp_path: Path) -> None:
    turns = [Fault(cut_after=10_000), Fault(start_off_by=7)]
    url = server.put("/x.zip", DATA, *turns * 9)
    with pytest.raises(AudiopgError, match="connection cut, 3 times in a row"):
        download(url, tmp_path / "x.zip", verify)
    assert server.ranges("/x.zip") == ["", "bytes=10000-", ""]


def test_no_server_at_all_is_one_error(server: Server, tmp_path: Path) -> None:
    server.http.server_close()
    with pytest.raises(AudiopgError, match="connection refused, 3 times in a row"):
        download(server.address + "/x.zip", tmp_path / "x.zip", verify)


def test_what_an_earlier_run_left_is_continued_or_thrown_away(server: Server, tmp_path: Path) -> None:
    url = server.put("/x.zip", DATA, *[Fault(cut_after=9_000)] + [Fault(status=503)] * 2)
    with pytest.raises(AudiopgError, match="503"):
        download(url, tmp_path / "x.zip", verify)
    (part,) = tmp_path.iterdir()
    assert part.read_bytes() == DATA[:9_000]
    server.log.clear()
    download(url, tmp_path / "x.zip", verify)
    assert server.ranges("/x.zip") == ["bytes=9000-"]
    assert files(tmp_path) == ["x.zip"]

    for left, ranges in (
        (b"\0" * 9_000, ["bytes=9000-", ""]),  # of another file
        (DATA, ["bytes=40000-"]),  # all of it, but not yet verified
        (DATA + b"more", ["bytes=40004-", ""]),
    ):
        (tmp_path / "x.zip").unlink()
        server.log.clear()
        part.write_bytes(left)
        download(url, tmp_path / "x.zip", verify)
        assert server.ranges("/x.zip") == ranges
        assert (tmp_path / "x.zip").read_bytes() == DATA
        assert files(tmp_path) == ["x.zip"]


@pytest.mark.parametrize(("wish", "waited"), [("7", 7.0), ("soon", 0.001), ("9999", 60.0)])
def test_the_server_says_how_long_to_wait(
    wish: str, waited: float, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    url = server.put("/x.zip", DATA, Fault(status=429, headers={"Retry-After": wish}))
    download(url, tmp_path / "x.zip", verify)
    assert [pause for pause in pauses if pause] == [waited]


def test_pauses_double(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(module, "N_ATTEMPTS", 5)
    monkeypatch.setattr(module, "BACKOFF_S", 1.0)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    url = server.put("/x.zip", DATA, *[Fault(status=503)] * 4)
    download(url, tmp_path / "x.zip", verify)
    assert [pause for pause in pauses if pause] == [1, 2, 4, 8]


def mirrored(server: Server, mirror: bytes | None, *faults: Fault) -> str:
    """Serve the official file, and what the mirror has of it; return the official address."""
    url = server.put("/official/x.zip", DATA)
    if mirror is not None:
        host = url.split("/")[2]
        server.put(f"/mirror/{host}/official/x.zip", mirror, *faults)
    return url


def test_the_mirror_comes_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = mirrored(server, DATA)
    monkeypatch.setenv("AUDIOPG_MIRROR", f"{server.address}/mirror/")
    download(url, tmp_path / "x.zip", verify)
    assert [path.split("/")[1] for path, _ in server.log] == ["mirror"]


@pytest.mark.parametrize(
    ("mirror", "faults"),
    [
        (None, []),
        (DATA[::-1], []),
        (DATA, [Fault(status=503)] * 9),
        (DATA, [Fault(cut_after=9_000), *[Fault(status=404)]]),
    ],
)
def test_a_mirror_that_cannot_help_is_passed_over(  # noqa: PLR0913
    mirror: bytes | None,
    faults: list[Fault],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = mirrored(server, mirror, *faults)
    monkeypatch.setenv("AUDIOPG_MIRROR", f"{server.address}/mirror")
    download(url, tmp_path / "x.zip", verify)
    assert (tmp_path / "x.zip").read_bytes() == DATA
    # from its first byte: what came from the mirror is not continued here
    assert server.ranges("/official/x.zip") == [""]
    assert f"could not download {server.address}/mirror/" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_is_a_mirror(scheme: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mirror" / "example.org" / "data" / "x.zip"
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    monkeypatch.setenv("AUDIOPG_MIRROR", f"{scheme}{tmp_path / 'mirror'}")
    download("https://example.org/data/x.zip", tmp_path / "x.zip", verify)
    assert (tmp_path / "x.zip").read_bytes() == DATA
    download(server.put("/y.zip", DATA), tmp_path / "y.zip", verify)  # which the folder has not got
    assert (tmp_path / "y.zip").read_bytes() == DATA
    assert place.exists()


def test_an_object_store_is_a_mirror_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/example.org/x.zip", DATA)
    monkeypatch.setenv("AUDIOPG_MIRROR", "memory://bucket")
    source = module.sources("https://example.org/x.zip")[0]
    (tmp_path / part_of(source)).write_bytes(DATA[:100])
    download("https://example.org/x.zip", tmp_path / "x.zip", verify)
    assert (tmp_path / "x.zip").read_bytes() == DATA
    assert files(tmp_path) == ["x.zip"]
    assert "anew" not in capsys.readouterr().err
    store.rm("/bucket", recursive=True)


class NoCredentialsError(Exception):
    """As botocore has it: neither OSError nor ValueError."""


@pytest.mark.parametrize(
    ("place", "method", "error"),
    [
        (MemoryFileSystem, "size", NoCredentialsError("Unable to locate credentials")),
        (MemoryFile, "read", OSError(errno.EIO, "Input/output error")),
        (MemoryFile, "read", NoCredentialsError("Unable to locate credentials")),
    ],
)
def test_an_object_store_that_cannot_be_read_is_passed_over(  # noqa: PLR0913
    place: type,
    method: str,
    error: Exception,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any) -> None:
        raise error

    url = server.put("/x.zip", DATA)
    store = fsspec.filesystem("memory")
    store.pipe(f"/bucket/{url.split('/')[2]}/x.zip", DATA[::-1])
    monkeypatch.setattr(place, method, fail)
    monkeypatch.setenv("AUDIOPG_MIRROR", "memory://bucket")
    download(url, tmp_path / "x.zip", verify)
    assert (tmp_path / "x.zip").read_bytes() == DATA
    assert f"/x.zip: {type(error).__name__} {error}" in capsys.readouterr().err
    store.rm("/bucket", recursive=True)


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_s3_without_its_package_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOPG_MIRROR", "s3://bucket")
    with pytest.raises(AudiopgError, match="AUDIOPG_MIRROR: .*s3fs"):
        download("https://example.org/x.zip", tmp_path / "x.zip", verify)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand in for a full disk")
def test_a_full_disk_is_one_error_and_not_the_fault_of_the_source(server: Server, tmp_path: Path) -> None:
    url = server.put("/x.zip", DATA)
    (tmp_path / part_of(url)).symlink_to("/dev/full")
    with pytest.raises(AudiopgError, match="cannot be written .No space left on device.; free some space or set"):
        download(url, tmp_path / "x.zip", verify)
    assert len(server.log) == 1
    assert not (tmp_path / "x.zip").exists()


CLIENT = """
import sys
from pathlib import Path
from audiopg.fetch import download
download.CHUNK = 1000
download.download(sys.argv[1], Path(sys.argv[2]), lambda path: None)
"""


def test_killed_at_random_moments_it_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    url = server.put("/x.zip", DATA)
    server.piece_s = 0.05  # 2 s for all of it
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "AUDIOPG_MIRROR": ""}
    command = [sys.executable, "-c", CLIENT, url, str(tmp_path / "x.zip")]
    moments = np.random.Generator(np.random.Philox(5)).uniform(0.05, 0.4, 3)
    for moment in moments:
        client = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        before = len(server.log)
        while len(server.log) == before and client.poll() is None:
            time.sleep(0.01)
        time.sleep(moment)
        client.send_signal(signal.SIGKILL)
        client.wait()
    assert not (tmp_path / "x.zip").exists()
    server.piece_s = 0.0
    download(url, tmp_path / "x.zip", verify)
    assert (tmp_path / "x.zip").read_bytes() == DATA
    starts = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in server.ranges("/x.zip")]
    assert len(starts) == 4
    assert starts == sorted(starts)
    assert starts[-1] > 0
