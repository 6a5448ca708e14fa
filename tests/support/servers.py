"""A web server on this machine that serves files and, when told so, does it badly."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 1000


@dataclass
class Fault:
    """What goes wrong with one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes; then the connection is closed
    stall_after: int | None = None  # bytes; then nothing comes any more
    ignores_range: bool = False
    length_off_by: int = 0  # of the length that the headers announce
    start_off_by: int = 0  # of the first byte that the headers announce
    wrong_bytes: bool = False


class Server:
    """Files by path, faults by path (one for each answer, in order), and a log of (path, range)."""

    def __init__(self) -> None:
        """Take a free port."""
        self.files: dict[str, bytes] = {}
        self.faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self.log: list[tuple[str, str]] = []
        self.piece_s = 0.0  # pause after each piece
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"served": self}))
        self.http.daemon_threads = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def put(self, path: str, data: bytes, *faults: Fault) -> str:
        """Serve a file, badly as often as there are faults, and return its address."""
        self.files[path] = data
        self.faults[path] = list(faults)
        return self.address + path

    def ranges(self, path: str) -> list[str]:
        return [asked for requested, asked in self.log if requested == path]


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other, each with the next of its faults."""

    protocol_version = "HTTP/1.1"
    served: Server

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:  # noqa: N802
        asked = self.headers.get("Range", "")
        self.served.log.append((self.path, asked))
        faults = self.served.faults[self.path]
        fault = faults.pop(0) if faults else Fault()
        self.close_connection = True
        if fault.status or self.path not in self.served.files:
            self.head(fault.status or 404, {**fault.headers, "Content-Length": "0"})
            return
        data = self.served.files[self.path]
        ranged = bool(asked) and not fault.ignores_range
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if ranged else 0
        if ranged and begin >= len(data):
            self.head(416, {"Content-Length": "0"})
            return
        body = bytes(byte ^ 1 for byte in data[begin:]) if fault.wrong_bytes else data[begin:]
        headers = {"Content-Length": str(len(body) + fault.length_off_by), **fault.headers}
        if ranged:
            headers["Content-Range"] = f"bytes {begin + fault.start_off_by}-{len(data) - 1}/{len(data)}"
        self.head(206 if ranged else 200, headers)
        self.send(body[: len(body) + min(fault.length_off_by, 0)], fault)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, body: bytes, fault: Fault) -> None:
        stop = next((n for n in (fault.cut_after, fault.stall_after) if n is not None), len(body))
        with suppress(OSError):  # the client was killed
            for begin in range(0, min(stop, len(body)), PIECE):
                self.wfile.write(body[begin : min(begin + PIECE, stop)])
                time.sleep(self.served.piece_s)
            if fault.stall_after is not None:
                time.sleep(2)


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for a while."""
    server = Server()
    threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
