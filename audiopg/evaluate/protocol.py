"""Which recordings train, which select, and which are reported."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.errors import AudiopgError
from audiopg.tasks.manifest import Manifest


class Split(NamedTuple):
    """Row numbers of a manifest; no group is in two of them."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    """What an epoch is selected on; empty in cross-validation, where nothing is selected."""
    test: NDArray[np.int64]


def split(manifest: Manifest, fold: int) -> Split:
    """Hold one fold out, or take the three parts of a task that has them (its only run is number 1).

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
    return Split(*(np.flatnonzero(of_row == part) for part in ("training", "validation", "test")))
