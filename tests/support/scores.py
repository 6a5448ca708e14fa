"""Compare scores and voices."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg.synth.score import Score


def assert_same(one: Any, other: Any, rows: NDArray[np.bool_], *, but: tuple[str, ...] = ()) -> None:
    """Compare what two scores or voices, with the same or fewer sources, say of some rows."""
    for field in fields(one):
        value, its = getattr(one, field.name), getattr(other, field.name)
        if isinstance(value, np.ndarray) and field.name not in but:
            np.testing.assert_array_equal(value[rows], its[rows], err_msg=field.name)
    if isinstance(one, Score):
        for voice, its in zip(one.voices, other.voices, strict=True):
            assert_same(voice, its, rows & (one.n_voices > 0), but=but)
        return
    for source in one.parameters.keys() & other.parameters.keys():
        for name, value in one.parameters[source].items():
            np.testing.assert_array_equal(value[rows], other.parameters[source][name][rows], err_msg=name)
