"""Digests of code: a statement changes them, and nothing else does."""

from pathlib import Path

import pytest

from audiopg import source_digest

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
    before = source_digest.digest("pkg.stage", source)
    path = source / "pkg" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return source_digest.digest("pkg.stage", source) != before


def test_closure_follows_imports_wherever_they_stand(source: Path) -> None:
    assert source_digest.closure("pkg.stage", source) == {
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
    before = source_digest.digest("pkg.stage", source)
    (source / "pkg" / "deep" / "kernel.c").write_text("int f(void) { return 1; }\n")
    assert source_digest.digest("pkg.stage", source) != before


def test_digest_does_not_depend_on_the_place(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = source_digest.digest("pkg.stage", source)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "src"
    source.rename(elsewhere)
    assert source_digest.digest("pkg.stage", elsewhere) == before


TYPE_ONLY = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pkg.other import VALUE
"""


def test_an_import_for_the_type_checker_alone_is_none(source: Path) -> None:
    before = source_digest.digest("pkg.far", source)
    (source / "pkg" / "far.py").write_text("import typing\nVALUE = 1\n")
    with_typing = source_digest.digest("pkg.far", source)
    (source / "pkg" / "far.py").write_text(
        "import typing\nVALUE = 1\nif typing.TYPE_CHECKING:\n    from pkg.other import VALUE as _\n"
    )
    assert source_digest.closure("pkg.far", source) == {"pkg", "pkg.far"}
    assert before != with_typing == source_digest.digest("pkg.far", source)


def test_the_other_branch_of_a_type_check_counts(source: Path) -> None:
    (source / "pkg" / "far.py").write_text(f"{TYPE_ONLY}else:\n    from pkg import near\n")
    assert source_digest.closure("pkg.far", source) == {"pkg", "pkg.far", "pkg.near", "pkg.deep", "pkg.deep.below"}


def test_what_is_left_out_is_not_followed(source: Path) -> None:
    without = ("pkg.deep", "pkg.ne")
    assert source_digest.closure("pkg.stage", source, without) == {"pkg", "pkg.stage", "pkg.near", "pkg.far"}
