"""Commands that use a pre-trained encoder."""

from pathlib import Path
from typing import Annotated

import typer

from audiopg.cli.options import Encoder
from audiopg.errors import AudiopgError


def embed(  # noqa: PLR0913  (one argument per option)
    files: Annotated[list[Path], typer.Argument(help="Recordings, and folders of them.")],
    out: Annotated[Path, typer.Option(help="Table to write (.parquet or .csv).")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Weights with run.json next to them, or an exported folder; else the encoder of the package."
        ),
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="About one row every 40 ms, not one per file.")
    ] = False,
    layer: Annotated[
        list[int] | None, typer.Option(help="Layer to read, from 0; give several for several; else the middle.")
    ] = None,
    pooling: Annotated[str, typer.Option(help="mean, moments or bands.")] = "bands",
) -> None:
    """Embed recordings of any length with a pre-trained encoder."""
    from audiopg.pretrained import embed as stage

    stage.run(files, checkpoint, out, timestamps=timestamps, layers=layer, pooling=pooling)


def export(  # noqa: PLR0913, PLR0917  (the options)
    encoder: Encoder,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    results: Annotated[Path, typer.Option(help="Folder that may have a results table, with run card.")] = Path(
        "results"
    ),
    half: Annotated[bool, typer.Option("--half", help="Weights of 16 bit: half the size.")] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also model.onnx: waveforms in, embeddings out.")] = False,
    push: Annotated[str, typer.Option(help="Repository on a model hub to copy the folder to: user/repo.")] = "",
    private: Annotated[bool, typer.Option("--private", help="A repository that --push makes is private.")] = False,
) -> None:
    """Write the encoder as a folder for a model hub: weights, configuration, model card."""
    from audiopg.pretrained import export as stage

    if private and not push:
        msg = "--private: is about the repository of --push; give both"
        raise AudiopgError(msg)
    stage.run(encoder, results, out, half=half, onnx=onnx)
    if push:
        typer.echo(stage.push(out, push, private=private))
