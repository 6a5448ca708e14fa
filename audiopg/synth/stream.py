"""Batches of a corpus, shared between workers and ranks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, distributed
from torch.utils.data import IterableDataset, get_worker_info

from audiopg.synth.clip_physics import ClipPhysics

if TYPE_CHECKING:
    from audiopg.synth.corpus import Corpus


class Stream(IterableDataset[tuple[Tensor, ClipPhysics]]):
    """Batches of consecutive clips. Of R ranks, rank r gets batches r, r + R, … in this order, with any n_workers.

    Give ``batch_size=None`` to the ``DataLoader``: these are batches already.
    """

    def __init__(self, corpus: "Corpus", batch_size: int, clips: range) -> None:
        """Take the clips to stream, which the corpus has."""
        self.corpus = corpus
        self.batch_size = batch_size
        self.clips = clips
        self._share: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Count the batches of this rank; ranks can differ by one."""
        return len(self._own_batches())

    def __iter__(self) -> Iterator[tuple[Tensor, ClipPhysics]]:
        """Make the batches of this rank, of which each worker makes its part."""
        own = self._own_batches()
        worker = get_worker_info()
        for first in own if worker is None else own[worker.id :: worker.num_workers]:
            yield self.corpus[first : min(first + self.batch_size, self.clips.stop)]

    def __getstate__(self) -> dict[str, Any]:
        """Write down the rank: a worker that is started afresh belongs to it, but is not in its process group."""
        return {**vars(self), "_share": self._rank_and_world_size()}

    def _own_batches(self) -> range:
        """Return the first clip of each batch of this rank."""
        rank, world_size = self._rank_and_world_size()
        return self.clips[:: self.batch_size][rank::world_size]

    def _rank_and_world_size(self) -> tuple[int, int]:
        if self._share is not None:
            return self._share
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return 0, 1
