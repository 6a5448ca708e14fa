"""Figures of merit of a classifier."""

import math

import numpy as np
from scipy.stats import norm
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    label_ranking_average_precision_score,
    roc_auc_score,
)

from audiopg.arrays import Float32, Float64
from audiopg.errors import AudiopgError


def evaluate(targets: Float32, scores: Float64, *, multi_label: bool) -> dict[str, float]:
    """Return all figures of a task: ``accuracy``, or ``mAP``, ``d_prime`` and ``lwlrap`` where labels are several.

    Args:
        targets: 1 where a clip has a label, else 0, shape (N, C).
        scores: any monotone scores, shape (N, C).
        multi_label: whether a clip may have several labels.

    Raises:
        AudiopgError: labels are several, and all clips have the same.

    >>> targets = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], dtype=np.float32)
    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> evaluate(targets, scores, multi_label=False)
    {'accuracy': 0.75}
    """
    if not multi_label:
        return {"accuracy": accuracy(targets, scores)}
    return {
        "mAP": mean_average_precision(targets, scores),
        "d_prime": d_prime(targets, scores),
        "lwlrap": lwlrap(targets, scores),
    }


def accuracy(targets: Float32, scores: Float64) -> float:
    """Share of clips whose highest score is at their class."""
    return float(accuracy_score(targets.argmax(axis=1), scores.argmax(axis=1)))


def mean_average_precision(targets: Float32, scores: Float64) -> float:
    """Average precision of each class, averaged over the classes that occur."""
    occurs = targets.any(axis=0)
    return float(average_precision_score(targets[:, occurs], scores[:, occurs], average="macro"))


def d_prime(targets: Float32, scores: Float64) -> float:
    """Distance of two unit normal distributions with the same mean area under the ROC curve, ``√2 Φ⁻¹(AUC)``.

    The area is averaged over the classes that some clips have and others have not. It is kept 1/(2 N²) away from 0 and
    1, where the distance would be infinite.

    Raises:
        AudiopgError: there is no such class.
    """
    decided = targets.any(axis=0) & ~targets.all(axis=0)
    if not decided.any():
        msg = f"the {len(targets)} recordings that are scored all have the same labels; more are needed (train_share)"
        raise AudiopgError(msg)
    area = float(roc_auc_score(targets[:, decided], scores[:, decided], average="macro"))
    margin = 0.5 / len(targets) ** 2
    return math.sqrt(2) * float(norm.ppf(np.clip(area, margin, 1 - margin)))


def lwlrap(targets: Float32, scores: Float64) -> float:
    """Label-weighted label-ranking average precision: each label of each clip counts the same.

    Source: Fonseca et al. (2019), DCASE challenge task 2.
    """
    n_labels = targets.sum(axis=1)
    return float(label_ranking_average_precision_score(targets, scores, sample_weight=n_labels))


def per_class(targets: Float32, scores: Float64, *, multi_label: bool) -> list[tuple[int, int, float]]:
    """Return number, clips and figure of each class that occurs: its recall, or, of several labels, average precision.

    Args:
        targets: 1 where a clip has a label, else 0, shape (N, C).
        scores: any monotone scores, shape (N, C).
        multi_label: whether a clip may have several labels.
    """
    hits = scores.argmax(axis=1)
    return [
        (
            number,
            int(has.sum()),
            float(average_precision_score(has, scores[:, number]) if multi_label else (hits[has] == number).mean()),
        )
        for number, has in enumerate(targets.T > 0)
        if has.any()
    ]
