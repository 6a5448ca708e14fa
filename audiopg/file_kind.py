"""What a file is that is not what was expected: by its first bytes, for error messages."""

import struct
from pathlib import Path

SOUND = {
    b"RIFF": "a WAV recording",
    b"RIFX": "a WAV recording",
    b"RF64": "a WAV recording",
    b"riff": "a W64 recording",
    b"FORM": "an AIFF recording",
    b"fLaC": "a FLAC recording",
    b"OggS": "an Ogg recording",
    b".snd": "an AU recording",
    b"caff": "a CAF recording",
    b"ID3": "an MP3 recording",
}
OTHERS = {
    b"PK\x03\x04": "a PyTorch checkpoint (.pth, .pt) or another ZIP archive",
    b"\x80\x02": "a pickle, as PyTorch's .pth files of long ago",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x89HDF": "an HDF5 file, as Keras writes it",
    b"\x93NUMPY": "a NumPy array",
    b"GGUF": "a GGUF file",
    b"PAR1": "a Parquet table",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a picture",
    b"version https://git-lfs": "a placeholder of Git LFS (`git lfs pull` fetches the file)",
}
HEADER = 8  # bytes of the length of the header of a safetensors file
LONGEST_HEADER = 100_000_000  # of a safetensors file, as its library has it
MPEG_SYNC = 0xFFE0  # the first eleven bits of each MPEG frame


def unlike_tensors(path: Path) -> str:
    """Say what there is under a path instead of a safetensors file; nothing where it begins as one, whole or damaged.

    Args:
        path: a file or a folder that exists.
    """
    if path.is_dir():
        return "a folder"
    if not path.is_file():
        return "not a regular file"
    with path.open("rb") as file:
        head = file.read(32)
    is_tensors = head[HEADER : HEADER + 1] == b"{" and struct.unpack("<Q", head[:HEADER])[0] <= LONGEST_HEADER
    return "" if is_tensors else _kind(head)


def _kind(head: bytes) -> str:
    """Name the kind of a file by its first bytes."""
    kind = next((kind for start, kind in (SOUND | OTHERS).items() if head.startswith(start)), "")
    if kind == SOUND[b"RIFF"] and head[8:12] != b"WAVE":
        kind = f"a RIFF file of type {head[8:12].decode('ascii', 'backslashreplace')}"
    elif not head:
        kind = "an empty file"
    elif not kind and len(head) > 1 and struct.unpack(">H", head[:2])[0] & MPEG_SYNC == MPEG_SYNC:
        kind = "an MP3 recording"
    elif not kind and head[4:8] == b"ftyp":
        kind = "an MP4 or M4A file"
    elif not kind:
        kind = "a text file" if head.isascii() and b"\0" not in head else "a file of another kind"
    return kind
