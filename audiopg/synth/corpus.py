"""The corpus as a library: waveforms with their physics by index, for any loop or data loader."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from audiopg import config
from audiopg.arrays import Float64
from audiopg.config import profile
from audiopg.errors import AudiopgError
from audiopg.synth.columns import numbers, physics, with_numbers
from audiopg.synth.readable import ReadableScore, readable
from audiopg.synth.score import Score
from audiopg.synth.world import World

Item = tuple[Tensor, dict[str, Tensor]]
"""A waveform, shape (T,), or several, shape (B, T), and their physics."""


def corpus(  # noqa: PLR0913  (all have a default)
    synth: str | config.Synth = "world",
    seed: int = 0,
    clip_s: float | None = 2.56,
    *,
    n_clips: int = 1_000_000,
    clips_per_identity: int = 1,
    device: torch.device | str = "cpu",
) -> "Corpus":
    """Open a corpus of synthetic sound.

    Args:
        synth: a preset, ``world`` or ``paper``, or a ``synth`` section of your own.
        seed: names the corpus, a whole number from 0; the same seed and index is the same clip, always and everywhere.
        clip_s: length of the clips in s; None keeps that of the section.
        n_clips: where the corpus ends, so that it has a length; a larger one begins with the same clips.
        clips_per_identity: so many clips with consecutive numbers are the same sources, heard differently.
        device: where clips are rendered and delivered.

    Raises:
        ValueError: an unknown preset, or a value that is not allowed.

    >>> waveform, physics = corpus("world", seed=0)[7]
    >>> waveform.shape, physics["n_voices"].item(), physics["f0_hz"].shape
    (torch.Size([40960]), 3, torch.Size([3]))
    """
    counts = (("seed", seed, 0), ("n_clips", n_clips, 1), ("clips_per_identity", clips_per_identity, 1))
    for name, value, least in counts:
        if not isinstance(value, int) or value < least:
            msg = f"{name}: a whole number from {least} is needed, found {value!r}"
            raise ValueError(msg)
    try:
        section = profile.load("paper", synth).synth if isinstance(synth, str) else synth
        values = section.with_identities(clips_per_identity).model_dump()
        if clip_s is not None:
            values["clip_s"] = clip_s
        world = World(config.Synth.model_validate(values), seed, device)
    except AudiopgError as error:
        raise ValueError(str(error)) from None
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ".".join(str(part) for part in mistake["loc"]) or "synth"
        msg = f"{place}: {mistake['msg'].removeprefix('Value error, ')}; change it, or give a section of your own"
        raise ValueError(msg) from None
    return Corpus(world, n_clips)


class Corpus(Dataset[Item]):
    """Clips by index, each with its physics; `corpus` opens one.

    The physics of B clips are tensors by name, with the unit at the end of the name: of a clip, shape (B,); of a voice,
    such as ``f0_hz`` and the parameters of its source, (B, V); of an event, such as ``event_onset_s``, (B, V, E); of
    parameters with several values, such as one per partial, (B, V, N). Numbers are float32, counts and classes int64.
    NaN (-1 for ``source``) means that a quantity has no meaning there: no such voice or event, another source, no room.
    ``source`` is a position in `sources`.
    """

    def __init__(self, world: World, n_clips: int) -> None:
        """Take the player of the corpus, and where the corpus ends."""
        self.world = world
        self.n_clips = n_clips
        self.sources = tuple(world.synth.sources)
        self._template = world.score([0])
        self.names = tuple(numbers(self._template)[0])
        """Of the numbers of `vector`."""

    def __repr__(self) -> str:
        """Say what it is."""
        synth = self.world.synth
        return f"Corpus({len(self)} clips of {synth.clip_s:g} s at {synth.sample_rate_hz} Hz, seed {self.world.seed})"

    def __len__(self) -> int:
        """Count the clips."""
        return self.n_clips

    def __getitem__(self, index: int | slice) -> Item:
        """Return one clip, its waveform of shape (T,), or those of a slice, (B, T), and their physics.

        Raises:
            IndexError: the corpus ends before it.
        """
        if isinstance(index, slice):
            return self._items(range(*index.indices(len(self))))
        waveform, physics = self._items([self._checked(index)])
        return waveform[0], {name: values[0] for name, values in physics.items()}

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Return several clips, rendered together: what a data loader asks for."""
        waveforms, physics = self._items([self._checked(index) for index in indices])
        return [
            (waveform, {name: values[row] for name, values in physics.items()})
            for row, waveform in enumerate(waveforms)
        ]

    def batches(self, batch_size: int, start: int = 0) -> Iterator[Item]:
        """Yield the clips from ``start`` to the end, in batches; the last one may be smaller.

        Raises:
            ValueError: a size below 1, or a start outside of the corpus.
        """
        yield from self.stream(batch_size, start)

    def stream(self, batch_size: int, start: int = 0) -> "Stream":
        """Return the same batches for a `DataLoader` with ``batch_size=None``: its workers and ranks share them.

        Raises:
            ValueError: as `batches`.
        """
        for name, value, least in (("batch_size", batch_size, 1), ("start", start, 0)):
            if not isinstance(value, int) or value < least or (name == "start" and value >= len(self)):
                msg = (
                    f"{name}: a whole number from {least} is needed, found {value!r}; the corpus has {len(self)} clips"
                )
                raise ValueError(msg)
        return Stream(self, batch_size, start)

    def score(self, index: int | Sequence[int]) -> ReadableScore:
        """Return the score of a clip or of several; it prints as tables.

        Raises:
            IndexError: the corpus ends before it.
        """
        indices = [index] if isinstance(index, int) else index
        return readable(self.world.score([self._checked(each) for each in indices]))

    def render(self, score: Score) -> Tensor:
        """Play a score, edited or not; returns and errors as `World.render`."""
        return self.world.render(score)

    def vector(self, score: Score) -> Float64:
        """Return every number of a score, shape (B, P), named by `names`; NaN where it has no meaning."""
        return numbers(score)[1]

    def from_vector(self, vector: ArrayLike) -> ReadableScore:
        """Return the score that `vector` wrote; it renders the same waveforms to the bit.

        Raises:
            ValueError: another shape.
        """
        values = np.asarray(vector, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.names):  # noqa: PLR2004
            msg = f"vector: shape (B, {len(self.names)}) is needed, found {values.shape}"
            raise ValueError(msg)
        return readable(with_numbers(self._template, values))

    def _items(self, indices: Sequence[int]) -> Item:
        score = self.world.score(indices)
        return self.world.render(score), {
            name: torch.from_numpy(column.astype(np.float32 if column.dtype.kind == "f" else np.int64)).to(
                self.world.device
            )
            for name, column in physics(score).items()
        }

    def _checked(self, index: int) -> int:
        """Count a negative index from the end, and refuse what is outside."""
        number = int(index)
        if not -len(self) <= number < len(self):
            msg = f"clip {number}: the corpus has {len(self)}; open it with a larger n_clips"
            raise IndexError(msg)
        return number % len(self)


class Stream(IterableDataset[Item]):
    """Batches of a corpus, each of which goes to one worker of one process."""

    def __init__(self, clips: Corpus, batch_size: int, start: int) -> None:
        """Take the corpus, the clips of a batch, and the first clip."""
        self.clips = clips
        self.firsts = range(start, len(clips), batch_size)

    def __len__(self) -> int:
        """Count the batches of all workers and processes together."""
        return len(self.firsts)

    def __iter__(self) -> Iterator[Item]:
        """Yield this worker's part, in order."""
        worker, spread = get_worker_info(), torch.distributed
        rank, n_ranks = (spread.get_rank(), spread.get_world_size()) if _is_distributed() else (0, 1)
        number, n_workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for first in self.firsts[rank * n_workers + number :: n_ranks * n_workers]:
            yield self.clips[first : first + self.firsts.step]


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
