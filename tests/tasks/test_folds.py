"""Dealing clips over folds."""

from collections import Counter
from dataclasses import replace

import numpy as np

from audiopg.tasks.folds import deal
from audiopg.tasks.manifest import Row


def rows(labels: list[tuple[str, ...]], groups: list[str]) -> list[Row]:
    return [
        Row(f"{number}.wav", label, None, "", group, 1.0, "", "", f"{number * 7919 % 997:03d}")
        for number, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


def test_each_class_is_spread_evenly() -> None:
    listed = rows([("a",)] * 10 + [("b",)] * 7, [str(number) for number in range(17)])
    spread = Counter((row.labels, row.fold) for row in deal(listed, 3))
    assert sorted(spread[("a",), fold] for fold in (1, 2, 3)) == [3, 3, 4]
    assert sorted(spread[("b",), fold] for fold in (1, 2, 3)) == [2, 2, 3]
    assert sorted(Counter(row.fold for row in deal(listed, 3)).values()) == [5, 6, 6]


def test_groups_of_several_labels_stay_whole_and_even() -> None:
    draw = np.random.Generator(np.random.Philox(1))
    speakers = [f"s{number}" for number in draw.integers(0, 60, 600)]
    labels = [("abcde"[number],) for number in draw.integers(0, 5, 600)]
    dealt = deal(rows(labels, speakers), 5)
    assert len({(row.group, row.fold) for row in dealt}) == len(set(speakers))
    spread = Counter((row.labels, row.fold) for row in dealt)
    assert max(spread.values()) - min(spread.values()) <= 8
    assert len(spread) == 25


def test_all_labels_of_a_clip_count() -> None:
    listed = rows([("a", "b")] * 4 + [("a",)] * 4, [str(number) for number in range(8)])
    spread = Counter((label, row.fold) for row in deal(listed, 2) for label in row.labels)
    assert set(spread.values()) == {2, 4}


def test_the_order_of_rows_changes_nothing() -> None:
    listed = rows([("a",), ("b",)] * 10, [str(number // 2) for number in range(20)])
    assert sorted(deal(listed, 3), key=lambda row: row.path) == sorted(deal(listed[::-1], 3), key=lambda row: row.path)
    assert {row.fold for row in deal([replace(row, fold=9) for row in listed], 3)} == {1, 2, 3}
