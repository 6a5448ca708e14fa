"""A corpus as a library: any clip by its number, with its physics, for loops, data loaders and edits by hand."""

import operator
from collections.abc import Iterator, Sequence
from typing import SupportsIndex

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import ValidationError
from torch import Tensor
from torch.utils.data import Dataset

from audiopg import config
from audiopg.arrays import Float64
from audiopg.config.profile import COMPLETE, load
from audiopg.errors import AudiopgError
from audiopg.synth import clip_physics
from audiopg.synth.clip_physics import ClipPhysics
from audiopg.synth.clip_score import ClipScore
from audiopg.synth.columns import columns, flat, from_columns, from_flat, names
from audiopg.synth.score import Score
from audiopg.synth.score_check import check
from audiopg.synth.stream import Stream
from audiopg.synth.world import World

N_CLIPS = 1_000_000
DEVICES = ("cpu", "cuda")


def corpus(
    synth: str | config.Synth = "world",
    seed: int = 0,
    clip_s: float | None = None,
    *,
    n_clips: int = N_CLIPS,
    twins: bool = False,
    device: torch.device | str = "cpu",
) -> "Corpus":
    """Return a corpus of synthetic clips, whose clips are made when they are asked for.

    Args:
        synth: name of a preset (``paper``, ``world``), or a section ``synth`` of parameters.
        seed: names the corpus; with another one all clips are others.
        clip_s: length of a clip in s; None takes that of the preset, 10.24 s, or of the section.
        n_clips: length of the corpus, at most 2^53. It changes no clip.
        twins: clips 0 and 1 are the same sources heard differently, 2 and 3, and so on.
        device: where waveforms and physics are made.

    Raises:
        ValueError: an argument is not allowed; the message is one line that says what is.

    >>> clips = corpus("world", seed=0, clip_s=2.56)
    >>> for audio, physics in clips.batches(4, stop=8):
    ...     print(tuple(audio.shape), tuple(physics["cutoff_hz"].shape))
    (4, 40960) (4,)
    (4, 40960) (4,)
    """
    if isinstance(synth, str):
        try:
            synth = load(COMPLETE, synth).synth
        except AudiopgError as error:
            raise ValueError(str(error)) from None
    if twins:
        synth = synth.with_identities(2)
    return Corpus(synth if clip_s is None else _with_length(synth, clip_s), seed, n_clips, device)


class ClipIndexError(IndexError, ValueError):
    """A corpus has no clip of this number."""


class Corpus(Dataset[tuple[Tensor, ClipPhysics]]):
    """Clips by number: the same number is the same clip in any batch, order, process and worker.

    A map-style data set for ``torch.utils.data.DataLoader``, which gets each batch from one call of the renderer.
    """

    def __init__(self, synth: config.Synth, seed: int, n_clips: int, device: torch.device | str) -> None:
        """Take a section, as `corpus` does.

        Raises:
            ValueError: an argument is not allowed.
        """
        _check_whole("seed", seed, 0, 2**63 - 1)
        _check_whole("n_clips", n_clips, 1, 2**53)
        try:
            torch.empty(0, device=device)
            if torch.device(device).type not in DEVICES:
                msg = f"device '{device}' cannot be used here; take {' or '.join(map(repr, DEVICES))}"
                raise ValueError(msg)  # noqa: TRY301  (torch knows devices that the renderers do not)
            self._world = World(synth, seed, device)
        except AudiopgError as error:
            raise ValueError(str(error)) from None
        except (RuntimeError, AssertionError) as error:
            msg = f"device '{device}' cannot be used here; take 'cpu' ({str(error).splitlines()[0]})"
            raise ValueError(msg) from None
        self.synth = synth
        self.seed = seed
        self.n_clips = n_clips
        self._none = self._world.score([])
        self.names = names(columns(self._none))

    @property
    def device(self) -> torch.device:
        """Where waveforms and physics are made."""
        return self._world.device

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second."""
        return self.synth.sample_rate_hz

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the classes in ``physics["source"]``."""
        return tuple(self.synth.sources)

    def __len__(self) -> int:
        """Count the clips of the corpus: the `n_clips` that it was given."""
        return self.n_clips

    def __repr__(self) -> str:
        """Write what the corpus is, in one line."""
        return (
            f"<corpus of {self.n_clips} clips of {self.synth.clip_s:g} s at {self.sample_rate_hz} Hz, "
            f"seed {self.seed}, {len(self.sources)} sources, on {self.device}>"
        )

    def __getitem__(self, index: SupportsIndex | slice) -> tuple[Tensor, ClipPhysics]:
        """Return one clip, or those of a slice.

        Returns:
            Waveform in [-1, 1], shape (T,), and its physics; of a slice, shape (B, T). float32.

        Raises:
            ValueError: the index is no whole number, or there is no such clip (also an IndexError).
        """
        if isinstance(index, slice):
            return self._play(self._numbers(index))
        audio, physics = self._play(self._numbers(index))
        return audio[0], physics.rows()[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, ClipPhysics]]:
        """Return clips, rendered together; ``DataLoader`` asks for a batch in this way."""
        audio, physics = self._play(self._numbers(indices))
        return list(zip(audio.unbind(), physics.rows(), strict=True))

    def batches(self, batch_size: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[Tensor, ClipPhysics]]:
        """Return clips start, start + 1, … in batches, to the end of the corpus; the last one can be smaller.

        Returns:
            Waveforms in [-1, 1], shape (B, T), float32, and their physics.

        Raises:
            ValueError: batch_size, start or stop is not allowed.
        """
        clips = self._clips(batch_size, start, stop)
        return (self[first : min(first + batch_size, clips.stop)] for first in clips[::batch_size])

    def stream(self, batch_size: int, start: int = 0, stop: int | None = None) -> Stream:
        """Return the same batches, shared between the workers of a ``DataLoader`` and the ranks of a training.

        Each clip comes once, from one worker of one rank: ``DataLoader(corpus.stream(32), batch_size=None)``.

        Raises:
            ValueError: as `batches`.
        """
        return Stream(self, batch_size, self._clips(batch_size, start, stop))

    def score(self, index: SupportsIndex | slice | Sequence[int]) -> ClipScore:
        """Return what a clip, or several, are made of; ``print`` shows it, and `ClipScore.edit` changes it.

        Raises:
            ValueError: as `__getitem__`.
        """
        return ClipScore.of(self._world.score(self._numbers(index)), self.seed)

    def render(self, score: Score) -> Tensor:
        """Play a score, drawn or edited.

        Returns:
            Waveforms, peak 1, one row per clip of the score: shape (B, T), float32.

        Raises:
            ValueError: a number is missing, or outside of what can be played, as an event that is not in the clip.
        """
        check(score, self._world.grid)
        return self._world.render(score)

    def physics(self, score: Score) -> ClipPhysics:
        """Return the physics of a score as tensors."""
        return clip_physics.read(score, self.device)

    def vector(self, score: Score) -> Float64:
        """Return all numbers of a score, one row per clip, in the order of `names`, shape (B, P).

        They are complete: keys of the noise and the clip's own number too. NaN where there is nothing.
        """
        return flat(columns(score))

    def from_vector(self, vector: ArrayLike) -> ClipScore:
        """Return the score of a vector, shape (P,) or (B, P); it renders to the same bits as the vector's origin.

        Raises:
            ValueError: it has another shape, or a count, class or key is no whole number.
        """
        vectors = np.atleast_2d(np.asarray(vector, dtype=np.float64))
        if vectors.ndim != 2 or vectors.shape[1] != len(self.names):  # noqa: PLR2004
            msg = (
                f"a vector of shape {np.shape(vector)}; allowed: (P,) or (B, P), P = {len(self.names)} as corpus.names"
            )
            raise ValueError(msg)
        table = from_flat(vectors, columns(self._none))
        changed = (flat(table) != vectors) & ~(np.isnan(vectors) & np.isnan(flat(table)))
        if changed.any():
            row, column = np.argwhere(changed)[0].tolist()
            msg = f"{self.names[column]}: {vectors[row, column]:.17g}; a whole number is needed, as `vector` gives"
            raise ValueError(msg)
        return ClipScore.of(from_columns(table, self._none), self.seed)

    def _play(self, numbers: Sequence[int]) -> tuple[Tensor, ClipPhysics]:
        """Make clips and their physics from one score."""
        score = self._world.score(numbers)
        return self._world.render(score), clip_physics.read(score, self.device)

    def _numbers(self, index: SupportsIndex | slice | Sequence[int]) -> Sequence[int]:
        """Turn what a user may ask for into numbers of clips.

        Raises:
            ValueError: as `__getitem__`.
        """
        every = range(self.n_clips)
        try:
            if isinstance(index, slice):
                return every[index]
            if isinstance(index, Sequence) and not isinstance(index, str):
                return [every[each] for each in index]
            return [every[operator.index(index)]]
        except IndexError:
            msg = f"index {index}: the corpus has clips 0 to {self.n_clips - 1}; a larger n_clips gives more"
            raise ClipIndexError(msg) from None
        except TypeError:
            msg = f"index {index!r}: whole numbers and slices of them are allowed, from 0 to {self.n_clips - 1}"
            raise ValueError(msg) from None

    def _clips(self, batch_size: int, start: int, stop: int | None) -> range:
        """Return the clips of a loop.

        Raises:
            ValueError: as `batches`.
        """
        stop = self.n_clips if stop is None else stop
        _check_whole("batch_size", batch_size, 1, self.n_clips)
        _check_whole("stop", stop, 0, self.n_clips)
        _check_whole("start", start, 0, stop)
        return range(start, stop)


def _with_length(synth: config.Synth, clip_s: float) -> config.Synth:
    """Return the section with another length of its clips."""
    try:
        return config.Synth.model_validate({**synth.model_dump(), "clip_s": clip_s})
    except ValidationError as error:
        events, transient = synth.events, synth.transient
        shortest_s = max(events.duration_s_min * events.count.max, transient.duration_s.max)
        msg = (
            f"clip_s: {clip_s!r} is not allowed; allowed: a number of seconds from {shortest_s:g}, for "
            f"{events.count.max:g} events of {events.duration_s_min:g} s; for shorter clips, give a section `synth` "
            "with fewer or shorter events"
        )
        raise ValueError(msg) from error


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number between two limits."""
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        msg = f"{name}: {value!r} is not allowed; allowed: a whole number from {low} to {high}"
        raise ValueError(msg)
