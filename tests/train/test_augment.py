"""Augmentation by address and by closed form."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from audiopg.data.clips import Clips
from audiopg.features import LogMel
from audiopg.train.augment import drop_path, mixup, random_offsets


def clips() -> Clips:
    lengths = [8, 20]
    frames = np.repeat(np.arange(28, dtype=np.float32)[:, None], 2, axis=1)
    return Clips(frames, np.cumsum([0, *lengths]), 8, cast(LogMel, SimpleNamespace(silence=-1.0)))


def test_windows_cover_a_recording_evenly() -> None:
    assert clips().offsets(0) == [0]
    assert clips().offsets(1) == [0, 6, 12]


def test_a_window_outside_a_recording_is_silent() -> None:
    assert clips().cut(0, -3)[:, 0].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    assert clips().cut(1, 15)[:, 0].tolist() == [23, 24, 25, 26, 27, -1, -1, -1]
    assert clips().cut(0, 8)[:, 0].tolist() == [-1] * 8


def test_all_windows_lists_each_once() -> None:
    assert clips().windows(np.array([0, 1]), 3) == [([0, 1, 1], [0, 0, 6]), ([1], [12])]
    assert clips().windows(np.array([1]), 3) == [([0, 0, 0], [0, 6, 12])]


def test_random_offsets_reach_both_ends() -> None:
    lowest = random_offsets(clips(), [0, 1], 3, np.array([0.0, 0.0]))
    highest = random_offsets(clips(), [0, 1], 3, np.array([0.999999, 0.999999]))
    assert lowest == [-3, -3]
    assert highest == [0, 12]


def test_mixup_blends_sound_and_label_alike() -> None:
    x = torch.eye(6)[:, :, None].repeat(1, 1, 2)
    y = torch.eye(6)
    mixed, targets = mixup(x, y, 0.8, np.random.Generator(np.random.Philox(3)), blend=torch.lerp, union=False)
    torch.testing.assert_close(mixed[:, :, 0], targets)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert not torch.equal(targets, y)
    same, labels = mixup(x, y, 0.0, np.random.Generator(np.random.Philox(3)), blend=torch.lerp, union=False)
    assert torch.equal(same, x)
    assert torch.equal(labels, y)


def test_drop_path_rises_to_its_rate_and_keeps_the_mean() -> None:
    keep = drop_path(0.4, 5, 20000, np.random.Generator(np.random.Philox(3)))
    assert keep is not None
    dropped = (keep == 0).float().mean(dim=(1, 2))
    assert dropped.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.01)
    assert keep.mean(dim=(1, 2)).tolist() == pytest.approx([1] * 5, abs=0.01)
    assert drop_path(0.0, 5, 3, np.random.Generator(np.random.Philox(3))) is None
