"""The frames of an MPEG audio file (MP3, MP2, MP1), walked from header to header.

Source: ISO/IEC 11172-3 and 13818-3 (frames), and the Xing and VBRI headers as their encoders write them.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from audiopg.audio.remedies import CONVERT
from audiopg.errors import DOWNLOAD_AGAIN

HEADER = struct.Struct(">I")
SYNC = 0xFFE00000
SAME = 0xFFFE0C00  # version, layer and sample rate: they do not change within a stream
MONO = 3
# kbit/s by the header's index, for version 1 and for versions 2 and 2.5; index 0 is a rate that the header leaves open
V1 = {
    1: range(0, 480, 32),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
V2_LAYER_1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES_HZ = (44_100, 48_000, 32_000)
HOLE = bytes(32)
UNPROTECTED, CHECKSUM = 1 << 16, 2  # of a header; bytes after it
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
XING = struct.Struct(">4sII")  # mark, flags, number of frames
XING_HAS_FRAMES, XING_HAS_SIZE = 1, 2
VBRI = 36  # where it begins in its frame
ID3 = struct.Struct(">5sB4B")  # mark and version, flags, size in 7 bits a byte
ID3_HAS_FOOTER = 16
APE = struct.Struct("<III")  # size, number of items, flags
APE_HAS_HEADER = 1 << 31


class Frame(NamedTuple):
    """What a frame's header says."""

    kind: int  # all that stays the same within a stream
    size: int  # bytes
    n_samples: int
    side: int  # bytes before a Xing header


class Walk(NamedTuple):
    """What a file holds."""

    first: int  # the first frame, which may be a header
    begin: int  # the first frame of sound
    end: int  # after the last one
    n_samples: int  # of all frames of sound
    announced: int | None  # n_samples by the Xing header; None: it does not say
    n_bytes: int  # of the file, by the Xing header, or as it is
    flaw: str  # why the file cannot be trusted, or ""


def frame_at(data: bytes, place: int) -> Frame | None:
    """Read the header of a frame; None if there is none."""
    if place + HEADER.size > len(data):
        return None
    (header,) = HEADER.unpack_from(data, place)
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bits, rate, mode = header >> 12 & 15, header >> 10 & 3, header >> 6 & 3
    if header & SYNC != SYNC or 1 in (version, bits // 15) or layer == 4 or rate == 3 or not bits:  # noqa: PLR2004
        return None
    first = version == MONO  # version 1 has the bits 11
    rate_hz = RATES_HZ[rate] >> (0 if first else 1 if version else 2)
    kbps = V1[layer][bits] if first else (V2_LAYER_1 if layer == 1 else V2)[bits]
    slots = {1: 12, 2: 144, 3: 144 if first else 72}[layer]
    slot = 4 if layer == 1 else 1
    size = (slots * kbps * 1000 // rate_hz + (header >> 9 & 1)) * slot
    n_samples = {1: 384, 2: 1152, 3: 1152 if first else 576}[layer]
    side = (17 if mode == MONO else 32) if first else (9 if mode == MONO else 17)
    return Frame(header & SAME | (mode == MONO), size, n_samples, HEADER.size + side)


def is_mpeg(path: Path) -> bool:
    """Tell whether a file begins with a frame, after tags."""
    with path.open("rb") as file:
        place = _tag_size(file.read(ID3.size))
        file.seek(place)
        return frame_at(file.read(HEADER.size), 0) is not None


def walk(path: Path) -> Walk:
    """Walk through all frames of a file: each begins where the one before it ends.

    A decoder estimates the length of a file without a Xing header, plays only the first of joined files, and skips
    damaged frames.
    """
    data = path.read_bytes()
    end = _without_tags(data)
    begin = _next_stream(data, min(_tag_size(data), end), end)
    first = frame_at(data, begin)
    if begin == end or first is None:
        flaw = f"cannot be decoded (no whole MPEG frame of a known bit rate); {DOWNLOAD_AGAIN}, or {CONVERT}"
        return Walk(0, 0, end, 0, None, 0, flaw)
    is_header, announced = _header(data, begin, first)
    sound_begin = begin + first.size if is_header else begin
    place = sound_end = sound_begin
    kind, n_samples, n_streams, flaw = first.kind, 0, 1, ""
    while place < end and not flaw:
        frame = frame_at(data, place)
        if frame and frame.kind == kind:
            is_header = _header(data, place, frame)[0]
            n_streams += is_header
            n_samples += 0 if is_header else frame.n_samples
            sound_end = place = place + frame.size
            continue
        place, flaw = _after_a_gap(data, place, end, is_complete=n_samples == announced)
        frame = frame_at(data, place) if place < end else None
        if frame and not flaw:
            kind = frame.kind
            n_streams += not _header(data, place, frame)[0]  # a header is counted in its own turn
    if n_streams > 1:
        flaw = flaw or f"holds {n_streams} streams joined end to end; {CONVERT}"
    elif sound_end > end:
        flaw = f"ends in the middle of a frame, after {len(data)} bytes; {DOWNLOAD_AGAIN}"
    elif announced is not None and n_samples < announced:
        flaw = flaw or f"ends after {n_samples} of {announced} samples; {DOWNLOAD_AGAIN}"
    elif announced is not None and n_samples > announced + first.n_samples:  # an encoder may leave the last one out
        flaw = flaw or f"announces {announced} samples, but holds {n_samples}; {CONVERT}"
    hole = None if flaw else _hole(data, sound_begin, sound_end)
    if hole is not None:
        flaw = f"is damaged after {hole} of {len(data)} bytes; {DOWNLOAD_AGAIN}"
    sound_end = min(sound_end, end)
    n_bytes = _announced_bytes(data, begin, first) or sound_end - begin
    return Walk(begin, sound_begin, sound_end, n_samples, announced, n_bytes, flaw)


def _after_a_gap(data: bytes, place: int, end: int, *, is_complete: bool) -> tuple[int, str]:
    """Return where sound goes on after something that is no frame, ``end`` if nowhere, and whether that is a flaw."""
    following = _next_stream(data, place, end)
    is_tag = data.startswith(TAGS, place)
    if following == end:  # padding, or a tag in an unusual place, is no harm
        is_harmless = is_complete or is_tag or not data[place:end].strip(b"\0")
    else:
        is_harmless = is_tag or following == place
    return following, "" if is_harmless else f"is damaged after {place} of {len(data)} bytes; {DOWNLOAD_AGAIN}"


def _hole(data: bytes, begin: int, end: int) -> int | None:
    """Find a frame of layer III whose sound has zeros in the middle, as from a lost block of a disk or a download.

    A code of many zeros in a row is not written; zeros at the end of a part are, to fill up a constant bit rate.
    """
    if data.find(HOLE, begin, end) < 0:
        return None
    stream = bytearray()  # the sound of all frames: a frame may use what its predecessors left free
    place = begin
    while place < end and (frame := frame_at(data, place)):
        (header,) = HEADER.unpack_from(data, place)
        if 4 - (header >> 17 & 3) != 3:  # noqa: PLR2004  (layer III)
            return None
        side = place + HEADER.size + (0 if header & UNPROTECTED else CHECKSUM)
        sound = side + frame.side - HEADER.size
        back, lengths = _parts(data[side:sound], is_mono=bool(frame.kind & 1), is_first=header >> 19 & 3 == 3)  # noqa: PLR2004
        bit = 8 * (len(stream) - back)
        stream += data[sound : place + frame.size]
        for length in lengths if bit >= 0 else ():
            if HOLE in stream[bit // 8 + 1 : (bit + length) // 8].rstrip(b"\0"):
                return place
            bit += length
        place += frame.size
    return None


def _parts(side: bytes, *, is_mono: bool, is_first: bool) -> tuple[int, list[int]]:
    """Return how many bytes before a frame its sound begins, and how many bits its granules and channels have."""
    bits, n_bits = int.from_bytes(side), 8 * len(side)

    def field(place: int, width: int) -> int:
        return bits >> (n_bits - place - width) & ((1 << width) - 1)

    n_channels = 1 if is_mono else 2
    head = 9 + (5 if is_mono else 3) + 4 * n_channels if is_first else 8 + n_channels
    n_parts, width = (2 * n_channels, 59) if is_first else (n_channels, 63)
    return field(0, 9 if is_first else 8), [field(head + part * width, 12) for part in range(n_parts)]


def _next_stream(data: bytes, place: int, end: int) -> int:
    """Find the first place with two frames in a row, or one that ends the file; ``end`` if there is none."""
    while (place := data.find(b"\xff", place, end)) >= 0:
        frame = frame_at(data, place)
        if frame:
            after = place + frame.size
            second = frame_at(data, after) if after < end else None
            if after == end or (second and second.kind == frame.kind):
                return place
        place += 1
    return end


def _header(data: bytes, place: int, frame: Frame) -> tuple[bool, int | None]:
    """Tell whether a frame holds facts instead of sound, and return the number of samples that it announces.

    The decoder plays a VBRI header as silence and does not trust its number; neither do we.
    """
    if place + frame.side + XING.size > len(data):
        return False, None
    mark, flags, n_frames = XING.unpack_from(data, place + frame.side)
    if mark in {b"Xing", b"Info"}:
        return True, n_frames * frame.n_samples if flags & XING_HAS_FRAMES else None
    return data.startswith(b"VBRI", place + VBRI), None


def _announced_bytes(data: bytes, place: int, frame: Frame) -> int:
    """Return the size of the file by its Xing header, 0 if it does not say."""
    xing = place + frame.side
    mark, flags, _ = XING.unpack_from(data.ljust(xing + XING.size), xing)
    if mark not in {b"Xing", b"Info"} or flags & XING_HAS_SIZE == 0:
        return 0
    (size,) = HEADER.unpack_from(data, xing + XING.size - (0 if flags & XING_HAS_FRAMES else HEADER.size))
    return int(size)


def _tag_size(start: bytes) -> int:
    """Return how long the tag at the beginning is."""
    if not start.startswith(b"ID3") or len(start) < ID3.size:
        return 0
    _, flags, *size = ID3.unpack_from(start)
    return ID3.size * (2 if flags & ID3_HAS_FOOTER else 1) + _seven_bits(size)


def _seven_bits(size: list[int]) -> int:
    """Return the number that a tag writes with seven bits a byte."""
    return sum(byte << 7 * power for power, byte in enumerate(reversed(size)))


def _without_tags(data: bytes) -> int:
    """Return where the tags at the end begin."""
    end = before = len(data)
    while True:
        if data[end - 128 : end].startswith(b"TAG"):
            end -= 128
        elif data[end - 32 : end].startswith(b"APETAGEX"):
            size, _, flags = APE.unpack_from(data, end - 20)
            end -= size + (32 if flags & APE_HAS_HEADER else 0)
        elif data[end - 9 : end] == b"LYRICS200" and data[end - 15 : end - 9].isdigit():
            end -= int(data[end - 15 : end - 9]) + 15
        elif data[end - 10 : end].startswith(b"3DI"):
            _, _, *size = ID3.unpack_from(data, end - 10)
            end -= 2 * ID3.size + _seven_bits(size)
        if not 0 <= end < before:
            return before if end < 0 else end
        before = end
