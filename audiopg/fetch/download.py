"""Download one verified file: mirror first, resumed after a cut, never incomplete and never wrong.

pooch and fsspec verify but do not resume, huggingface_hub resumes from its own host only; this small module does both.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit

import fsspec
import requests

from audiopg.errors import AudiopgError
from audiopg.progress import progress, say

CHUNK = 1 << 18
TIMEOUT_S = (15.0, 60.0)  # to connect, and between two pieces of the answer
N_ATTEMPTS = 6  # in a row without a new byte
BACKOFF_S = 1.0  # before the second attempt; doubled each time
BACKOFF_MAX_S = 60.0
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
CONTENT_RANGE = re.compile(r"bytes (\d+)-")
PARTIAL, UNSATISFIABLE = 206, 416


class Unavailable(Exception):  # noqa: N818  (not a failure as long as another source is left)
    """A source does not have the file, or has a wrong one."""


class Interrupted(Exception):  # noqa: N818  (an answer that ended early is no failure yet)
    """A failure that a later attempt may fix; ``wait_s`` is the wait that the server asks for, in s."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        """Keep the reason and the wait that the server asks for."""
        super().__init__(reason)
        self.wait_s = wait_s


class Body(NamedTuple):
    """A source's answer: number of its first byte, size of the whole file (0: unknown), and the bytes."""

    start: int
    total: int
    chunks: Iterator[bytes]


def sources(url: str) -> list[str]:
    """Return the addresses to try, in order: on the mirror, if there is one, and the official one."""
    mirror = os.environ.get("AUDIOPG_MIRROR")
    if not mirror:
        return [url]
    parts = urlsplit(url)
    return [f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}", url]


def download(url: str, target: Path, verify: Callable[[Path], None]) -> None:
    """Download and verify a file.

    Args:
        url: official address.
        target: where the file goes; it gets this name when it is whole and verified.
        verify: raises `AudiopgError` when a file is not the right one.

    Raises:
        AudiopgError: no source has the right file, or the disk is full; the message gives the reason of each source.
    """
    reasons = []
    for source in sources(url):
        try:
            _from_source(source, target, verify)
        except Unavailable as reason:
            reasons.append(f"{source}: {reason}")
            say(f"could not download {reasons[-1]}")
        else:
            return
    msg = f"{target.name}: could not be downloaded; {'; '.join(reasons)}"
    raise AudiopgError(msg)


def _from_source(source: str, target: Path, verify: Callable[[Path], None]) -> None:
    """Download a file from one source; if it was resumed and is wrong, start once more from the first byte."""
    # never mix the bytes of two sources: a mirror may have repacked the archive
    part = target.with_name(f".{target.stem}.{hashlib.sha256(source.encode()).hexdigest()[:8]}.part{target.suffix}")
    part.parent.mkdir(parents=True, exist_ok=True)
    for may_repeat in (True, False):
        pieced = _fill(source, part, target.name)
        try:
            verify(part)
        except AudiopgError as error:
            part.unlink()
            if not (pieced and may_repeat):
                raise Unavailable(str(error)) from error
            say(f"{target.name}: the parts do not fit together ({error}); downloading it again")
        else:
            part.replace(target)
            return


def _fill(source: str, part: Path, label: str) -> bool:
    """Download until the file is complete, resuming after each cut; return whether it was resumed."""
    attempt = 0
    here = furthest = _size(part)
    pieced = here > 0
    while True:
        try:
            _append(source, part, here, label)
        except Interrupted as reason:
            here = _size(part)
            pieced = pieced or here > 0
            # bytes that were discarded and downloaded again are no progress: that could go on for ever
            attempt = 1 if here > furthest else attempt + 1
            furthest = max(furthest, here)
            if attempt == N_ATTEMPTS:
                raise Unavailable(f"{reason}, {N_ATTEMPTS} times in a row") from reason
            wait_s = min(max(BACKOFF_S * 2 ** (attempt - 1), reason.wait_s), BACKOFF_MAX_S)
            say(f"{label}: {reason}; trying again in {wait_s:.0f} s")
            time.sleep(wait_s)
        else:
            return pieced


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _append(source: str, part: Path, begin: int, label: str) -> None:
    """Add one answer to the part.

    Raises:
        Interrupted: the answer ended before the file did.
        Unavailable: there is no such file.
        AudiopgError: the disk is full.
    """
    with _open(source, begin) as body:
        if body.start not in {0, begin}:
            part.unlink(missing_ok=True)
            msg = f"the answer starts at byte {body.start} instead of {begin}"
            raise Interrupted(msg)
        chunks = progress(body.chunks, f"{label}: downloading", total=body.total, done=body.start, amount=len, unit="B")
        try:
            with part.open("r+b" if body.start else "wb") as file:
                file.seek(body.start)
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:  # of writing: an error of reading is already one of the other two
            msg = f"{part.parent}: cannot be written ({error.strerror or error}); free some space or set AUDIOPG_DATA"
            raise AudiopgError(msg) from error


def _open(source: str, begin: int) -> AbstractContextManager[Body]:
    """Ask a source for a file from byte ``begin`` on."""
    return _http(source, begin) if urlsplit(source).scheme in {"http", "https"} else _file(source, begin)


@contextmanager
def _http(url: str, begin: int) -> Iterator[Body]:
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Interrupted(_reason(error)) from error
    except requests.RequestException as error:
        raise Unavailable(_reason(error)) from error
    with answer:
        if answer.status_code in TRY_AGAIN:
            wish = answer.headers.get("Retry-After", "")
            msg = f"the server returned {answer.status_code}"
            raise Interrupted(msg, float(wish) if wish.isdecimal() else 0.0)
        if answer.status_code == UNSATISFIABLE and begin:
            # the part is complete, or it is of another file: the verification decides
            yield Body(begin, 0, iter(()))
            return
        if not answer.ok:
            raise Unavailable(f"the server returned {answer.status_code} {answer.reason}")
        first = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        start = int(first[1]) if answer.status_code == PARTIAL and first else 0
        length = answer.headers.get("Content-Length", "")
        yield Body(start, start + int(length) if length.isdecimal() else 0, _chunks(answer))


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(CHUNK)
    except requests.RequestException as error:
        raise Interrupted(_reason(error)) from error


@contextmanager
def _file(address: str, begin: int) -> Iterator[Body]:
    """Read a folder, ``file://``, ``s3://`` or any other address that fsspec opens."""
    try:
        system, path = fsspec.url_to_fs(address)
        total = system.size(path)
        file = system.open(path, "rb")
        file.seek(begin)
    except FileNotFoundError:
        msg = "no such file"
        raise Unavailable(msg) from None
    except ImportError as error:
        msg = f"AUDIOPG_MIRROR: {error}"
        raise AudiopgError(msg) from error
    except Exception as error:  # each kind of store has its own, such as one for missing credentials
        raise Unavailable(_reason(error)) from error
    with file:
        yield Body(begin, total, _pieces(file))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK):
            yield chunk
    except Exception as error:  # as above
        raise Unavailable(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Name an error in a few words: the text of requests' errors holds the whole chain of causes."""
    words = " ".join(str(error).split())
    for cause in ("timed out", "Connection refused", "Connection reset", "Name or service not known", "IncompleteRead"):
        if cause in words:
            return {"IncompleteRead": "connection cut"}.get(cause, cause.lower())
    return f"{type(error).__name__} {words[:120]}".strip()
