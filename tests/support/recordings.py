"""A folder of recordings, listed and decoded."""

from pathlib import Path

from audiopg import config
from audiopg.data import clips, decode
from audiopg.data.clips import Clips
from audiopg.features.logmel import LogMel
from audiopg.storage import file_digest
from audiopg.tasks.manifest import Manifest, Row

RATE_HZ = 16000


def load(folder: Path, manifest: Path, features: config.Features, clip_s: float) -> Clips:
    """The recordings of a folder, decoded."""
    listed = Manifest.read(manifest)
    decode.write("x", listed, folder, LogMel(features), clip_s, folder / "decoded", 2)
    return clips.load(folder / "decoded", features, clip_s, len(listed))


def write_manifest(folder: Path) -> Path:
    rows = [
        Row(f"{name}.wav", ("x",), 1, "", name, 0.1, name, "none", file_digest(folder / f"{name}.wav"))
        for name in ("short", "long")
    ]
    Manifest(tuple(rows)).write(folder / "manifest.csv")
    return folder / "manifest.csv"
