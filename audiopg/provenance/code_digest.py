"""What code a stage runs, as one digest that only a statement can change: no comment, docstring or line break."""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

from audiopg.provenance.stages import STAGES

RULES = Path("workflow/rules")
SOURCE = Path(__file__).parents[2]  # the folder that holds the package
# files beside a module that it may compile or read
COMMANDS = "audiopg.cli.stages"
COMPANIONS = {".c", ".h", ".csv", ".json", ".yaml"}


def stage_digests(rules: Path = RULES) -> dict[str, str]:
    """Return a digest of each stage's code: its modules, its subcommand and its rule.

    Args:
        rules: folder with ``<stage>.smk`` of every stage, two levels below the Snakefile.
    """
    texts = {path.stem: without_comments(path.read_text(encoding="utf-8")) for path in sorted(rules.glob("*.smk"))}
    return {stage: _sha256(stage_digest(stage) + texts[stage]) for stage in STAGES}


def stage_digest(stage: str) -> str:
    """Return a digest of a stage's modules and of its subcommand, as run cards hold it."""
    return _sha256(digest(STAGES[stage].module) + command(stage))


def command(stage: str, source: Path = SOURCE) -> str:
    """Return a digest of the statements of a stage's subcommand, which hands parameters and paths to its module.

    Args:
        stage: name of the stage and of its function in ``audiopg.cli.stages``.
        source: folder that holds the package.
    """
    body = ast.parse(_file(COMMANDS, source).read_bytes()).body
    return _sha256("".join(_plain(node) for node in body if isinstance(node, ast.FunctionDef) and node.name == stage))


def digest(entry: str, source: Path = SOURCE) -> str:
    """Return a digest of the statements of a module and of all modules of its package that it imports.

    Args:
        entry: dotted name of the module.
        source: folder that holds its package.
    """
    files: dict[str, str] = {}
    for module in closure(entry, source):
        path = _file(module, source)
        files[module] = _statements(path.read_bytes())
        for companion in sorted(path.parent.iterdir()):
            if companion.suffix in COMPANIONS:
                files[companion.relative_to(source).as_posix()] = _sha256(companion.read_text(encoding="utf-8"))
    return _sha256("".join(f"{name} {files[name]}\n" for name in sorted(files)))


def closure(entry: str, source: Path = SOURCE) -> set[str]:
    """Return the modules of a package that an import of ``entry`` can load, wherever in the code the imports stand.

    Args:
        entry: dotted name of the module.
        source: folder that holds its package.
    """
    found: set[str] = set()
    package = entry.partition(".")[0]
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        parent = module.rpartition(".")[0]
        names = [parent] if parent else []
        path = _file(module, source)
        names += _imports(path.read_bytes(), module if path.name == "__init__.py" else parent)
        waiting += [name for name in names if name.partition(".")[0] == package and _file(name, source).exists()]
    return found


def without_comments(text: str) -> str:
    """Return Python or Snakemake source without comments, blank lines and trailing spaces."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _file(module: str, source: Path) -> Path:
    path = source.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(code: bytes, package: str) -> tuple[str, ...]:
    """List the dotted names that a module imports; ``from a import b`` is both ``a`` and ``a.b``."""
    return tuple(_imported(ast.parse(code), package))


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _statements(code: bytes) -> str:
    return _sha256(_plain(ast.parse(code)))


def _plain(node: object) -> str:
    """Write a syntax tree so that every Python version writes the same: `ast.dump` lists new fields that are empty."""
    if isinstance(node, ast.AST):
        fields = [f"{name}={_plain(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(_plain(item) for item in node if not _is_label(item))}]"
    return repr(node)


def _is_label(node: object) -> bool:
    """Tell docstrings and the version number, which are no behaviour."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__version__")]):
            return True
    return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
