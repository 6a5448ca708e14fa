"""The ``audiopg`` program: all commands, and what an expected failure looks like."""

import signal
import sys

import typer

from audiopg import extras
from audiopg.cli import encoders, project, results, stages
from audiopg.errors import AudiopgError
from audiopg.provenance import watchdog
from audiopg.provenance.stages import STAGES

INTERRUPTED = 130

app = typer.Typer(
    help="Learn to hear from procedural sound; evaluate on real recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _panel, _commands in {
    "Set up a project": {
        "init": project.init,
        "profile": project.profile,
        "list": project.list_folder,
        "check": project.check,
        "cost": project.cost,
        "rehearse": project.rehearse,
    },
    "Stages of the workflow": {name: getattr(stages, name) for name in [*STAGES, "checksums", "code"]},
    "Results": {
        "compare": results.compare,
        "verify": results.verify,
        "track": results.track,
        "sync": results.sync,
    },
    "Use an encoder": {"embed": encoders.embed, "export": encoders.export},
}.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line; an expected failure is one line and exit code 2, Ctrl-C or SIGTERM one line and 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # when a cluster stops a job, no incomplete files remain
    watchdog.follow()
    try:
        with extras.named():
            app()
    except AudiopgError as error:
        sys.stderr.write(f"audiopg: {_readable(str(error))}\n")
        sys.exit(2)
    except OSError as error:
        place = _readable(str(error.filename or "input or output"))
        sys.stderr.write(f"audiopg: {place}: {error.strerror or error}\n")
        sys.exit(2)
    except SystemExit as stop:  # typer turns Ctrl-C into the shell's exit code for it, without a message
        if stop.code == INTERRUPTED:
            sys.stderr.write("audiopg: interrupted; the workflow goes on when `snakemake` is run again\n")
        raise


def _readable(text: str) -> str:
    r"""Write names that are not UTF-8 with the bytes that they have, ``caf\xe9`` for "café" in Latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
