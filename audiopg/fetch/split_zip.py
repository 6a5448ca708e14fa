"""A zip archive that was split into volumes, read without joining them.

`zipfile` refuses more than one volume, and joined volumes would take their space a second time.
"""

import io
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

CHUNK = 1 << 18
END = struct.Struct("<4s4H2LH")
ENTRY = struct.Struct("<4s2B5H3L5H2L")
HEADER = struct.Struct("<4s5H3L2H")
COMMENT_MAX = 1 << 16
ZIP64 = {0xFFFF, 0xFFFFFFFF}
UTF8 = 1 << 11


class Volumes(io.RawIOBase):
    """The volumes as one file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Open all volumes, in order."""
        super().__init__()
        self.files = [path.open("rb") for path in paths]
        self.starts = [0, *accumulate(path.stat().st_size for path in paths)]
        self.position = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any byte can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte of the whole."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.starts[-1]}[whence]
        self.position = max(origin + offset, 0)
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read on, at most to the end of a volume."""
        if self.position >= self.starts[-1]:
            return 0
        number = bisect_right(self.starts, self.position) - 1
        self.files[number].seek(self.position - self.starts[number])
        count = self.files[number].readinto(buffer)
        self.position += count
        return count

    def close(self) -> None:
        """Close all volumes."""
        for file in self.files:
            file.close()
        super().close()


class SplitZip:
    """A zip archive in volumes; its directory gives each member as (volume, offset in it).

    Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 8.5.
    """

    def __init__(self, volumes: Sequence[Path]) -> None:
        """Open the volumes in order, ``.zip`` last."""
        self.volumes = Volumes(volumes)
        self.file = io.BufferedReader(self.volumes, CHUNK)

    def close(self) -> None:
        """Close all volumes."""
        self.file.close()

    def infolist(self) -> list[zipfile.ZipInfo]:
        """List the members in the order of the directory.

        Raises:
            BadZipFile: there is no directory, or it is not about these volumes.
        """
        n_volumes = len(self.volumes.files)
        tail_start = max(self.volumes.starts[-1] - END.size - COMMENT_MAX, 0)
        tail = self._read_at(tail_start, self.volumes.starts[-1] - tail_start)
        place = tail.rfind(b"PK\5\6")
        if place < 0 or len(tail) - place < END.size:
            msg = "no directory at the end of the last volume"
            raise zipfile.BadZipFile(msg)
        _, last, first, _, n_entries, n_bytes, offset, _ = END.unpack_from(tail, place)
        if {n_entries, n_bytes, offset} & ZIP64:
            msg = "split archives with ZIP64 records are not supported"
            raise zipfile.BadZipFile(msg)
        if last != n_volumes - 1 or first > last:
            msg = f"it has {last + 1} volumes, found {n_volumes}"
            raise zipfile.BadZipFile(msg)
        directory = self._read_at(self.volumes.starts[first] + offset, n_bytes)
        return list(self._parse(directory, n_entries))

    def _parse(self, directory: bytes, n_entries: int) -> Iterator[zipfile.ZipInfo]:
        place = 0
        for _ in range(n_entries):
            fields = ENTRY.unpack_from(directory, place)
            if fields[0] != b"PK\1\2":
                msg = "the directory is damaged"
                raise zipfile.BadZipFile(msg)
            _, _, _, _, flags, method, _, _, crc, n_packed, n_bytes, *lengths, volume, _, kind, offset = fields
            begin = place + ENTRY.size
            name = directory[begin : begin + lengths[0]].decode("utf-8" if flags & UTF8 else "cp437")
            place = begin + sum(lengths)
            info = zipfile.ZipInfo(name)
            info.flag_bits, info.compress_type, info.CRC = flags, method, crc
            info.compress_size, info.file_size, info.external_attr = n_packed, n_bytes, kind
            if volume >= len(self.volumes.files) or {n_packed, n_bytes, offset} & ZIP64:
                msg = f"member {name} lies in volume {volume + 1}, or is larger than 4 GB"
                raise zipfile.BadZipFile(msg)
            info.header_offset = self.volumes.starts[volume] + offset
            yield info

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the bytes of a member.

        Raises:
            BadZipFile: it does not begin where it should, or its bytes are not the packed ones.
        """
        header = HEADER.unpack(self._read_at(info.header_offset, HEADER.size))
        if header[0] != b"PK\3\4" or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            msg = f"member {info.filename} does not begin where the directory says, or is packed in an unknown way"
            raise zipfile.BadZipFile(msg)
        self.file.seek(info.header_offset + HEADER.size + header[-2] + header[-1])
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        unpack = zlib.decompressobj(-zlib.MAX_WBITS) if deflated else None
        left, count, crc = info.compress_size, 0, 0
        while left and count <= info.file_size:
            packed = self.file.read(min(left, CHUNK))
            if not packed:
                break
            left -= len(packed)
            # never much more at a time than announced, however much the packed bytes would unpack to
            data = unpack.decompress(packed, info.file_size - count + 1) if unpack else packed
            count, crc = count + len(data), zlib.crc32(data, crc)
            yield data
        if count != info.file_size or crc != info.CRC:
            msg = f"member {info.filename} is not what was packed"
            raise zipfile.BadZipFile(msg)

    def _read_at(self, position: int, count: int) -> bytes:
        self.file.seek(position)
        data = self.file.read(count)
        if len(data) != count:
            msg = "it ends early"
            raise zipfile.BadZipFile(msg)
        return data
