"""Opening an audio file to read it once, from its beginning to its end; what cannot be read as a whole is refused."""

import io
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import soundfile

from audiopg import file_kind
from audiopg.arrays import Float32
from audiopg.audio import mpeg, truncation
from audiopg.audio.complaints import heard
from audiopg.audio.files import broken_link, printable
from audiopg.audio.remedies import CONVERT
from audiopg.errors import DOWNLOAD_AGAIN, AudiopgError
from audiopg.progress import say

BLOCK = 1 << 18  # samples decoded at a time, of all channels together: a damaged header can announce 1024 channels
RATES_HZ = (100, 10_000_000)  # from recordings of infrasound to those of ultrasound
PLAIN = re.compile("PCM_|FLOAT|DOUBLE|ULAW|ALAW")  # of other kinds, the decoder would make up the rest of a block
UNKNOWN = 1 << 62  # libsndfile's number of samples is at least this where a header does not say
SLACK = 1 << 14  # samples that a Xing header has cut from the first and the last frames, at most
END_TAG = 128  # bytes
CLAIM = 1 << 6  # no bit rate is this many times lower than another
UNRECOGNISED, UNSUPPORTED = 1, (4, 18)  # codes of libsndfile
BROKEN = "Format is known to be broken"  # in its log
LAYOUT = re.compile(
    r"^  Channels +: (\d+)$.*?^  Block Align +: (\d+)$\s*^  Bit Width +: (\d+)$", re.MULTILINE | re.DOTALL
)
# first bytes, from the fifth on for those of MPEG-4, of what people take for a recording
KINDS = {
    b"\x30\x26\xb2\x75": f"WMA sound, which libsndfile does not read; {CONVERT}",
    b"\x1a\x45\xdf\xa3": f"Matroska or WebM sound, which libsndfile does not read; {CONVERT}",
    b"\xff\xf1": f"AAC sound, which libsndfile does not read; {CONVERT}",
    b"\xff\xf9": f"AAC sound, which libsndfile does not read; {CONVERT}",
    b"ADIF": f"AAC sound, which libsndfile does not read; {CONVERT}",
    b"#!AMR": f"AMR sound, which libsndfile does not read; {CONVERT}",
    b"MAC ": f"Monkey's Audio sound, which libsndfile does not read; {CONVERT}",
    b"wvpk": f"WavPack sound, which libsndfile does not read; {CONVERT}",
    b"TTA1": f"True Audio sound, which libsndfile does not read; {CONVERT}",
    b"MThd": "a MIDI file, notes without sound; render it to WAV",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"<": f"a page of text, perhaps a server's answer; {DOWNLOAD_AGAIN}",
    b"version https://git-lfs": "a pointer of Git LFS, without its content; `git lfs pull`",
    b"/annex/": "a pointer of git-annex, without its content; `git annex get`",
}
MPEG_4 = b"ftyp"
CODEC = re.compile(rb"^RIFF.{4}WAVE.*?fmt .{4}(..)", re.DOTALL)
CODECS = {1, 2, 3, 6, 7, 0x11, 0x31, 0x40, 0x45, 0x64, 0x65, 0xFFFE}  # those that libsndfile reads


class Sound(soundfile.SoundFile):  # type: ignore[misc]  # soundfile is untyped
    """A file that is only read forward: otherwise soundfile seeks after each read, which restarts an MP3 decoder."""

    n_samples: int | None  # per channel, as decoding yields them; None: known only then
    gap: truncation.Gap | None = None  # bytes that the header announces and that are not there

    def seekable(self) -> bool:
        """Deny it, see above."""
        return False

    def forward(self) -> Iterator[Float32]:
        """Yield the samples in pieces, shape (T, n_channels).

        Raises:
            SoundFileError: it cannot be decoded; of MPEG, also where the decoder goes on with made-up sound.
        """
        is_mpeg = self.format == "MP3"
        while True:
            with ExitStack() as stack:
                errors = stack.enter_context(heard()) if is_mpeg else []
                samples = self.read(max(BLOCK // self.channels, 1), dtype="float32", always_2d=True)
            if errors:
                raise soundfile.SoundFileRuntimeError(errors[0])
            if not len(samples):
                return
            yield samples


class _Frames(io.RawIOBase):
    """The frames of an MPEG file alone: a decoder reports what it finds between them on the terminal, without a name.

    The size is what is claimed. Where there is no Xing header, that is far too much: libsndfile estimates the number of
    samples from the size, and stops there, even in the middle. Where there is one, it is what the header says: the
    decoder would report a difference.
    """

    name = "MPEG frames"

    def __init__(self, file: BinaryIO, begin: int, end: int, claimed: int) -> None:
        super().__init__()
        self._file, self._begin, self._end, self._place = file, begin, end, 0
        self._claimed = claimed

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._claimed}[whence]
        self._place = max(start + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # soundfile gives one of its own
        place = self._begin + self._place
        size = len(buffer)
        if place < self._end:
            self._file.seek(place)
            data = self._file.read(min(size, self._end - place))
        elif self._place + END_TAG >= self._claimed:  # the decoder looks for a tag there
            data = bytes(min(size, max(self._claimed - self._place, 0)))
        else:
            data = b""
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


@contextmanager
def opened(path: Path) -> Iterator[Sound]:
    """Open a recording; one that holds a few bytes less than it announces is said in a line on standard error.

    Args:
        path: any format that libsndfile decodes (WAV with 8 to 32 bits, float or ADPCM, AIFF, FLAC, OGG, MP3 …).

    Raises:
        AudiopgError: the file is missing, no file, not audio, incomplete, damaged, or of a kind that the decoder would
            have to guess; also what happens while the block reads it.
    """
    try:
        require_file(path)
        with ExitStack() as stack:
            yield _open(path, stack)
    except soundfile.SoundFileError as error:
        raise AudiopgError(f"{path}: {_reason(path, error)}") from error
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error})"
        raise AudiopgError(msg) from error


def require_file(path: Path) -> None:
    """Refuse what is no file: a pipe would be waited for.

    Raises:
        AudiopgError: there is no file of this name.
    """
    if path.is_file():
        return
    if path.is_dir():
        msg = f"{path}: a folder, not an audio file; give a file in it"
    elif path.exists():
        msg = f"{path}: a pipe or device, not an audio file; write the sound into a file first"
    elif path.is_symlink():
        msg = f"{path}: {broken_link(path)}"
    else:
        msg = f"{path}: no such audio file; check the path, or {DOWNLOAD_AGAIN}"
    raise AudiopgError(msg)


def _open(path: Path, stack: ExitStack) -> Sound:
    """Open a file and settle its number of samples."""
    sound = _open_mpeg(path, stack) if mpeg.is_mpeg(path) else _open_other(path, stack)
    wrong = _guessed(sound)
    if not RATES_HZ[0] <= sound.samplerate <= RATES_HZ[1]:
        wrong = f"has a sample rate of {sound.samplerate} Hz, not {RATES_HZ[0]} to {RATES_HZ[1]}; correct its header"
    elif sound.n_samples == 0:
        wrong = "contains no samples, or its header does not count them; record or convert it again"
    _refuse(path, wrong)
    if sound.gap:
        held = f"holds {sound.gap.found} of the {sound.gap.announced} bytes that its header announces"
        say(f"audiopg: {printable(path)}: {held}; decoded as far as it goes")
    return sound


def _open_other(path: Path, stack: ExitStack) -> Sound:
    """Open a file of any format, which libsndfile finds out."""
    with path.open("rb") as file:
        is_known = file.read(4) in file_kind.SOUND
    # where libsndfile knows no first bytes, it asks the MPEG decoder
    sound: Sound = stack.enter_context(Sound(path)) if is_known else _decoder(path, stack)
    if sound.format == "MP3":  # by its name
        return _open_mpeg(path, stack)
    sound.gap = truncation.gap(path, sound.extra_info)
    if sound.gap and not (sound.gap.is_little and PLAIN.match(sound.subtype)):
        _refuse(path, f"ends after {sound.gap.found} of {sound.gap.announced} bytes; {DOWNLOAD_AGAIN}")
    _refuse(path, truncation.flaw(path))
    sound.n_samples = sound.frames if sound.frames < UNKNOWN else None
    return sound


def _open_mpeg(path: Path, stack: ExitStack) -> Sound:
    """Open an MPEG file; a Xing header counts if libsndfile understands it."""
    found = mpeg.walk(path)
    _refuse(path, found.flaw)
    file = stack.enter_context(path.open("rb"))
    if found.announced is not None:
        sound = _decoder(_Frames(file, found.first, found.end, found.n_bytes), stack)
        sound.n_samples = sound.frames
        if 0 <= found.announced - sound.frames < SLACK:
            return sound
    sound = _decoder(_Frames(file, found.begin, found.end, CLAIM * (found.end - found.begin)), stack)
    sound.n_samples = found.n_samples
    return sound


def _decoder(source: Path | _Frames, stack: ExitStack) -> Sound:
    """Let libsndfile open what may be MPEG."""
    with heard() as errors:
        sound: Sound = stack.enter_context(Sound(source))
    if errors:
        raise soundfile.SoundFileRuntimeError(errors[0])
    return sound


def _refuse(path: Path, wrong: str) -> None:
    """Refuse a file in which something is wrong."""
    if wrong:
        msg = f"{path}: {wrong}"
        raise AudiopgError(msg)


def _guessed(sound: Sound) -> str:
    """Refuse PCM of which the samples are not as wide as their bits need: libsndfile guesses where they lie."""
    layout = LAYOUT.search(sound.extra_info)
    if layout is None or not sound.subtype.startswith("PCM"):
        return ""
    n_channels, block, bits = (int(number) for number in layout.groups())
    # a block that is too small is a mistake of the writer: nothing but samples without gaps fits into the file
    if block <= n_channels * -(-bits // 8) and BROKEN not in sound.extra_info:
        return ""
    width = f"{bits}-bit samples in blocks of {block} bytes (channels: {n_channels})"
    return (
        f"has {width}, so that the decoder would guess; convert it to 16, 24 or 32 bits with the program that made it"
    )


def _reason(path: Path, error: soundfile.SoundFileError) -> str:
    """Say why a file cannot be opened or decoded, with what helps."""
    with path.open("rb") as file:
        start = file.read(1 << 12)
    if not start:
        return f"cannot be decoded (empty file); {DOWNLOAD_AGAIN}"
    code = getattr(error, "code", None)
    if code == UNRECOGNISED:
        if start[4:8] == MPEG_4:
            return f"cannot be decoded: MPEG-4 sound (m4a, mp4), which libsndfile does not read; {CONVERT}"
        for mark, kind in KINDS.items():
            if start.startswith(mark):
                return f"cannot be decoded: {kind}"
    elif (codec := CODEC.search(start)) and int.from_bytes(codec[1], "little") not in CODECS:
        name = f"{int.from_bytes(codec[1], 'little'):#06x}"
        return f"cannot be decoded: WAV of codec {name}, which libsndfile does not read; {CONVERT}"
    elif joined_or_damaged := truncation.flaw(path):
        return joined_or_damaged
    # The reason of libsndfile repeats the path.
    reason = str(error).rpartition(": ")[2].rstrip(".!") or "not an audio file"
    remedies = (
        [CONVERT]
        if code in UNSUPPORTED
        else [CONVERT, DOWNLOAD_AGAIN]
        if code == UNRECOGNISED
        else [DOWNLOAD_AGAIN, CONVERT]
    )
    return f"cannot be decoded ({reason}); {', or '.join(remedies)}"
