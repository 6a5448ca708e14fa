"""Which extra to install is read from the metadata of the installed package."""

import importlib.metadata

import pytest

from audiopg import extras
from audiopg.errors import AudiopgError

REQUIREMENTS = [
    "numpy>=2.0",
    'snakemake>=9; extra == "workflow"',
    'scikit-learn>=1.6; extra == "workflow"',
    "huggingface-hub>=1; python_version < '3.14' and extra == 'hub'",
    'audiopg[workflow]; extra == "dev"',
    'pytest>=8; extra == "dev"',
    'snakemake>=9; extra == "dev"',
]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("snakemake", "snakemake is not installed; pip install 'audiopg[workflow]' brings it"),
        ("sklearn", "scikit-learn is not installed; pip install 'audiopg[workflow]' brings it"),
        ("huggingface_hub", "huggingface_hub is not installed; pip install 'audiopg[hub]' brings it"),
    ],
)
def test_the_first_extra_that_has_the_package_is_named(module: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: REQUIREMENTS)
    with pytest.raises(AudiopgError) as raised, extras.named():
        raise ModuleNotFoundError(name=module)
    assert str(raised.value) == line


@pytest.mark.parametrize("module", ["numpy", "snakemake.nothing", "audiopg.nothing", None])
def test_what_no_extra_brings_stays_as_it_is(module: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: REQUIREMENTS)
    with pytest.raises(ModuleNotFoundError), extras.named():
        raise ModuleNotFoundError(name=module)


def test_without_metadata_the_error_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    with pytest.raises(ModuleNotFoundError), extras.named():
        raise ModuleNotFoundError(name="snakemake")
