"""Cards on disk."""

from pathlib import Path

import pytest
from support.outcomes import DRUMS

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.tasks.card import Card
from audiopg.tasks.registry import TASKS


def test_a_card_survives_its_file_and_another_file_is_named(tmp_path: Path) -> None:
    DRUMS.write(tmp_path / "card.json")
    assert Card.read(tmp_path / "card.json") == DRUMS
    storage.write_json(tmp_path / "x.json", {"name": "x"})
    with pytest.raises(AudiopgError, match=r"x\.json: not a task's card .*, delete it and run again"):
        Card.read(tmp_path / "x.json")


def test_each_figure_of_the_paper_has_the_rule_by_which_it_was_selected() -> None:
    for name in TASKS:
        task = TASKS[name]
        assert (task.card.paper is None) == (task.card.paper_selection is None), task.card.name
