"""Digests of stages: what they follow, and what they do not."""

import ast
import shutil
from pathlib import Path

import pytest
from support.places import ROOT

from audiopg import source_digest
from audiopg.provenance import code_digest
from audiopg.provenance.stages import STAGES

# What an edit of any file in a room, or of one file, may change. Fine-tuning and probes read cards and manifests.
FOLLOWED = {
    "cli": set(),
    "report": {"aggregate", "table"},
    "fetch": {"fetch", "prepare"},
    "tasks": {"fetch", "prepare"},
    "tasks/__init__.py": {"fetch", "prepare", "decode", "finetune", "probe", "aggregate", "table"},
    "tasks/card.py": {"fetch", "prepare", "decode", "finetune", "probe", "aggregate", "table"},
    "tasks/manifest.py": {"fetch", "prepare", "decode", "finetune", "probe"},
    "provenance": set(),
    "pretrained": set(),
    "cost": set(),
    "audio": {"fetch", "prepare", "decode", "latent"},
    "audio/decode.py": {"decode"},
    "train/finetune.py": {"finetune"},
    "train/loop.py": {"pretrain", "finetune"},
    "models/vit.py": {"pretrain", "finetune", "probe", "latent"},
    "synth/score.py": {"pretrain", "latent", "render", "gallery"},
    "synth/describe.py": {"gallery"},
}


@pytest.fixture(scope="module")
def followed() -> dict[str, set[str]]:
    """The modules that the digest of each stage is made of."""
    without = {name: code_digest.DESCRIPTIVE + stage.unfollowed for name, stage in STAGES.items()}
    return {name: source_digest.closure(stage.module, without=without[name]) for name, stage in STAGES.items()}


@pytest.mark.parametrize("place", FOLLOWED)
def test_a_stage_follows_the_modules_that_it_depends_on(place: str, followed: dict[str, set[str]]) -> None:
    found = ROOT / "audiopg" / place
    for file in sorted(found.rglob("*.py")) if found.is_dir() else [found]:
        path = file.relative_to(ROOT / "audiopg").as_posix()
        module = ".".join(Path("audiopg", path).with_suffix("").parts).removesuffix(".__init__")
        if path == place or path not in FOLLOWED:
            assert {stage for stage, modules in followed.items() if module in modules} <= FOLLOWED[place], path


def test_an_edit_of_a_data_set_or_a_download_leaves_all_training_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "audiopg", tmp_path / "audiopg", ignore=shutil.ignore_patterns("__pycache__"))
    before = {stage: code_digest.stage_digest(stage, tmp_path) for stage in STAGES}
    edits = ("tasks/drums.py", "fetch/split_zip.py", "tasks/registry.py", "report/table.py", "cli/app.py", "jit.py")
    learning = {"decode", "pretrain", "finetune", "probe", "latent"}
    for name, expected in zip(edits, [*[set()] * 5, learning], strict=True):
        with (tmp_path / "audiopg" / name).open("a", encoding="utf-8") as file:
            file.write("\nEDITED = 1\n")
        changed = {stage for stage in STAGES if code_digest.stage_digest(stage, tmp_path) != before[stage]}
        assert changed & learning == expected, name


def test_a_stage_has_a_module_with_a_run_and_a_subcommand() -> None:
    commands = ast.parse((ROOT / code_digest.COMMANDS).read_text(encoding="utf-8")).body
    functions = {node.name for node in commands if isinstance(node, ast.FunctionDef)}
    for name, stage in STAGES.items():
        module = ast.parse((ROOT / stage.module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))
        assert "run" in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}, name
        assert name in functions


def test_rule_without_comments() -> None:
    rule = (
        'rule a:  # why\n    # a line\n    output:\n        "#{x}.csv",\n\n    shell:\n        "true # not a comment"\n'
    )
    assert code_digest.without_comments(rule) == (
        'rule a:\n    output:\n        "#{x}.csv",\n    shell:\n        "true # not a comment"'
    )


def test_every_stage_has_a_digest_of_its_own() -> None:
    digests = code_digest.stage_digests(ROOT / "workflow" / "rules")
    assert list(digests) == list(STAGES)
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        ("workflow/rules/probe.smk", "--task", "--Task", ["probe"]),
        ("Snakefile", "# The one graph", "# A graph", []),
    ],
)
def test_rule_text_is_part_of_the_digest(name: str, old: str, new: str, stages: list[str], tmp_path: Path) -> None:
    root = ROOT
    rules = tmp_path / "workflow" / "rules"
    rules.mkdir(parents=True)
    for path in [root / "Snakefile", *root.glob("workflow/rules/*.smk")]:
        (tmp_path / path.relative_to(root)).write_text(path.read_text())
    before = code_digest.stage_digests(rules)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    after = code_digest.stage_digests(rules)
    assert [stage for stage in before if before[stage] != after[stage]] == stages


def test_a_subcommand_is_part_of_its_stage_alone(tmp_path: Path) -> None:
    path = tmp_path / "audiopg" / "cli" / "stages.py"
    path.parent.mkdir(parents=True)
    path.write_text("def latent(out):\n    run(out)\ndef table(out):\n    run(out)\n")
    before = [code_digest.command(stage, tmp_path) for stage in ("latent", "table")]
    path.write_text('def latent(out):\n    """Say."""\n    run(out, 1)\ndef table(out):\n    run(out)  # so\n')
    after = [code_digest.command(stage, tmp_path) for stage in ("latent", "table")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]
