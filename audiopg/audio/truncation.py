"""Whether an audio file is complete: libsndfile decodes a truncated file, and at most notes in its log what is missing.

It refuses truncated FLAC, MP3 and CAF files itself. Rare containers (NIST, VOC, IRCAM …) and MP3 files without a
Xing header are not covered.
"""

import re
import struct
import zlib
from pathlib import Path

# of WAV, AIFF, AU, SVX, RF64 and W64; the first number is what the header announces, the second what is there
SIZES = re.compile(r"^ *(?:data|SSND|Data Size|BODY|Riff size|riff) +: (\d+) \(should be (\d+)\)$", re.MULTILINE)
OGG_MARK = b"OggS"
OGG_HEADER = struct.Struct("<4x x B 8x I I I B")  # flags, stream, number of the page, checksum, number of segments
OGG_CHECKSUM = slice(22, 26)
LAST_PAGE = 4  # of the flags
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
ONES = 0xFFFFFFFF


def shortfall(path: Path, log: str) -> str:
    """Return what is missing of a file by its own header, or ``""``.

    Args:
        path: an audio file.
        log: what libsndfile noted when it opened it (``extra_info``).
    """
    for announced, found in SIZES.findall(log):
        if int(found) < int(announced):  # extra bytes do no harm: they come after the sound
            return f"ends after {found} of {announced} bytes"
    with path.open("rb") as file:
        is_ogg = file.read(len(OGG_MARK)) == OGG_MARK
    return _ogg_shortfall(path.read_bytes()) if is_ogg else ""


def _ogg_shortfall(data: bytes) -> str:
    """Walk through the pages of an Ogg file: each must be as it was written, none left out, the last one marked so.

    A decoder skips damaged pages, which shortens the sound.

    Source: RFC 3533.
    """
    begin = 0
    expected: dict[int, int] = {}  # number of the next page of each stream that has not ended
    while data.startswith(OGG_MARK, begin) and begin + OGG_HEADER.size <= len(data):
        flags, stream, number, checksum, n_segments = OGG_HEADER.unpack_from(data, begin)
        body = begin + OGG_HEADER.size + n_segments
        end = body + sum(data[begin + OGG_HEADER.size : body])
        if number != expected.get(stream, number) or checksum != _ogg_checksum(data[begin:end]):
            break
        expected[stream] = number + 1
        if flags & LAST_PAGE:
            del expected[stream]
        begin = end
    return f"ends early or is damaged after {begin} of {len(data)} bytes" if expected else ""


def _ogg_checksum(page: bytes) -> int:
    """Return the page's CRC-32 with the highest bit first, no inversion, and zeros in the checksum's own place.

    zlib has the one with the lowest bit first: reversing the bits of what goes in and comes out turns it into this one.
    """
    blank = bytearray(page)
    blank[OGG_CHECKSUM] = bytes(4)
    return int(f"{zlib.crc32(blank.translate(REVERSED), ONES) ^ ONES:032b}"[::-1], 2)
