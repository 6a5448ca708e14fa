"""Whether an audio file is complete: libsndfile decodes a truncated file, and at most notes in its log what is missing.

It refuses truncated FLAC files itself; MP3 has its own module. Rare containers (NIST, VOC, IRCAM …) are not covered.
"""

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from audiopg.audio.remedies import CONVERT
from audiopg.errors import DOWNLOAD_AGAIN

# of WAV, AIFF, AU, SVX, RF64 and W64; the first number is what the header announces, the second what is there
SIZES = re.compile(r"^ *(?:data|SSND|Data Size|BODY|Riff size|riff) +: (\d+) \(should be (\d+)\)$", re.MULTILINE)
# what programs announce that write into a pipe (SoX, arecord, FFmpeg), up to the length of a header
FROM_A_PIPE = (0x7F000000, 0x7FFFF000, 1 << 31, 1 << 32)
NEAR = 1 << 10
# Bytes that may be missing: the size counts the header (8 to 128 bytes), or a pad byte was not written. Of broken
# downloads of 128 KB, one in a thousand ends so late, and loses less than 2 ms of sound.
LITTLE = 128
# where a header has its size, and how much more the file is long; by the first four bytes
SIZE_FIELDS = {
    b"RIFF": (struct.Struct("<4xI"), 8),
    b"RIFX": (struct.Struct(">4xI"), 8),
    b"FORM": (struct.Struct(">4xI"), 8),
    b"RF64": (struct.Struct("<20xQ"), 8),
    b"riff": (struct.Struct("<16xQ"), 0),
    b".snd": (struct.Struct(">4xII"), 0),  # size of the header, size of the sound
}
FLAC_MARK = b"fLaC"
FLAC_BEGIN = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
CAF_MARK = b"caff"
CAF_CHUNK = struct.Struct(">4sq")  # kind, size; 8 bytes come before the first one
CAF_HEADER_BYTES = 8
OGG_MARK = b"OggS"
OGG_HEADER = struct.Struct("<4x x B 8x I I I B")  # flags, stream, number of the page, checksum, number of segments
OGG_CHECKSUM = slice(22, 26)
FIRST_PAGE, LAST_PAGE = 2, 4  # of the flags
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
ONES = 0xFFFFFFFF


class Gap(NamedTuple):
    """How many bytes a file holds, and how many more its header announces."""

    found: int
    announced: int

    @property
    def is_little(self) -> bool:
        """Whether it is rather a mistake of the program that wrote the file than a lost end."""
        missing = self.announced - self.found
        return missing <= LITTLE and missing < self.found


def gap(path: Path, log: str) -> Gap | None:
    """Return by how much a file is shorter than its own header says; None if it is not.

    Args:
        path: an audio file.
        log: what libsndfile noted when it opened it (``extra_info``).
    """
    if _mark(path) == CAF_MARK:  # libsndfile notes no small gaps, and others wrongly
        gaps = [Gap(path.stat().st_size, end) for kind, end in _caf_chunks(path) if kind == b"data"]
    else:
        gaps = [Gap(int(found), int(announced)) for announced, found in SIZES.findall(log)]
        gaps = [gap for gap in gaps if not any(abs(gap.announced - size) <= NEAR for size in FROM_A_PIPE)]
    # extra bytes do no harm: they come after the sound
    widest = max(gaps, key=lambda gap: gap.announced - gap.found, default=None)
    return widest if widest and widest.announced > widest.found else None


def flaw(path: Path) -> str:
    """Return what is wrong with a file as a whole, and what helps, or ``""``: several files in one, or damaged pages.

    Args:
        path: an audio file.
    """
    mark = _mark(path)
    if mark == OGG_MARK:
        return _ogg_flaw(path.read_bytes())
    count = {FLAC_MARK: _n_flac, CAF_MARK: _n_caf}.get(mark, _n_joined if mark in SIZE_FIELDS else None)
    n_streams = count(path) if count else 1
    return f"holds {n_streams} streams joined end to end; {CONVERT}" if n_streams > 1 else ""


def _mark(path: Path) -> bytes:
    """Return the first four bytes."""
    with path.open("rb") as file:
        return file.read(4)


def _n_joined(path: Path) -> int:
    """Count files of one kind that follow each other: a decoder plays only the first."""
    with path.open("rb") as file:
        mark, n_files, end = file.read(4), 0, 0
        layout, more = SIZE_FIELDS[mark]
        file.seek(0)
        while (header := file.read(layout.size)).startswith(mark) and len(header) == layout.size:
            n_files += 1
            size = sum(layout.unpack(header)) + more
            if size < layout.size:  # a damaged size, perhaps 0, would lead here for ever
                break
            end += size + size % 2 if mark != b".snd" else size
            if end >= path.stat().st_size:  # a damaged size can be farther away than a disk reaches
                break
            file.seek(end)
    return n_files


def _n_flac(path: Path) -> int:
    """Count the beginnings of FLAC files: their headers do not say how long they are."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return sum(1 for _ in FLAC_BEGIN.finditer(data))


def _n_caf(path: Path) -> int:
    """Count the beginnings of CAF files among the chunks: only those have sizes."""
    return sum(1 for kind, _ in _caf_chunks(path) if kind == CAF_MARK)


def _caf_chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each chunk and where it ends, if it is not open; the beginning of a file counts as one."""
    with path.open("rb") as file:
        place = 0
        while len(head := file.read(CAF_CHUNK.size)) == CAF_CHUNK.size:
            kind, size = CAF_CHUNK.unpack(head)
            if kind != CAF_MARK and (not kind.strip(b"\0") or size < 0):
                break
            place += CAF_HEADER_BYTES if kind == CAF_MARK else CAF_CHUNK.size + size
            yield kind, place
            if place >= path.stat().st_size:
                break
            file.seek(place)


def _ogg_flaw(data: bytes) -> str:
    """Walk through the pages of an Ogg file: each must be as it was written, none left out, the last one marked so.

    A decoder skips damaged pages, which shortens the sound, and plays only the first of streams that follow each other.

    Source: RFC 3533.
    """
    begin = 0
    expected: dict[int, int] = {}  # number of the next page of each stream that has not ended
    n_groups, is_beginning = 0, False
    while data.startswith(OGG_MARK, begin) and begin + OGG_HEADER.size <= len(data):
        flags, stream, number, checksum, n_segments = OGG_HEADER.unpack_from(data, begin)
        body = begin + OGG_HEADER.size + n_segments
        end = body + sum(data[begin + OGG_HEADER.size : body])
        if number != expected.get(stream, number) or checksum != _ogg_checksum(data[begin:end]):
            break
        # streams that play together begin with their first pages in a row
        n_groups += bool(flags & FIRST_PAGE) and not is_beginning
        is_beginning = bool(flags & FIRST_PAGE)
        expected[stream] = number + 1
        if flags & LAST_PAGE:
            del expected[stream]
        begin = end
    if expected:
        return f"ends early or is damaged after {begin} of {len(data)} bytes; {DOWNLOAD_AGAIN}"
    return f"holds {n_groups} streams joined end to end; {CONVERT}" if n_groups > 1 else ""


def _ogg_checksum(page: bytes) -> int:
    """Return the page's CRC-32 with the highest bit first, no inversion, and zeros in the checksum's own place.

    zlib has the one with the lowest bit first: reversing the bits of what goes in and comes out turns it into this one.
    """
    blank = bytearray(page)
    blank[OGG_CHECKSUM] = bytes(4)
    return int(f"{zlib.crc32(blank.translate(REVERSED), ONES) ^ ONES:032b}"[::-1], 2)
