"""A stand-in for ``nvidia-smi``: a machine with GPUs where there are none."""

from collections.abc import Sequence
from pathlib import Path

SCRIPT = """#!/bin/sh
case "$*" in
  *driver_version*) echo '{driver}';;
  *uuid*) printf '%s' '{uuids}';;
esac
exit {code}
"""


def nvidia_smi(folder: Path, uuids: Sequence[str], *, driver: str = "535.104.05", code: int = 0) -> None:
    """Write the program into a folder, which is to be on the path.

    Args:
        folder: where it is to be.
        uuids: of the GPUs that it lists.
        driver: what it gives as the version of the driver.
        code: with which it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(SCRIPT.format(driver=driver, uuids="".join(f"{uuid}\n" for uuid in uuids), code=code))
    program.chmod(0o755)
