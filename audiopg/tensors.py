"""Named tensors on disk: safetensors files with a text header."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from audiopg.errors import AudiopgError
from audiopg.file_kind import unlike_tensors
from audiopg.storage import replacing


def write(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a text header, atomically.

    Raises:
        AudiopgError: the disk is full, or the folder cannot be written.
    """
    with replacing(path) as temporary:
        try:
            # one entry, because safetensors writes several in random order: equal contents give equal bytes
            metadata = {"header": json.dumps(dict(header), sort_keys=True)}
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, metadata)
        except SafetensorError as error:  # raised when the disk is full, among others
            msg = f"{path}: cannot be written ({error}); free some space or choose another folder"
            raise AudiopgError(msg) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors to the CPU, and the text header.

    Raises:
        AudiopgError: the file is missing, damaged, or something else.
    """
    if not path.exists():
        msg = f"{path}: no such checkpoint; `snakemake --cores all` makes it"
        raise AudiopgError(msg)
    kind = unlike_tensors(path) if path.stat().st_size else ""  # nothing is in what a crash left
    if kind:
        msg = f"{path}: is {kind}, not a checkpoint of audiopg; name another file, or delete it if `snakemake` made it"
        raise AudiopgError(msg)
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = json.loads((file.metadata() or {}).get("header", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"{path}: damaged checkpoint ({error}); delete it and run again"
        raise AudiopgError(msg) from None
