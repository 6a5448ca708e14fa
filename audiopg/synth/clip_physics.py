"""The physics of clips as tensors by name: what a training loop gets beside the waveforms."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from audiopg.registry import suggestion
from audiopg.synth.columns import columns
from audiopg.synth.score import Score

SHOWN = 4  # numbers of one row that the text shows


class ClipPhysics(Mapping[str, Tensor]):
    """Physics of some clips: a mapping from names, which end in the unit, to tensors.

    Quantities of clips have shape (B,), as ``cutoff_hz``. Those of voices have (B, V), as ``f0_hz``, or (B, V, N) where
    a parameter has several values. Those of events have (B, V, E), as ``event_onset_s``. One clip has no axis B.
    Numbers are float32, and NaN where a clip has no such voice, event or parameter. Counts and classes are int64;
    ``source`` is -1 where there is no voice.
    """

    def __init__(self, quantities: Mapping[str, Tensor]) -> None:
        """Take the tensors by name."""
        self._quantities = dict(quantities)

    def __getitem__(self, name: str) -> Tensor:
        """Return one quantity.

        Raises:
            KeyError: the clips have no such quantity.
        """
        if name not in self._quantities:
            msg = f"no quantity '{name}'{suggestion(str(name), list(self._quantities))}"
            raise KeyError(msg)
        return self._quantities[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._quantities)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._quantities)

    def __repr__(self) -> str:
        """Write one line per quantity that exists: name, shape, and its numbers or their range."""
        lines = [(name, str(tuple(values.shape)), _range(values)) for name, values in self.items()]
        lines = [line for line in lines if line[2]]
        widths = [max((len(line[column]) for line in lines), default=0) for column in (0, 1)]
        return "\n".join(f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {text}" for name, shape, text in lines)

    def rows(self) -> list["ClipPhysics"]:
        """Return the physics of each clip of a batch."""
        parts = [values.unbind() for values in self._quantities.values()]
        return [ClipPhysics(dict(zip(self._quantities, row, strict=True))) for row in zip(*parts, strict=True)]

    def to(self, device: torch.device | str) -> "ClipPhysics":
        """Return the same on another device."""
        return ClipPhysics({name: values.to(device) for name, values in self._quantities.items()})


def read(score: Score, device: torch.device | str = "cpu") -> ClipPhysics:
    """Return the physics of some clips, without the keys of noise; a filter that is not there has no edge (NaN)."""
    found = {}
    for name, values in columns(score).items():
        if name.endswith("key"):
            continue
        if values.dtype == np.float64:
            absent = ~np.isfinite(values) | ((name == "microphone_low_hz") & (values == 0))
            found[name] = torch.from_numpy(np.where(absent, np.nan, values).astype(np.float32)).to(device)
        else:
            found[name] = torch.from_numpy(values.astype(np.int64)).to(device)
    return ClipPhysics(found)


def _range(values: Tensor) -> str:
    """Write the numbers that exist, or the least and the largest of many."""
    there = values[~values.isnan()].tolist()
    if len(there) <= SHOWN:
        return ", ".join(f"{value:.6g}" for value in there)
    return f"{min(there):.6g} to {max(there):.6g}"
