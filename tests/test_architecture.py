"""The one natural way: a module imports only from ranks before its own."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "audiopg"

RANKS = {
    "errors": 0,
    "registry": 0.1,
    "rng": 0.1,
    "jit": 0.1,
    "philox": 0.2,
    "spectrum": 0.2,
    "config": 1,
    "storage": 1,
    "progress": 1,
    "tools": 1,
    "lifeline": 1,
    "closure": 1,
    "containers": 1,
    "compute": 1.1,
    "pictures": 1.1,
    "tensors": 1.1,
    "params": 1.1,
    "flops": 1.1,
    "provenance": 1.1,
    "profiles": 1.2,
    "audio": 2,
    "features": 2,
    "synth": 2,
    "models": 2,
    "tasks": 2,
    "pretrained": 2.1,
    "verification": 2.1,
    "data": 3,
    "evaluate": 4,
    "train": 4.1,
    "hear": 4.1,
    "analysis": 5,
    "report": 6,
    "embed": 6,
    "ledger": 6,
    "graph": 6,
    "bench": 6,
    "cost": 6,
    "export": 6.1,
    "compare": 6.1,
    "cli": 7,
    "__main__": 7.1,
}
TORCH_FREE = (
    "config",
    "params",
    "flops",
    "profiles",
    "storage",
    "tasks",
    "closure",
    "provenance",
    "verification",
    "tools",
    "lifeline",
    "ledger",
    "graph",
    "cli",
)


def room(module: str) -> str:
    """First name below the package: ``audiopg.synth.world`` lives in ``synth``."""
    return module.split(".")[1] if "." in module else ""


def modules() -> dict[str, ast.Module]:
    files = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]
    return {name: ast.parse(path.read_text()) for name, path in zip(names, files, strict=True)}


def imports(tree: ast.Module, known: set[str]) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known or f"{full}.__init__" in known else node.module)
    return found


def violations(trees: dict[str, ast.Module]) -> list[str]:
    wrong = []
    for name, tree in trees.items():
        here = room(name)
        for target in imports(tree, set(trees)):
            there = room(target)
            if not target.startswith("audiopg.") or here in {"", "__init__"} or there == here:
                continue
            if RANKS[there] >= RANKS[here]:
                wrong.append(f"{name} (rank {RANKS[here]}) imports {target} (rank {RANKS[there]})")
    return wrong


def test_imports_go_down_only() -> None:
    assert violations(modules()) == []


def test_the_check_sees_a_violation() -> None:
    trees = modules()
    trees["audiopg.features"] = ast.parse("def late():\n    from audiopg.data import clips")
    assert violations(trees) == ["audiopg.features (rank 2) imports audiopg.data.clips (rank 3)"]


def test_torch_stays_out_of_light_modules() -> None:
    for name, tree in modules().items():
        if room(name) in TORCH_FREE:
            assert not {t for t in imports(tree, set()) if t.split(".")[0] in {"torch", "torchaudio"}}, name
