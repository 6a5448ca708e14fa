"""The shell lines of the rules: whatever a name holds, the shell takes it as one word."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.utils import format as filled
from support.places import ROOT

BLOCKS = [
    (path, block)
    for path in [*sorted((ROOT / "workflow" / "rules").glob("*.smk")), ROOT / "workflow" / "corpus.smk"]
    for block in re.findall(r"    shell:\n((?: {8}.*\n)+)", path.read_text(encoding="utf-8"))
]
# with the signs of $(dirname …), which is quoted as well
PLACE = re.compile(r"\{(input|output|params|wildcards|log)[^}]*\}")
ODD = "a b;touch PWNED"


def test_every_file_has_a_command() -> None:
    assert {path for path, _ in BLOCKS} >= set((ROOT / "workflow" / "rules").glob("*.smk"))


@pytest.mark.parametrize(("path", "block"), BLOCKS, ids=[path.stem for path, _ in BLOCKS])
def test_every_name_is_one_word(path: Path, block: str) -> None:  # noqa: ARG001  (names the test)
    command = "".join(line.strip()[1:-1] for line in block.splitlines())
    places = [place[0] for place in PLACE.finditer(command)]
    assert places
    assert all(place.endswith(":q}") for place in places)
    assert command.count("$(") == command.count('"$(dirname {')
    names = SimpleNamespace(**dict.fromkeys(re.findall(r"\{\w+\.(\w+)", command), ODD))
    names.metrics = [ODD] if "[0]" in command else ODD
    here = {"input": names, "output": names, "params": names, "wildcards": names, "log": ODD, "threads": 2}
    if re.search(r"\{input:q\}|\{output:q\}", command):
        here |= {key: ODD for key in ("input", "output") if f"{{{key}:q}}" in command}
    words = shlex.split(filled(command, **here))
    assert "PWNED" not in words
    assert words[0] == "audiopg"
