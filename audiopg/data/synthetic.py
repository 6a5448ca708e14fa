"""The endless corpus as spectrograms, by index."""

from collections.abc import Sequence

import torch
from torch import Tensor

from audiopg import config
from audiopg.features.logmel import LogMel
from audiopg.synth.score import Score
from audiopg.synth.world import World

# Pre-training counts its clips from 0; the probe corpus begins where no training run reaches.
PROBE_START = 1 << 40


class SyntheticClips:
    """Log-mel spectrograms of the corpus, made on the fly on one device."""

    def __init__(self, synth: config.Synth, features: config.Features, seed: int, device: torch.device) -> None:
        """Take the ``synth`` and ``features`` sections and the corpus seed."""
        self.world = World(synth, seed, device)
        self.log_mel = LogMel(features).to(device)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return the spectrograms of the clips with these indices, shape (B, F, M)."""
        return self.with_score(indices)[0]

    def with_score(self, indices: Sequence[int]) -> tuple[Tensor, Score]:
        """Return the spectrograms of the clips with these indices, shape (B, F, M), and what was played."""
        score = self.world.score(indices)
        return self.log_mel(self.world.render(score)), score
