"""Embeddings of recordings as a table, Parquet or CSV: a row per recording, or one per recording and time."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from audiopg import compute, gpus, storage
from audiopg.arrays import Float32, Float64
from audiopg.audio.decode import streamed
from audiopg.audio.files import check_names, search
from audiopg.audio.opened import require_file
from audiopg.errors import AudiopgError
from audiopg.models.readout import USUAL, Pooling, ReadOut
from audiopg.pretrained.encoder import AudioEncoder
from audiopg.pretrained.weights import SHIPPED
from audiopg.progress import progress, say

WRITERS = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}
ROWS = 1 << 12  # rows that are written at a time, at least: small row groups make a slow Parquet file


class Rows(NamedTuple):
    """The embeddings of one recording, which wait to be written."""

    path: str
    times_ms: Float64 | None
    """Of each row, where there is one for each time."""
    embeddings: Float32
    """Shape (rows, D)."""


def run(  # noqa: PLR0913  (one argument per option)
    files: Sequence[Path],
    checkpoint: Path | None,
    out: Path,
    *,
    timestamps: bool = False,
    layers: Sequence[int] | None = None,
    pooling: str = USUAL.pooling,
) -> None:
    """Embed recordings.

    Args:
        files: recordings, and folders of them, as for `recordings`.
        checkpoint: weights of an encoder, as for `AudioEncoder.from_pretrained`; those of this package if None.
        out: table to write, ``.parquet`` or ``.csv``, with columns ``path``, ``timestamp_ms`` (float64; only with
            timestamps) and ``e0`` … ``e<D-1>`` (float32).
        timestamps: whether there is a row for each time instead of one for each recording.
        layers: to read, as for `ReadOut`.
        pooling: of their tokens, as for `ReadOut`.

    Raises:
        AudiopgError: a recording or the checkpoint cannot be read, or the table cannot be written or would replace one
            of them; then there is no table.
    """
    if out.suffix not in WRITERS:
        msg = f"--out: a name that ends in {' or '.join(WRITERS)} is needed, found '{out}'"
        raise AudiopgError(msg)
    check_names([out])
    paths = recordings(files)
    read_too = [checkpoint] if checkpoint else []
    read = next((path for path in (*paths, *read_too) if out.exists() and path.exists() and path.samefile(out)), None)
    if read is not None:
        msg = f"--out: {out} is {read}, which is read; choose another name for the table"
        raise AudiopgError(msg)
    readout = ReadOut(tuple(layers) if layers else None, cast(Pooling, pooling))
    try:
        encoder = AudioEncoder.from_pretrained(checkpoint or SHIPPED, readout)
    except ValueError as error:
        msg = f"--layer, --pooling: {error}"
        raise AudiopgError(msg) from None
    encoder.to("cuda" if compute.cuda_works() else "cpu")
    if encoder.device.type == "cpu" and gpus.present():
        say(f"on the CPU: {compute.obstacle()}")
    size = encoder.timestamp_embedding_size if timestamps else encoder.embedding_size
    times = [("timestamp_ms", pa.float64())] if timestamps else []
    schema = pa.schema([("path", pa.string()), *times, *((f"e{number}", pa.float32()) for number in range(size))])
    with storage.replacing(out) as temporary, WRITERS[out.suffix](temporary, schema) as writer:
        waiting: list[Rows] = []
        for path in progress(paths, "embedding", total=len(paths), unit="files"):
            waiting.append(_rows(path, encoder, timestamps=timestamps))
            if sum(len(rows.embeddings) for rows in waiting) >= ROWS:
                writer.write_table(_table(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(_table(waiting, schema))


def recordings(files: Sequence[Path]) -> list[Path]:
    """List the recordings that are meant, each once: those of a folder by suffix, sorted by path.

    Raises:
        AudiopgError: a file is missing, a folder holds no recording or a broken link, or a name cannot be in a table.
    """
    found: dict[Path, None] = {}
    for file in files:
        if file.is_dir():
            inside = search(file)
            inside.report()
            found |= dict.fromkeys(inside.recordings)
        else:
            require_file(file)
            found[file] = None
    check_names(list(found))
    return list(found)


def _rows(path: Path, encoder: AudioEncoder, *, timestamps: bool) -> Rows:
    """Embed one recording."""
    with streamed(path, encoder.sample_rate_hz) as sound:
        if timestamps:
            embeddings, times_ms = encoder.embed_over_time(sound, encoder.sample_rate_hz)
            return Rows(str(path), times_ms.numpy(), embeddings.cpu().numpy())
        return Rows(str(path), None, encoder.embed(sound, encoder.sample_rate_hz)[None].cpu().numpy())


def _table(waiting: Sequence[Rows], schema: pa.Schema) -> pa.Table:
    """Put the rows of some recordings together; a table of each would have about two hundred times their bytes."""
    names = [rows.path for rows in waiting for _ in rows.embeddings]
    times = [rows.times_ms for rows in waiting if rows.times_ms is not None]
    columns = np.ascontiguousarray(np.concatenate([rows.embeddings for rows in waiting]).T)
    return pa.table([pa.array(names), *([np.concatenate(times)] if times else []), *columns], schema=schema)
