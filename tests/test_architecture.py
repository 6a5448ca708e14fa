"""The one natural way: a module imports only from ranks before its own, and no circle anywhere."""

import ast
from collections.abc import Iterator

from support.places import ROOT

PACKAGE = ROOT / "audiopg"

# From the ground up. A name stands for a file or for a room, that is, a folder with all that is in it; the longest name
# that fits counts. Inside a rank, files and rooms that stand apart do not see each other, but for the ground.
RANKS = (
    {
        *("errors", "extras", "registry", "arrays", "storage", "tensors", "progress"),
        *("rng", "philox", "source_digest", "jit", "plotting", "file_kind", "gpus", "ahead"),
    },
    {"config"},
    {"compute", "audio", "features", "provenance"},
    {"synth", "models", "tasks"},
    {"fetch", "provenance.verify"},
    {"data"},
    {"evaluate"},
    {"train"},
    {"analysis"},
    {"report", "cost"},
    {"pretrained", "rehearse", "provenance.dvc_sync"},
    {"hear"},
    {"cli"},
    {"__main__"},
)
GROUND = 0
# What `audiopg --help`, the Snakefile and a cluster's login node load.
TORCH_FREE = ("config", "storage", "tasks", "provenance", "fetch", "cost", "cli")

Trees = dict[str, ast.Module]


def modules() -> Trees:
    """All modules of the package by their dotted name below it; ``""`` is the package itself."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def statements(tree: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    """All statements; without ``typing``, none that stands under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not typing and isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node, typing=typing)


def imports(name: str, trees: Trees, *, typing: bool = True) -> set[str]:
    """Modules of the package that one imports, wherever the import stands."""
    found = set()
    for node in statements(trees[name], typing=typing):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for module, attribute in names:
            if module.partition(".")[0] != "audiopg":
                continue
            below = module.removeprefix("audiopg").removeprefix(".")
            full = f"{below}.{attribute}".removeprefix(".")
            found.add(full if full in trees else below)
    return found - {name, ""}


def place(name: str) -> tuple[int, str]:
    """Rank of a module, and the name in the table that it has it from."""
    known = {known: number for number, rank in enumerate(RANKS) for known in rank}
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in known:
            return known[prefix], prefix
    msg = f"audiopg.{name} has no rank"
    raise AssertionError(msg)


def violations(trees: Trees) -> list[str]:
    """Imports that do not go down."""
    wrong = []
    for name in trees:
        if not name:
            continue
        rank, room = place(name)
        for target in sorted(imports(name, trees)):
            below, other = place(target)
            if other != room and not (below < rank or below == rank == GROUND):
                wrong.append(f"{name} (rank {rank}) imports {target} (rank {below})")
    return wrong


def circle(trees: Trees) -> list[str]:
    """Modules that import each other in a ring, type-only imports left out; empty where there are none.

    A room's face (``__init__``) imports what is behind it; that a file behind it names its own room is no circle.
    """
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(imports(name, trees, typing=False)):
            if name.startswith(f"{target}."):
                continue
            ring = walk(target, [*path, name])
            if ring:
                return ring
        done.add(name)
        return []

    return next((ring for name in sorted(trees) if (ring := walk(name, []))), [])


def test_imports_go_down_only() -> None:
    assert violations(modules()) == []


def test_no_module_imports_itself_through_others() -> None:
    assert circle(modules()) == []


def test_every_name_in_the_table_exists() -> None:
    trees = modules()
    for rank in RANKS:
        for name in rank:
            assert name in trees, name


def test_the_documented_ranks_are_these() -> None:
    block = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Ranks")[2].split("```")[1]
    lines = [line.split() for line in block.strip("\n").splitlines()]
    assert [int(number) for number, *_ in lines] == list(range(len(RANKS)))
    assert [set(names) for _, *names in lines] == list(RANKS)


def test_the_checks_see_violations() -> None:
    trees = modules()
    trees["features.logmel"] = ast.parse("def late():\n    from audiopg.data import clips")
    assert violations(trees) == ["features.logmel (rank 2) imports data.clips (rank 5)"]
    trees = modules()
    trees["tasks.card"] = ast.parse("from audiopg.tasks.manifest import Manifest")
    assert set(circle(trees)) == {"tasks.card", "tasks.manifest"}
    trees["tasks.card"] = ast.parse("if TYPE_CHECKING:\n    from audiopg.tasks.manifest import Manifest")
    assert circle(trees) == []


def test_torch_stays_out_of_light_modules() -> None:
    for name, tree in modules().items():
        if name.split(".")[0] in TORCH_FREE:
            imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert not {each for each in imported if each.split(".")[0] in {"torch", "torchaudio"}}, name
