"""The endless corpus as spectrograms, by index."""

from collections.abc import Sequence

import torch
from torch import Tensor

from audiopg import config
from audiopg.compute import sent
from audiopg.features.logmel import LogMel
from audiopg.synth.score import Score
from audiopg.synth.world import World

# Pre-training counts its clips from 0; the probe corpus begins where no training run reaches.
PROBE_START = 1 << 40


class SyntheticClips:
    """Log-mel spectrograms of the corpus, made on the fly."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        synth: config.Synth,
        features: config.Features,
        seed: int,
        device: torch.device,
        synth_device: torch.device | None = None,
        n_threads: int | None = None,
    ) -> None:
        """Take what the corpus is, and what makes it.

        Args:
            synth: the section ``synth``.
            features: the section ``features``.
            seed: of the corpus.
            device: where spectrograms are computed, and lie.
            synth_device: what plays the clips; None is ``device``.
            n_threads: threads of a CPU that plays; None takes torch's number.
        """
        self.world = World(synth, seed, synth_device or device, n_threads)
        self.log_mel = LogMel(features).to(device)
        self.device = device

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return the spectrograms of the clips with these indices, shape (B, F, M)."""
        return self.with_score(indices)[0]

    def with_score(self, indices: Sequence[int]) -> tuple[Tensor, Score]:
        """Return the spectrograms of the clips with these indices, shape (B, F, M), and what was played."""
        score = self.world.score(indices)
        return self.log_mel(sent(self.world.render(score), self.device)), score
