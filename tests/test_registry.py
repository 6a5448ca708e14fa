"""Registries: no duplicates, and what is known when a name is unknown."""

import pytest

from audiopg.errors import AudiopgError
from audiopg.registry import Registry


def test_entries_come_back_in_the_order_of_their_names() -> None:
    known: Registry[int] = Registry("number")
    known.add("one", 1)
    known.add("two", 2)
    assert (known["two"], list(known), len(known), "one" in known) == (2, ["one", "two"], 2, True)


def test_a_name_is_registered_once() -> None:
    known: Registry[int] = Registry("number")
    known.add("one", 1)
    with pytest.raises(ValueError, match="one"):
        known.add("one", 2)
    assert known["one"] == 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    known: Registry[int] = Registry("number")
    known.add("one", 1)
    with pytest.raises(AudiopgError, match="unknown number 'onne'.*one"):
        known["onne"]
