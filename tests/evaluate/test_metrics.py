"""Figures of merit against values worked by hand."""

import math

import numpy as np
import pytest

from audiopg.errors import AudiopgError
from audiopg.evaluate.metrics import accuracy, d_prime, evaluate, lwlrap, mean_average_precision

# three clips, classes a and b; class c occurs nowhere
TARGETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
SCORES = np.array([[0.1, 0.9, 0.0], [0.8, 0.3, 0.9], [0.6, 0.7, 0.1]])


def test_accuracy() -> None:
    targets = np.eye(2, dtype=np.float32)[[1, 0, 0, 1]]
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(targets, scores) == 0.5
    assert evaluate(targets, scores, multi_label=False) == {"accuracy": 0.5}


def test_mean_average_precision() -> None:
    # a: ranked clips 2, 3, 1, right at ranks 1 and 3: (1/1 + 2/3) / 2; b: 1, 3, 2, right at 2 and 3: (1/2 + 2/3) / 2
    assert mean_average_precision(TARGETS, SCORES) == pytest.approx((5 / 6 + 7 / 12) / 2)


def test_lwlrap() -> None:
    # clip 1: a is second: 1/2. clip 2: a second (behind c): 1/2, b third: 2/3. clip 3: b first: 1. Four labels.
    assert lwlrap(TARGETS, SCORES) == pytest.approx((1 / 2 + 1 / 2 + 2 / 3 + 1) / 4)


def test_d_prime() -> None:
    # a: pairs (clip 1 or 2 against 3): 0.1 > 0.6 no, 0.8 > 0.6 yes; b: clip 2 or 3 against 1: no, no. AUC 0.5 and 0
    assert d_prime(TARGETS, SCORES) == pytest.approx(math.sqrt(2) * -0.6744898, abs=1e-6)


def test_d_prime_is_the_distance_of_two_normal_distributions() -> None:
    draw = np.random.Generator(np.random.Philox(0))
    targets = np.repeat([[1.0, 0.0], [0.0, 1.0]], 20_000, axis=0).astype(np.float32)
    scores = draw.standard_normal(targets.shape) + 1.5 * targets
    assert d_prime(targets, scores) == pytest.approx(1.5, abs=0.03)


def test_d_prime_needs_a_class_that_some_clips_lack() -> None:
    same = np.array([[1, 0], [1, 0]], dtype=np.float32)
    with pytest.raises(
        AudiopgError, match=r"the 2 recordings that are scored all have the same labels; more .* \(train_share\)"
    ):
        evaluate(same, np.ones((2, 2)), multi_label=True)


def test_perfect_scores() -> None:
    found = evaluate(TARGETS, TARGETS.astype(float), multi_label=True)
    assert found["mAP"] == found["lwlrap"] == 1
    assert 2 < found["d_prime"] < 10
