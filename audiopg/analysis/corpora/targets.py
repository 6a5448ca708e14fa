"""Factors as regression targets, their scores, and the bootstrap of a score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from audiopg.arrays import Bool, Float64, Int64

N_RESAMPLES = 500


@dataclass(frozen=True)
class FactorTable:
    """What is known of N clips, and which of them score; each factor varies among these, and among those that train."""

    factors: dict[str, Float64]
    """Continuous and counted factors by name, shape (N,); NaN where one has no meaning."""
    classes: dict[str, Int64]
    """Categorical factors by name, shape (N,)."""
    held_out: Bool
    """Clips that are scored and that nothing is trained or chosen on, shape (N,)."""
    groups: Int64
    """Clips of one group are never on both sides, and are left out and drawn together, shape (N,)."""


@dataclass(frozen=True)
class Target:
    """A factor as columns to regress: one for a number; for classes, one each, 1 / (its share in training) or 0.

    Then the largest prediction is Bayes' choice for balanced accuracy, as far as predictions are probabilities; with
    plain one-hot columns a rare class would hardly ever be predicted.
    """

    factor: str
    values: Float64
    """Shape (N, K), NaN where the factor has no meaning."""

    @property
    def measure(self) -> str:
        """Name of the score."""
        return "r2" if self.values.shape[1] == 1 else "balanced_accuracy"

    def parts(self, true: Float64, predicted: Float64) -> Float64:
        """Terms of each clip in the sums behind the score; both arguments (N, K)."""
        if self.measure == "r2":
            y = true - true.mean()
            return np.hstack([np.ones_like(y), y, y**2, (true - predicted) ** 2])
        member = (true > 0).astype(np.float64)
        return np.hstack([member, member * (true.argmax(axis=1) == predicted.argmax(axis=1))[:, None]])

    def score(self, sums: Float64) -> Float64:
        """R² or balanced accuracy of sums of `parts` over clips, shape (..., parts)."""
        if self.measure == "r2":
            count, first, second, error = np.moveaxis(sums, -1, 0)
            r2: Float64 = 1 - error / (second - first**2 / count)
            return r2
        members, hits = np.split(sums, 2, axis=-1)
        recalls = np.divide(hits, members, out=np.full_like(hits, np.nan), where=members > 0)
        return np.asarray(np.nanmean(recalls, axis=-1))


def targets_of(known: FactorTable) -> list[tuple[Bool, list[Target]]]:
    """The factors and classes as targets, those together that have a meaning in the same clips."""
    targets = [Target(factor, np.asarray(values, np.float64)[:, None]) for factor, values in known.factors.items()]
    for factor, labels in known.classes.items():
        member = labels[:, None] == np.unique(labels)
        # a class without a training clip is never predicted
        share = np.maximum(member[~known.held_out].mean(axis=0), 1 / len(labels))
        targets.append(Target(factor, member / share))
    together: dict[bytes, tuple[Bool, list[Target]]] = {}
    for target in targets:
        defined: Bool = np.asarray(np.isfinite(target.values).all(axis=1))
        together.setdefault(defined.tobytes(), (defined, []))[1].append(target)
    return list(together.values())


class Resamples:
    """Bootstrap of the held-out clips by whole groups; the same draws for every score, so that scores are paired."""

    def __init__(self, groups: Int64, held_out: Bool, draw: np.random.Generator) -> None:
        """Draw how often each group of held-out clips appears in each resample.

        Args:
            groups: shape (N,).
            held_out: shape (N,).
            draw: source of the resamples.
        """
        names, self.group = np.unique(groups[held_out], return_inverse=True)
        n = len(names)
        # a group is drawn once on average; a count above 255 is out of reach
        self.counts = np.stack(
            [np.bincount(draw.integers(n, size=n), minlength=n).astype(np.uint8) for _ in range(N_RESAMPLES)]
        )

    def scores(self, score: Callable[[Float64], Float64], parts: Float64, defined: Bool) -> Float64:
        """A score on each resample, given the probe, shape (resamples,); NaN where one has too few clips.

        Args:
            score: makes a score of sums of parts over clips, such as `Target.score`.
            parts: what each clip adds, such as `Target.parts`, shape (clips with a meaning, parts).
            defined: which of the held-out clips those are.
        """
        group = self.group[defined]
        member = csr_array((np.ones(len(group)), (group, np.arange(len(group)))), (self.counts.shape[1], len(group)))
        sums = member @ parts
        # in pieces: all counts as float64 would take 100 MB for 25,000 clips
        scores = [score(piece.astype(np.float64) @ sums) for piece in np.array_split(self.counts, 10)]
        return np.concatenate(scores)


def interval(scores: Float64) -> tuple[float, float]:
    """95 % interval of resampled scores."""
    low, high = np.nanquantile(scores, [0.025, 0.975])
    return float(low), float(high)
