"""Corpora that the tests of the synthesiser share."""

from pathlib import Path

import pytest

from audiopg import config, params

PROFILES = Path(__file__).parents[2] / "workflow" / "params"


@pytest.fixture(scope="session")
def paper() -> config.Synth:
    return config.Synth.model_validate(params.read_yaml(PROFILES / "paper.yaml")["synth"])


@pytest.fixture(scope="session")
def quick() -> config.Synth:
    merged = config.merge(params.read_yaml(PROFILES / "paper.yaml"), params.read_yaml(PROFILES / "quick.yaml"))
    return config.Synth.model_validate(merged["synth"])
