"""EVAR's linear evaluation, as the benchmark of readers has it: on vectors of which the answer is known."""

import numpy as np
import pytest
import suites
import torch
from torch import Tensor

N_CLASSES, N_FEATURES = 5, 512


def clusters(key: int, n: int = 200, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Classes in turn, each around a centre of its own; the last feature is constant."""
    centres = np.random.Generator(np.random.Philox(0)).normal(size=(N_CLASSES, N_FEATURES))
    classes = np.arange(n) % N_CLASSES
    x = centres[classes] + np.random.Generator(np.random.Philox(key)).normal(size=(n, N_FEATURES))
    return torch.from_numpy(np.hstack([scale * x, np.ones((n, 1))])).float(), torch.from_numpy(classes)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_clear_classes_are_found_whatever_the_units(scale: float) -> None:
    x, y = clusters(1, scale=scale)
    new, expected = clusters(2, scale=scale)
    assert torch.equal(suites.evar_classes(x, y, new, 42), expected)


def test_labels_that_mean_nothing_are_a_guess() -> None:
    x, y = clusters(1, n=1000)
    order = torch.from_numpy(np.random.Generator(np.random.Philox(3)).permutation(len(y)))
    new, expected = clusters(2, n=1000)
    right = (suites.evar_classes(x, y[order], new, 42) == expected).float().mean().item()
    assert right == pytest.approx(1 / N_CLASSES, abs=0.2)


def test_a_seed_decides_and_leaves_no_trace() -> None:
    draw = np.random.Generator(np.random.Philox(4))
    x, y = torch.from_numpy(draw.normal(size=(100, 8))).float(), torch.arange(100) % N_CLASSES
    before = torch.get_rng_state()
    first, again, other = (suites.evar_classes(x, y, x, seed) for seed in (42, 42, 43))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_accuracy_is_the_mean_over_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not over recordings: of the small fold all are of the class that is found, of the large fold none."""
    x, classes, folds = np.eye(10), np.array([0] * 2 + [1] * 8), np.array([1] * 2 + [2] * 8)
    seeds = []

    def first_class(x: Tensor, y: Tensor, new: Tensor, seed: int) -> Tensor:
        assert not (x @ new.T).any()  # no recording is in both
        assert len(x) == len(y)
        seeds.append(seed)
        return torch.zeros(len(new), dtype=torch.int64)

    monkeypatch.setattr(suites, "evar_classes", first_class)
    assert suites.evar(x, classes, folds) == 0.5
    assert len(set(seeds)) == len(seeds) == 2 * suites.REPEATS
