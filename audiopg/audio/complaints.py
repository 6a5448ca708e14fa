"""What the MPEG decoder in libsndfile says about a file: it writes lines on the terminal that name none."""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OWN = re.compile(
    rb"^(?:\[src/libmpg123/\S+ (?P<error>error: )?|(?:Note|Warning|warning): )(?P<said>.*)\n?", re.MULTILINE
)
# of the first frames of a recording that was cut, and of no harm: they lean on frames before the cut
LEANS = b"too large for available bit count"
STDERR = 2
_LOCK = threading.Lock()


@contextmanager
def heard() -> Iterator[list[str]]:
    """Keep the decoder's lines off the terminal while the block decodes; add its errors to the list that is yielded.

    It knows no other place than the process's standard error. So one file at a time is decoded here, whatever threads
    there are, and what others write meanwhile comes a moment later: a block should take a moment, and start no process.
    """
    errors: list[str] = []
    with _LOCK:
        try:
            terminal = os.dup(STDERR)
        except OSError:  # there is none
            yield errors
            return
        with tempfile.TemporaryFile() as lines, os.fdopen(terminal, "wb", buffering=0) as screen:
            os.dup2(lines.fileno(), STDERR)
            try:
                yield errors
            finally:
                os.dup2(terminal, STDERR)
                lines.seek(0)
                said = lines.read()
                errors += [
                    match["said"].decode(errors="replace").strip()
                    for match in OWN.finditer(said)
                    if match["error"] and LEANS not in match["said"]
                ]
                if others := OWN.sub(b"", said):
                    screen.write(others)
