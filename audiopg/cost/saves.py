"""What a training writes: states to continue from while it lasts, and weights at its end."""

import math
from dataclasses import dataclass

from audiopg import config


@dataclass(frozen=True)
class Saves:
    """The files of one training."""

    state_bytes: int
    """Of a state: weights and AdamW's two moments in float32, the averages, the best epoch's weights."""
    every_s: float
    """Time between two states, in s."""
    result_bytes: int
    """Of the weights that are kept."""

    @classmethod
    def of(
        cls, n_parameters: int, steps: config.Pretrain | config.Finetune, *, selects: bool, n_kept: int = 0
    ) -> "Saves":
        """Take the size of a model, its section of the parameters, whether it selects an epoch, and what it keeps."""
        averages = steps.optimizer.ema_decay > 0
        return cls(4 * n_parameters * (3 + averages + selects), 60 * steps.save_every_min, 4 * n_kept)

    def n_states(self, train_s: float) -> int:
        """Count the states of a training of so many seconds; none is saved when less is left than comes between two."""
        return max(0, math.floor(train_s / self.every_s) - 1)

    def written_bytes(self, train_s: float) -> int:
        """Return the bytes of all files of a training of so many seconds."""
        return self.n_states(train_s) * self.state_bytes + self.result_bytes
