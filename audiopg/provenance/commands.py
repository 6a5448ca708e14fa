"""Calls Snakemake and DVC, from inside their own runs as well."""

import importlib.util
import os
import subprocess
import sys

from audiopg.errors import AudiopgError

SWITCH = "AUDIOPG_DVC_SYNC"  # "off": no guard; "inside": a call by this module, dvc_sync does nothing


def call(tool: str, *arguments: str) -> str:
    """Run Snakemake or DVC and return what it writes.

    Args:
        tool: ``snakemake`` or ``dvc``.
        arguments: its command line.

    Raises:
        AudiopgError: it fails; the message holds the command and what it says.
        ModuleNotFoundError: it is not installed.
    """
    if importlib.util.find_spec(tool) is None:
        msg = f"No module named '{tool}'"
        raise ModuleNotFoundError(msg, name=tool)
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, SWITCH: "inside"},
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        msg = f"{tool} {' '.join(arguments)}: {reason}"
        raise AudiopgError(msg)
    return done.stdout
