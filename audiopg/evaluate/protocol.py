"""Which recordings train, and which are reported."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.errors import AudiopgError
from audiopg.tasks.manifest import Manifest


class Split(NamedTuple):
    """Row numbers of a manifest; no group is in both."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split(manifest: Manifest, fold: int) -> Split:
    """Hold one fold out.

    Raises:
        AudiopgError: the manifest has no such fold, or a group lies on both sides.
    """
    held_out = manifest.folds == fold
    if not held_out.any():
        msg = f"fold {fold} has no clips; folds are {sorted(set(manifest.folds.tolist()))}"
        raise AudiopgError(msg)
    shared = set(manifest.groups[held_out]) & set(manifest.groups[~held_out])
    if shared:
        msg = f"fold {fold}: group '{min(shared)}' lies in training and in test"
        raise AudiopgError(msg)
    return Split(np.flatnonzero(~held_out), np.flatnonzero(held_out))
