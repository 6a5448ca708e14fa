"""What the MPEG decoder writes on the terminal: its errors become refusals, and what others write is not lost."""

import os
import threading
import time

import pytest

from audiopg.audio.complaints import heard

ERROR = b"[src/libmpg123/layer3.c:INT123_do_layer3():1995] error: dequantization failed!\n"
LEANS = b"[src/libmpg123/layer3.c:INT123_do_layer3():1950] error: length (9) too large for available bit count (8)\n"
WARNING = (
    b"[src/libmpg123/parse.c:INT123_read_frame():9] warning: Cannot read next header, a one-frame stream? Duh...\n"
)


def test_errors_are_returned_and_other_lines_go_on(capfd: pytest.CaptureFixture[str]) -> None:
    with heard() as errors:
        os.write(2, b"before\n" + ERROR + b"a line of others\n" + LEANS + WARNING)
        assert capfd.readouterr().err == ""
    assert errors == ["dequantization failed!"]
    assert capfd.readouterr().err == "before\na line of others\n"
    os.write(2, ERROR)
    assert capfd.readouterr().err == ERROR.decode()


def test_nothing_is_lost_where_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with heard():
            os.write(2, b"a line of others\n")
            raise KeyError

    for _ in range(2):  # the lock is free again
        pytest.raises(KeyError, fail)
    assert capfd.readouterr().err == "a line of others\n" * 2


def test_no_line_is_taken_for_that_of_another_thread(capfd: pytest.CaptureFixture[str]) -> None:
    found: dict[int, list[str]] = {}

    def decode(number: int) -> None:
        for _ in range(20):
            with heard() as errors:
                time.sleep(1e-4)  # others want to decode meanwhile
                os.write(2, ERROR.replace(b"dequantization", b"%d" % number))
            found.setdefault(number, []).extend(errors)

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [f"{number} failed!"] * 20 for number in range(8)}
    assert capfd.readouterr().err == ""


def test_no_terminal_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    for _ in range(2):
        with heard() as errors:
            assert not errors
