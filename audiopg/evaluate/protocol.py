"""Which recordings are for training, for selection and for the reported figures."""

from typing import NamedTuple

import numpy as np

from audiopg import rng
from audiopg.arrays import Float32, Int64
from audiopg.errors import AudiopgError
from audiopg.tasks.manifest import Manifest

N_DRAWS = 3  # of random weights, which vary; their row is the mean


class Split(NamedTuple):
    """Row numbers of a manifest; no group is in two of them."""

    train: Int64
    val: Int64
    """What an epoch is selected on; empty in cross-validation and inside a search, where nothing is selected."""
    test: Int64


def split(manifest: Manifest, fold: int, share: float = 1.0, seed: int = 0) -> Split:
    """Hold one fold out, or take the three parts of a task that has them (its only run is number 1).

    Args:
        manifest: labels, folds or splits, and groups.
        fold: number of the held-out fold, from 1.
        share: of the training recordings, in (0, 1]; what selects and what is reported stays whole. Recordings are
            chosen one by one, not by groups, since a speaker says many words; where each has one label, so many of
            each label, one at least. A smaller share is a part of a larger one.
        seed: with the fold, the address of the choice.

    Raises:
        AudiopgError: the manifest has no such fold, or a group lies in two parts.
    """
    parts = manifest.parts
    has_folds = parts.dtype.kind == "i"
    held_out = parts == (fold if has_folds else "test")
    selecting = np.zeros(len(parts), dtype=bool) if has_folds else parts == "val"
    if not held_out.any() or not (has_folds or fold == 1):
        msg = f"fold {fold} has no clips; there are {sorted(set(parts.tolist()))}"
        raise AudiopgError(msg)
    of_row = np.where(held_out, "test", np.where(selecting, "validation", "training"))
    seen: dict[str, str] = {}
    for group, part in zip(manifest.groups.tolist(), of_row.tolist(), strict=True):
        if seen.setdefault(group, part) != part:
            msg = f"fold {fold}: group '{group}' lies in {seen[group]} and in {part}"
            raise AudiopgError(msg)
    parts_of = Split(*(np.flatnonzero(of_row == part) for part in ("training", "validation", "test")))
    order = rng.generator(seed, "train_share", fold).permutation(parts_of.train)
    return parts_of._replace(train=_first(order, manifest.targets, share))


def inner(manifest: Manifest, rows: Split, fold: int, n_folds: int) -> list[Split]:
    """Leave training recordings out, to compare recipes by them: as ``test`` of new splits.

    Args:
        manifest: folds or splits.
        rows: the division of one run, by `split`; its ``test`` is in none of the new ones.
        fold: number of the held-out fold.
        n_folds: how many training folds are left out in turn, from the one after the held-out fold on; not more than
            there are. A task with a split leaves out its validation split, which then selects no epoch: a figure that
            is the best of all epochs would favour recipes with many.
    """
    if len(rows.val):
        return [rows._replace(val=rows.val[:0], test=rows.val)]
    folds = manifest.parts[rows.train]
    after = sorted(np.unique(folds).tolist(), key=lambda number: (number < fold, number))
    return [Split(rows.train[folds != each], rows.val, rows.train[folds == each]) for each in after[:n_folds]]


def _first(order: Int64, targets: Float32, share: float) -> Int64:
    """Take a share of some rows, the first of each label, or of all where labels are several; sorted."""
    labels = targets.argmax(axis=1) if (targets.sum(axis=1) == 1).all() else np.zeros(len(targets), dtype=np.int64)
    of_label = [order[labels[order] == label] for label in np.unique(labels[order])]
    return np.sort(np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in of_label]))
