"""One address to one verified file: mirror first, resumed after a cut, never half and never wrong.

pooch and fsspec verify but do not resume, huggingface_hub resumes from its own host only: hence this small module.
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
N_ATTEMPTS = 6  # in a row that bring nothing new
BACKOFF_S = 1.0  # before the second attempt; doubled each time
BACKOFF_MAX_S = 60.0
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
CONTENT_RANGE = re.compile(r"bytes (\d+)-")
PARTIAL, UNSATISFIABLE = 206, 416


class Unavailable(Exception):  # noqa: N818  (not a failure as long as another source is left)
    """A source has not got the file, or a wrong one."""


class Interrupted(Exception):  # noqa: N818  (an answer that ended early is no failure yet)
    """An answer that may be better next time; ``wait_s`` is how long the server wants to be left alone."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        """Keep the reason and the wish of the server."""
        super().__init__(reason)
        self.wait_s = wait_s


class Body(NamedTuple):
    """What a source answers: where its bytes begin, how many the whole file has (0: unknown), and the bytes."""

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
    """Bring a file to this machine.

    Args:
        url: official address.
        target: where the file goes; it gets this name when it is whole and verified.
        verify: raises `AudiopgError` when a file is not the right one.

    Raises:
        AudiopgError: no source has the right file, or the disk is full; the message says what each source did.
    """
    reasons = []
    for source in sources(url):
        try:
            _from_source(source, target, verify)
        except Unavailable as reason:
            reasons.append(f"{source}: {reason}")
            say(f"not from {reasons[-1]}")
        else:
            return
    msg = f"{target.name}: not to be had; {'; '.join(reasons)}"
    raise AudiopgError(msg)


def _from_source(source: str, target: Path, verify: Callable[[Path], None]) -> None:
    """Load one source's file; if it was pieced together from several answers and is wrong, it is loaded once anew."""
    # the bytes of two sources are never mixed: a mirror may have packed the archive anew
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
            say(f"{target.name}: the pieces do not fit together ({error}), loading it anew")
        else:
            part.replace(target)
            return


def _fill(source: str, part: Path, label: str) -> bool:
    """Load until the whole file is there, going on after each cut; tell whether it was pieced together."""
    attempt = 0
    here = furthest = _size(part)
    pieced = here > 0
    while True:
        try:
            _append(source, part, here, label)
        except Interrupted as reason:
            here = _size(part)
            pieced = pieced or here > 0
            # what was thrown away and brought again is no progress: that could go on for ever
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
            msg = f"answers from byte {body.start} instead of {begin}"
            raise Interrupted(msg)
        chunks = progress(body.chunks, f"{label}: loading", total=body.total, done=body.start, amount=len, unit="B")
        try:
            with part.open("r+b" if body.start else "wb") as file:
                file.seek(body.start)
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:  # of writing: errors of reading have become one of the other two
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
            msg = f"answers {answer.status_code}"
            raise Interrupted(msg, float(wish) if wish.isdecimal() else 0.0)
        if answer.status_code == UNSATISFIABLE and begin:
            # everything is there already, or what is there is something else: the verification tells
            yield Body(begin, 0, iter(()))
            return
        if not answer.ok:
            raise Unavailable(f"answers {answer.status_code} {answer.reason}")
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
    """Read a folder, ``file://``, ``s3://`` or whatever else fsspec opens."""
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
    except Exception as error:  # every kind of store has its own, such as one for credentials that are missing
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
    """Name an error in a few words: those of requests hold the whole chain of causes."""
    words = " ".join(str(error).split())
    for cause in ("timed out", "Connection refused", "Connection reset", "Name or service not known", "IncompleteRead"):
        if cause in words:
            return {"IncompleteRead": "connection cut"}.get(cause, cause.lower())
    return f"{type(error).__name__} {words[:120]}".strip()
