"""Options that several commands have, and the parameters behind one of them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
