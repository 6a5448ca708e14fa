"""Which files of a folder are recordings."""

from pathlib import Path

SUFFIXES = {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".ogg", ".opus", ".w64", ".wav"}


def recordings_below(folder: Path) -> list[Path]:
    """List the audio files below a folder by their suffix, sorted by path."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
