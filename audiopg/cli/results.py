"""Commands about results: comparison, provenance, agreement of Snakemake and DVC."""

from pathlib import Path
from typing import Annotated

import typer

from audiopg.cli.options import PARAMS, Params, read_params

NOT_REPRODUCED = 3


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Results of runs that differ in their seed.")],
    along: Annotated[str | None, typer.Option(help="Parameter that may differ too, such as pretrain.n_steps.")] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write (CSV).")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The printed table to write (Markdown).")] = None,
    picture: Annotated[Path | None, typer.Option(help="Curves over that parameter to write (PNG).")] = None,
) -> None:
    """Pool runs with different seeds: figures over folds and seeds, and tests of their differences."""
    from audiopg.report import compare as stage

    typer.echo(stage.run(folders, out, markdown, along, picture), nl=False)


def verify(
    files: Annotated[list[Path] | None, typer.Argument(help="Results to trace down to the recordings.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Git revision or folder of results to reproduce: compare with it.")
    ] = None,
    params: Params = PARAMS,
) -> None:
    """Check all results against their run cards, the parameters and the code; or against other results.

    With --against, exit code 3 means: the parameters are the same, and a figure differs by more than its spread.
    """
    if against is not None:
        from audiopg.report import reproduction

        text, reproduced = reproduction.verdict(against)
        typer.echo(text)
        if not reproduced:
            raise typer.Exit(NOT_REPRODUCED)
        return
    from audiopg.provenance import verify

    config = read_params(params)
    for line in verify.verify(config, files or []):
        typer.echo(line)


def track() -> None:
    """Record Snakemake's results in dvc.lock."""
    from audiopg.provenance import dvc_sync

    dvc_sync.track()


def sync() -> None:
    """Check out the results in dvc.lock, and mark them as up to date for Snakemake."""
    from audiopg.provenance import dvc_sync

    dvc_sync.sync()
