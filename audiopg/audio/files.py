"""Which files of a folder are recordings, and what else is in it."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audiopg.errors import AudiopgError
from audiopg.progress import say

# of the formats that libsndfile decodes; not of those whose suffix often means something else (.mat, .raw, .iff, .htk)
SUFFIXES = {
    *(".aif", ".aifc", ".aiff", ".au", ".avr", ".bwf", ".caf", ".flac", ".ircam", ".mp1", ".mp2", ".mp3", ".mpga"),
    *(".nist", ".oga", ".ogg", ".opus", ".paf", ".pvf", ".rf64", ".sds", ".sf", ".snd", ".sph", ".svx", ".8svx"),
    *(".voc", ".w64", ".wav", ".wave", ".wve", ".xi"),
}
# sound that libsndfile does not decode
CONVERTIBLE = {
    *(".3gp", ".aac", ".ac3", ".alac", ".amr", ".ape", ".dsf", ".dts", ".m4a", ".m4b", ".mka", ".mp4", ".mpc", ".ra"),
    *(".spx", ".tta", ".webm", ".weba", ".wma", ".wv"),
}
# not of anybody's recording: what unpacking an archive of macOS leaves next to the files
RESOURCE_FORKS = "__MACOSX"
FOLDER, BROKEN, RECORDING = "folder", "broken", "recording"
SHOWN = 8  # kinds of what is left out


@dataclass
class Found:
    """What is below a folder.

    Attributes:
        folder: where was searched.
        recordings: the audio files, by their suffix, sorted by path.
        left_out: how many other entries there are, by kind.
    """

    folder: Path
    recordings: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def report(self) -> None:
        """Write a line about what was left out, if anything was.

        Raises:
            AudiopgError: there are no recordings.
        """
        if not self.recordings:
            msg = f"{printable(self.folder)}: no audio files in it{f' ({self.rest})' if self.rest else ''}"
            raise AudiopgError(msg)
        if self.rest:
            say(f"audiopg: {printable(self.folder)}: {len(self.recordings)} recordings; {self.rest}")

    @property
    def rest(self) -> str:
        """What was left out, such as ``left out: 3 .m4a, 1 hidden``; empty if nothing was."""
        if not self.left_out:
            return ""
        kinds = sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))
        shown = [f"{count} {kind}" for kind, count in kinds[:SHOWN]]
        if len(kinds) > SHOWN:
            shown.append(f"{sum(count for _, count in kinds[SHOWN:])} others")
        advice = sorted(self.left_out.keys() & CONVERTIBLE)
        remedy = f"; convert {' and '.join(advice)}, to FLAC for example" if advice else ""
        return f"left out: {', '.join(shown)}{remedy}"


def search(folder: Path) -> Found:
    """Find the audio files below a folder by their suffix. Links are followed; hidden files and folders are left out.

    Raises:
        AudiopgError: a link is broken, a folder cannot be read, or the name of a recording cannot be written.
    """
    found = Found(folder)
    broken: list[Path] = []
    # with the folders that lead to each, so that a link to one of them ends the search there
    waiting: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(folder, (_identity(folder),))]
    visited: set[Path] = set()
    while waiting:
        here, parents = waiting.pop()
        visited.add(here)
        for path in _entries(here):
            kind = _kind(path)
            if kind == FOLDER and _identity(path) in parents:
                found.left_out["link to a folder above it"] += 1
            elif kind == FOLDER:
                waiting.append((path, (*parents, _identity(path))))
            elif kind == BROKEN:
                broken.append(path)
            elif kind == RECORDING:
                found.recordings.append(path)
            else:
                found.left_out[kind] += 1
    if broken:
        _refuse(broken, folder)
    found.recordings.sort()
    check_names(found.recordings)
    empty = visited - {folder}.union(*(path.parents for path in found.recordings))
    if empty:
        found.left_out["without recordings (folders)"] = len(empty)
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        msg = f"{printable(folder)}: cannot be read ({error.strerror or error})"
        raise AudiopgError(msg) from error


def _kind(path: Path) -> str:
    """Return one of the three kinds that matter, or what it is that is left out."""
    if path.name.startswith("."):  # also "._x.wav", what macOS writes beside x.wav on foreign disks
        return "hidden"
    if path.name == RESOURCE_FORKS:
        return RESOURCE_FORKS
    if path.is_dir():
        return FOLDER
    if not path.exists():
        return BROKEN
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        return printable(Path(suffix)) if suffix else "without a suffix"
    return RECORDING if path.is_file() else "not a regular file"


def _refuse(broken: list[Path], folder: Path) -> None:
    first = min(broken)
    more = f" ({len(broken)} broken links in {printable(folder)})" if len(broken) > 1 else ""
    msg = f"{printable(first)}: {broken_link(first)}{more}"
    raise AudiopgError(msg)


def broken_link(path: Path) -> str:
    """Say what is wrong with a link to nothing."""
    return f"is a link to {printable(path.readlink())}, which is not there; fetch that file, or remove the link"


def check_names(paths: Sequence[Path]) -> None:
    """Check that tables, lists and messages can hold the names of files.

    Raises:
        AudiopgError: a name is not UTF-8 or goes over several lines.
    """
    wrong = [path for path in paths if printable(path) != str(path)]
    if wrong:
        more = f" ({len(wrong)} such names)" if len(wrong) > 1 else ""
        try:
            str(wrong[0]).encode()
            reason = "goes over several lines"
        except UnicodeEncodeError:
            reason = "is not UTF-8"
        msg = f"{printable(wrong[0])}: this name {reason}; choose another name{more}"
        raise AudiopgError(msg)


def printable(path: Path) -> str:
    r"""Write a path in one line of UTF-8, with escapes for what cannot be written.

    >>> printable(Path("caf\udce9.wav"))  # as Python reads a name in Latin-1
    'caf\\xe9.wav'
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if len(text.splitlines()) <= 1 else text.encode("unicode_escape").decode()


def _identity(folder: Path) -> tuple[int, int]:
    """Return what is equal for two paths of one folder."""
    facts = folder.stat()
    return facts.st_dev, facts.st_ino
