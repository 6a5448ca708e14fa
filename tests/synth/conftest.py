"""Corpora that the tests of the synthesiser share."""

import pytest
from support.sounds import short

from audiopg import config
from audiopg.config import profile


@pytest.fixture(scope="session")
def paper() -> config.Synth:
    """Preset `paper` at full length."""
    return profile.load("paper", "paper").synth


@pytest.fixture(scope="session")
def world() -> config.Synth:
    """Preset `world` at full length."""
    return profile.load("paper", "world").synth


@pytest.fixture(scope="session")
def short_paper(paper: config.Synth) -> config.Synth:
    """Preset `paper` with clips of 1.28 s and levels of the events."""
    return short(paper, events__level_db={"min": -18.0, "max": 0.0})


@pytest.fixture(scope="session")
def short_world(world: config.Synth) -> config.Synth:
    """Preset `world` with clips of 1.28 s and levels of the events."""
    return short(world, events__level_db={"min": -18.0, "max": 0.0})


@pytest.fixture(scope="session", params=["paper", "world"])
def preset(request: pytest.FixtureRequest) -> config.Synth:
    """Both presets, short."""
    synth: config.Synth = request.getfixturevalue(f"short_{request.param}")
    return synth
