"""Writers of a corpus, a few clips in memory at a time: a folder for people, and two forms for other programs."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import soundfile
from torch import Tensor

from audiopg import storage
from audiopg.arrays import Float32
from audiopg.errors import AudiopgError
from audiopg.progress import progress
from audiopg.synth.records import records
from audiopg.synth.score import Score
from audiopg.synth.tables import tables
from audiopg.synth.world import World

BLOCK = 16  # clips that are rendered at a time
METADATA = "metadata.jsonl"


def blocks(world: World, indices: Sequence[int]) -> Iterator[tuple[Score, Tensor]]:
    """Yield the clips in order, some at a time: their score, and their waveforms (B, T)."""
    for first in range(0, len(indices), BLOCK):
        score = world.score(indices[first : first + BLOCK])
        yield score, world.render(score)


def key(index: int) -> str:
    """Return the name of a clip's files, without suffix."""
    return f"{index:06d}"


def flac(waveform: Float32, sample_rate_hz: int, subtype: str = "PCM_24") -> bytes:
    """Return a waveform, shape (T,), as a FLAC file."""
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate_hz, subtype, format="FLAC")
    return file.getvalue()


def _check_alone(out: Path, indices: Sequence[int]) -> None:
    """Refuse a folder with other clips, which no table would describe."""
    others = sorted({path.name for path in out.glob("*.flac")} - {f"{key(index)}.flac" for index in indices})
    if others:
        msg = (
            f"{out / others[0]}: not one of the clips to write, and would be part of the data set; choose another --out"
        )
        raise AudiopgError(msg)


def write_folder(world: World, indices: Sequence[int], out: Path) -> list[Path]:
    """Write ``<index>.flac`` of each clip, and ``clips.csv``, ``voices.csv`` and ``events.csv``; return all paths.

    Raises:
        AudiopgError: the folder has clips of before.
    """
    _check_alone(out, indices)
    made = []
    with ExitStack() as stack:
        files = {}
        for score, waveforms in _shown(world, indices, "render"):
            made += [_write_clip(world, out, *clip) for clip in zip(score.index.tolist(), waveforms, strict=True)]
            for name, table in tables(score, world.seed).items():
                header = name not in files
                if header:
                    path = stack.enter_context(storage.replacing(out / f"{name}.csv"))
                    files[name] = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
                table.to_csv(files[name], index=False, header=header)
    return [*made, *(out / f"{name}.csv" for name in files)]


def write_audiofolder(world: World, indices: Sequence[int], out: Path) -> list[Path]:
    """Write ``<index>.flac`` of each clip, and ``metadata.jsonl``: its name and its physics, a line each.

    Raises:
        AudiopgError: the folder has clips of before, which would be part of the data set without physics.
    """
    _check_alone(out, indices)
    made = []
    with storage.replacing(out / METADATA) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for score, waveforms in _shown(world, indices, "render"):
            for clip, waveform in zip(records(score, world.seed), waveforms, strict=True):
                made.append(_write_clip(world, out, clip["clip"], waveform))
                lines.write(json.dumps({"file_name": made[-1].name, **clip}, allow_nan=False) + "\n")
    return [*made, out / METADATA]


def write_shard(world: World, indices: Sequence[int], path: Path) -> None:
    """Write a tar file with ``<index>.flac`` and ``<index>.json``, the physics, of each clip: the same bytes always."""
    with storage.replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for score, waveforms in _shown(world, indices, path.stem):
            for clip, waveform in zip(records(score, world.seed), waveforms, strict=True):
                name = key(clip["clip"])
                _append(tar, f"{name}.flac", flac(waveform.numpy(), world.synth.sample_rate_hz))
                _append(tar, f"{name}.json", json.dumps(clip, allow_nan=False).encode())


def _shown(world: World, indices: Sequence[int], label: str) -> Iterator[tuple[Score, Tensor]]:
    """Yield what `blocks` yields, and show the progress."""
    return progress(blocks(world, indices), label, total=len(indices), amount=lambda block: len(block[0]))


def _write_clip(world: World, out: Path, index: int, waveform: Tensor) -> Path:
    path = out / f"{key(index)}.flac"
    with storage.replacing(path) as temporary:
        temporary.write_bytes(flac(waveform.numpy(), world.synth.sample_rate_hz))
    return path


def _append(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file without time and owner."""
    entry = tarfile.TarInfo(name)  # its time is 0, its owner root without a name
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
