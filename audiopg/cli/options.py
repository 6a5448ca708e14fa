"""Options that several commands have, and the parameters behind one of them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    from audiopg.config import Config

PARAMS = Path("params.yaml")

Params = Annotated[Path, typer.Option(help="Parameter file.")]
Task = Annotated[str, typer.Option(help="Name of the task.")]
Manifest = Annotated[Path, typer.Option(help="The task's manifest (CSV).")]
Card = Annotated[Path, typer.Option(help="The task's card (JSON).")]
Decoded = Annotated[Path, typer.Option(help="Folder with the task's decoded recordings.")]
Encoder = Annotated[Path, typer.Option(help="Weights of the pre-trained encoder (safetensors).")]


def read_params(path: Path) -> "Config":
    """Read the parameters of a command.

    Raises:
        AudiopgError: as `audiopg.config.params.load`.
    """
    from audiopg.config import params

    config = params.load(path)
    if config.data.mirror:  # no result depends on it, so it is an environment variable, like AUDIOPG_DATA
        os.environ.setdefault("AUDIOPG_MIRROR", config.data.mirror)
    return config


def check_out(out: Path | None, *suffixes: str) -> None:
    """Refuse to write a file under the name of another kind of file, or in place of a recording, whatever its name.

    Args:
        out: the file to write; None writes none.
        suffixes: that a file of its kind has.

    Raises:
        AudiopgError: the name is not for such a file.
    """
    from audiopg.file_kind import SOUND, unlike_tensors

    if out is None:
        return
    if out.suffix.lower() not in suffixes:
        msg = f"{out}: a name that ends in {' or '.join(suffixes)} is needed, for what is to be written"
        raise AudiopgError(msg)
    if out.is_file() and unlike_tensors(out) in SOUND.values():
        msg = f"{out}: is a recording; choose another name for what is to be written"
        raise AudiopgError(msg)
