"""Digests of code: a statement changes them, and nothing else does."""

from pathlib import Path

import pytest
from support.places import ROOT

from audiopg.provenance import code_digest
from audiopg.provenance.stages import STAGES

STAGE = '''"""A stage."""

import json
from pkg.near import helper


def run(path):
    """Run it."""
    from pkg import far

    return helper(json.loads(path)) + far.VALUE
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Folder with a package of five modules, of which ``pkg.stage`` does not import one."""
    package = tmp_path / "pkg"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n\n__version__ = "1"\n')
    (package / "stage.py").write_text(STAGE)
    (package / "near.py").write_text(
        "from .deep.below import VALUE\n\n\ndef helper(value):\n    return value + VALUE\n"
    )
    (package / "far.py").write_text("VALUE = 1\n")
    (package / "other.py").write_text("VALUE = 1\n")
    (package / "deep" / "__init__.py").write_text("")
    (package / "deep" / "below.py").write_text("VALUE = 1\n")
    return tmp_path


def changes(source: Path, name: str, old: str, new: str) -> bool:
    before = code_digest.digest("pkg.stage", source)
    path = source / "pkg" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return code_digest.digest("pkg.stage", source) != before


def test_closure_follows_imports_wherever_they_stand(source: Path) -> None:
    assert code_digest.closure("pkg.stage", source) == {
        "pkg", "pkg.stage", "pkg.near", "pkg.far", "pkg.deep", "pkg.deep.below"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A stage."""', '"""Another text."""'),
        ('    """Run it."""\n', ""),
        ("import json\n", "import json  # a comment\n\n# another\n"),
        ("helper(json.loads(path)) + far.VALUE", "(\n        helper(json.loads(path))\n        + far.VALUE\n    )"),
    ],
    ids=["docstring", "no docstring", "comment", "line breaks"],
)
def test_text_around_statements_changes_nothing(source: Path, old: str, new: str) -> None:
    assert not changes(source, "stage.py", old, new)


def test_version_number_and_unrelated_modules_change_nothing(source: Path) -> None:
    assert not changes(source, "__init__.py", '"1"', '"2"')
    assert not changes(source, "other.py", "1", "2")


@pytest.mark.parametrize("name", ["far.py", "deep/below.py"])
def test_statement_of_any_imported_module_changes_the_digest(source: Path, name: str) -> None:
    assert changes(source, name, "VALUE = 1", "VALUE = 2")


@pytest.mark.parametrize(
    ("old", "new"),
    [("+ far", "- far"), ("json.loads", "json.dumps"), ("(path))", "(None))"), ("return helper", "helper")],
)
def test_every_kind_of_statement_counts(source: Path, old: str, new: str) -> None:
    assert changes(source, "stage.py", old, new)


def test_package_initialiser_counts(source: Path) -> None:
    assert changes(source, "deep/__init__.py", "", "VALUE = 1\n")


def test_compiled_source_beside_a_module_counts(source: Path) -> None:
    before = code_digest.digest("pkg.stage", source)
    (source / "pkg" / "deep" / "kernel.c").write_text("int f(void) { return 1; }\n")
    assert code_digest.digest("pkg.stage", source) != before


def test_digest_does_not_depend_on_the_place(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = code_digest.digest("pkg.stage", source)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "src"
    source.rename(elsewhere)
    assert code_digest.digest("pkg.stage", elsewhere) == before


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
