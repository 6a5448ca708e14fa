"""A digest of source code that only a statement can change: no comment, docstring, line break or type-only import."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import TypeGuard

SOURCE = Path(__file__).parents[1]  # the folder that holds the package
# files next to a module that it may compile or read
COMPANIONS = {".c", ".h", ".csv", ".json", ".yaml"}


def digest(entry: str, source: Path = SOURCE, without: tuple[str, ...] = ()) -> str:
    """Return a digest of the statements of a module and of all modules of its package that it imports.

    Args:
        entry: dotted name of the module.
        source: folder that holds its package.
        without: as `closure`.
    """
    files: dict[str, str] = {}
    for module in closure(entry, source, without):
        path = _file(module, source)
        files[module] = _statements(path.read_bytes())
        for companion in sorted(path.parent.iterdir()):
            if companion.suffix in COMPANIONS:
                files[companion.relative_to(source).as_posix()] = sha256(companion.read_text(encoding="utf-8"))
    return sha256("".join(f"{name} {files[name]}\n" for name in sorted(files)))


def closure(entry: str, source: Path = SOURCE, without: tuple[str, ...] = ()) -> set[str]:
    """Return the modules of a package that running ``entry`` can load, wherever in the code the imports are.

    An import under ``if TYPE_CHECKING`` loads nothing.

    Args:
        entry: dotted name of the module.
        source: folder that holds its package.
        without: dotted names of modules and packages that are left out, with all that only they import.
    """
    found: set[str] = set()
    package = entry.partition(".")[0]
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in found or any(f"{module}.".startswith(f"{name}.") for name in without):
            continue
        found.add(module)
        parent = module.rpartition(".")[0]
        names = [parent] if parent else []
        path = _file(module, source)
        names += _imports(path.read_bytes(), module if path.name == "__init__.py" else parent)
        waiting += [name for name in names if name.partition(".")[0] == package and _file(name, source).exists()]
    return found


def plain(node: object) -> str:
    """Write a syntax tree in the same way in every Python version: `ast.dump` also lists new, empty fields."""
    if isinstance(node, ast.AST):
        fields = [f"{name}={plain(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(plain(item) for item in node if not _is_label(item))}]"
    return repr(node)


def sha256(text: str) -> str:
    """Return the sha256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _file(module: str, source: Path) -> Path:
    path = source.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(code: bytes, package: str) -> tuple[str, ...]:
    """List the dotted names that a module imports; ``from a import b`` is both ``a`` and ``a.b``."""
    return tuple(_imported(ast.parse(code), package))


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        base = resolve_name("." * tree.level + (tree.module or ""), package)
        yield base
        yield from (f"{base}.{alias.name}" for alias in tree.names)
    else:
        for node in tree.orelse if _is_type_only(tree) else ast.iter_child_nodes(tree):
            yield from _imported(node, package)


@cache
def _statements(code: bytes) -> str:
    return sha256(plain(ast.parse(code)))


def _is_label(node: object) -> bool:
    """Return whether a node has no behaviour: a docstring, the version number, or code for a type checker only."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.Assign(targets=[ast.Name(id="__version__")]):
            return True
        case ast.If(orelse=[]):
            return _is_type_only(node)
    return False


def _is_type_only(node: object) -> TypeGuard[ast.If]:
    """Return whether a node is ``if TYPE_CHECKING:``."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False
