"""One digest for the code that a stage runs."""

import ast
import io
import tokenize
from pathlib import Path

from audiopg import source_digest
from audiopg.errors import AudiopgError
from audiopg.provenance.stages import STAGES
from audiopg.source_digest import SOURCE

RULES = Path("workflow/rules")
COMMANDS = "audiopg/cli/stages.py"
# Describes results without making them: a new stage in the table repeats no other stage.
DESCRIPTIVE = ("audiopg.provenance",)


def stage_digests(rules: Path = RULES) -> dict[str, str]:
    """Return a digest of each stage's code: its modules, its subcommand and its rule.

    Args:
        rules: folder with ``<stage>.smk`` of every stage.

    Raises:
        AudiopgError: a rule is not there.
    """
    texts = {path.stem: without_comments(path.read_text(encoding="utf-8")) for path in sorted(rules.glob("*.smk"))}
    absent = sorted(STAGES.keys() - texts)
    if absent:
        msg = f"{rules / absent[0]}.smk: no such rule; run this in a checkout of the project"
        raise AudiopgError(msg)
    return {stage: source_digest.sha256(stage_digest(stage) + texts[stage]) for stage in STAGES}


def stage_digest(stage: str, source: Path = SOURCE) -> str:
    """Return a digest of a stage's modules and of its subcommand, as run cards hold it.

    Args:
        stage: name of the stage.
        source: folder that holds the package.
    """
    modules = source_digest.digest(STAGES[stage].module, source, DESCRIPTIVE + STAGES[stage].unfollowed)
    return source_digest.sha256(modules + command(stage, source))


def command(stage: str, source: Path = SOURCE) -> str:
    """Return a digest of the statements of a stage's subcommand, which hands parameters and paths to its module.

    Args:
        stage: name of the stage and of its function in ``audiopg.cli.stages``.
        source: folder that holds the package.
    """
    functions = [node for node in ast.parse((source / COMMANDS).read_bytes()).body if isinstance(node, ast.FunctionDef)]
    return source_digest.sha256("".join(source_digest.plain(node) for node in functions if node.name == stage))


def without_comments(text: str) -> str:
    """Return Python or Snakemake source without comments, blank lines and trailing spaces."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())
