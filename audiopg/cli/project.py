"""Commands that set a project up: its files, parameters, lists of own recordings, estimated cost."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from audiopg.cli.options import PARAMS, Params, check_out, read_params
from audiopg.errors import AudiopgError


def init(folder: Annotated[Path, typer.Argument(help="Folder of the new project.")]) -> None:
    """Write a new project: the workflow, and the parameters of profile quick."""
    from importlib.util import find_spec

    from audiopg.cli import new_project

    new_project.write(folder)
    install = [] if find_spec("snakemake") else ["pip install 'audiopg[workflow]'"]
    lines = [
        f"{folder}: a new project with profile {new_project.PROFILE}; next:",
        f"cd {shlex.quote(str(folder))}",
        *install,
        "pip install --no-deps --require-hashes -r requirements-data.txt    # recordings of its tasks",
        "git init    # DVC records results in a git repository only",
        "snakemake --cores all",
    ]
    typer.echo("\n    ".join(lines))


def profile(
    name: Annotated[str, typer.Argument(help="quick, small, paper, paper-20min, paper-strong or test.")],
    preset: Annotated[
        str | None, typer.Option(help="What the corpus sounds like: paper or world; else as the profile has it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = PARAMS,
) -> None:
    """Write params.yaml: paper.yaml, changed by the overlays of a preset and of the profile."""
    from audiopg import storage
    from audiopg.config.profile import text

    check_out(out, ".yaml", ".yml")
    storage.write_text(out, text(name, preset))


def list_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings, one subfolder per class.")],
    out: Annotated[Path, typer.Option(help="List to write (CSV); see docs/recordings.md.")],
    check: Annotated[bool, typer.Option("--check", help="Decode each recording, and show all that cannot be.")] = False,
) -> None:
    """List your own recordings, labelled by the names of their folders."""
    from audiopg import storage
    from audiopg.tasks import own

    check_out(out, ".csv")
    storage.write_text(out, own.scan(folder))
    if check:
        from audiopg.config.profile import load
        from audiopg.data.check import unusable

        rate_hz = load("quick").features.sample_rate_hz
        flaws = unusable(folder, [row.path for row in own.read(out)], rate_hz, folder.name)
        _refuse(_show(folder.as_posix(), flaws, "NAME", []))


def check(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; all of params.yaml if none.")] = None,
    params: Params = PARAMS,
) -> None:
    """Decode all recordings of tasks, and show every one that cannot be used."""
    from audiopg.data.check import of_task

    config = read_params(params)
    found = 0
    for name in tasks or config.tasks:
        section = config.task(name)
        found += _show(name, of_task(config, name), name if section.own else "", section.leave_out)
    _refuse(found)


def _show(what: str, flaws: dict[str, str], task: str, left_out: list[str]) -> int:
    """Print what is wrong with recordings, and how a task of your own goes on without them; return their number."""
    from audiopg.data.check import allow_list

    if not flaws:
        typer.echo(f"{what}: all recordings can be used")
        return 0
    for flaw in flaws.values():
        typer.echo(flaw)
    if task:
        lines = allow_list(task, {*left_out, *flaws})
        typer.echo(f"\nto go on without them, on record, write into the section tasks of params.yaml:\n\n{lines}")
    return len(flaws)


def _refuse(n_unusable: int) -> None:
    """End with an error if there are recordings that cannot be used."""
    if n_unusable:
        msg = f"{n_unusable} recording{'s' if n_unusable > 1 else ''} cannot be used"
        raise AudiopgError(msg)


def cost(
    profile: Annotated[str | None, typer.Option(help="A profile, such as paper; else params.yaml.")] = None,
    flops: Annotated[float, typer.Option(help="Peak FLOP/s in training; an A100's in bfloat16.")] = 312e12,
    utilisation: Annotated[float, typer.Option(help="Share of the peak that training reaches.")] = 0.3,
    float32_flops: Annotated[
        float | None, typer.Option(help="Peak FLOP/s in float32, for the latent analysis; else --flops / 8.")
    ] = None,
    rehearsal: Annotated[
        Path | None, typer.Option(help="rehearsal.json: measured rates, in place of the three figures above.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    params: Params = PARAMS,
) -> None:
    """Estimate the cost of each stage before it runs: parameters, FLOPs, memory, data rate, time."""
    import json

    from audiopg.config.profile import load
    from audiopg.cost import forecast, measured, table
    from audiopg.cost.estimate import estimate
    from audiopg.cost.speed import Speed

    config = read_params(params) if profile is None else load(profile)
    name, speed = profile or params.as_posix(), Speed(flops, utilisation, float32_flops)
    if rehearsal is not None:
        rates = measured.read(rehearsal, config)
        given = json.dumps(forecast.data(config, name, rates), indent=2) if as_json else forecast.table(config, rates)
        typer.echo(given)
    elif as_json:
        typer.echo(json.dumps(estimate(config, name, speed), indent=2))
    else:
        typer.echo(table.table(config, name, speed))


def rehearse(
    out: Annotated[Path, typer.Option(help="Folder for rehearsal.json, report.md, trace.json and log.txt.")] = Path(
        "rehearsal"
    ),
    params: Params = PARAMS,
) -> None:
    """Do all parts of a run for some seconds each on this machine, and forecast the time of each stage."""
    from audiopg.rehearse import rehearsal

    typer.echo(rehearsal.run(read_params(params), out))
