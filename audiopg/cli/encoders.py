"""Commands that use a pre-trained encoder."""

from pathlib import Path
from typing import Annotated

import typer

from audiopg.cli.options import Encoder


def embed(
    files: Annotated[list[Path], typer.Argument(help="Recordings, and folders of them.")],
    checkpoint: Annotated[Path, typer.Option(help="Weights of the pre-trained encoder, with run.json next to them.")],
    out: Annotated[Path, typer.Option(help="Table to write (.parquet or .csv).")],
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="About one row every 40 ms, not one per file.")
    ] = False,
) -> None:
    """Embed recordings of any length with the pre-trained encoder."""
    from audiopg.pretrained import embed as stage

    stage.run(files, checkpoint, out, timestamps=timestamps)


def export(
    encoder: Encoder,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    results: Annotated[Path, typer.Option(help="Folder with the results table and its run card.")] = Path("results"),
    push: Annotated[str, typer.Option(help="Repository on a model hub to copy the folder to: user/repo.")] = "",
    private: Annotated[bool, typer.Option("--private", help="A repository that --push makes is private.")] = False,
) -> None:
    """Write the encoder as a folder for a model hub: weights, configuration, model card."""
    from audiopg.pretrained import export as stage

    stage.run(encoder, results, out)
    if push:
        typer.echo(stage.push(out, push, private=private))
