"""Which recordings train, select and test."""

from dataclasses import replace

import numpy as np
import pytest
from support.manifests import in_splits, manifest

from audiopg.errors import AudiopgError
from audiopg.evaluate.protocol import split
from audiopg.tasks.manifest import Manifest, Row


def test_a_split_holds_one_fold_out() -> None:
    train, val, test = split(manifest(), 3)
    assert len(test) == 60
    assert not len(val)
    assert set(train) | set(test) == set(range(240))
    assert not set(train) & set(test)


def test_a_split_has_three_parts() -> None:
    parts = split(in_splits(), 1)
    assert [len(part) for part in parts] == [120, 60, 60]
    assert set(np.concatenate(parts)) == set(range(240))
    assert set(in_splits().parts[parts.val]) == {"val"}
    assert set(in_splits().parts[parts.test]) == {"test"}
    with pytest.raises(AudiopgError, match="fold 2 has no clips; there are .'test', 'train', 'val'."):
        split(in_splits(), 2)


def test_a_share_has_so_many_of_each_label_and_leaves_the_rest_whole() -> None:
    """Of 60, 60 and 4 recordings of three labels in training: a tenth, but one at least."""
    rows = [row for row in manifest().rows if row.labels != ("c2",) or int(row.path[:3]) < 15]
    listed = Manifest(tuple(rows))
    whole, found = split(listed, 3), split(listed, 3, 0.1, seed=7)
    labels = listed.targets.argmax(axis=1)
    assert np.bincount(labels[whole.train]).tolist() == [60, 60, 4]
    assert np.bincount(labels[found.train]).tolist() == [6, 6, 1]
    assert set(found.train) < set(whole.train)
    assert found.train.tolist() == sorted(found.train)
    assert np.array_equal(found.test, whole.test)
    assert [len(part) for part in split(in_splits(), 1, 0.25)] == [30, 60, 60]


def test_a_share_is_a_matter_of_fold_and_seed_and_grows_by_adding() -> None:
    listed = manifest()
    tenth = split(listed, 1, 0.1, seed=7).train
    assert np.array_equal(tenth, split(listed, 1, 0.1, seed=7).train)
    assert set(tenth) < set(split(listed, 1, 0.3, seed=7).train)
    assert not np.array_equal(tenth, split(listed, 1, 0.1, seed=8).train)
    other = split(listed, 2, 0.1, seed=7).train
    both = listed.parts > 2  # in training in either fold
    assert set(tenth[both[tenth]]) != set(other[both[other]])
    everything = split(listed, 1, 1.0, seed=7)
    assert np.array_equal(everything.train, np.flatnonzero(listed.parts != 1))
    assert everything.train.dtype == split(listed, 1).train.dtype == np.int64


def test_with_several_labels_a_share_is_of_all_recordings() -> None:
    rows = [replace(row, labels=(f"a{row.path}", *row.labels)) for row in manifest().rows]
    assert len(split(Manifest(tuple(rows)), 1, 0.1).train) == 18


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("train", "val"), ("val", "test")])
def test_a_group_in_two_parts_is_an_error(first: str, second: str) -> None:
    rows = [*in_splits().rows, *(Row(f"{s}.wav", ("a",), None, s, "same", 1.0, "", "", "") for s in (first, second))]
    with pytest.raises(AudiopgError, match="fold 1: group 'same' lies in"):
        split(Manifest(tuple(rows)), 1)


def test_a_group_in_two_folds_is_an_error() -> None:
    rows = [Row(f"{i}.wav", ("a",), i + 1, "", "same", 1.0, "", "", "") for i in range(2)]
    with pytest.raises(AudiopgError, match="fold 1: group 'same' lies in test and in training"):
        split(Manifest(tuple(rows)), 1)
    with pytest.raises(AudiopgError, match="fold 9 has no clips; there are .1, 2, 3, 4."):
        split(manifest(), 9)
