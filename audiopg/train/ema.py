"""The exponential moving average of a model's weights over the steps of a run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """A second set of weights that slowly follows the model's; with a decay of 0 it does nothing."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the model's weights.

        Args:
            model: whose weights are averaged.
            decay: weight of the previous average in each step, in [0, 1); 0 averages nothing.
        """
        self.decay = decay
        self.model = dict(model.named_parameters())
        self.weights = {name: weight.detach().clone() for name, weight in self.model.items()} if decay else {}

    @torch.no_grad()
    def update(self, n_updates: Tensor, taken: Tensor) -> None:
        """Move towards the weights of the model.

        The decay is smaller in the first steps, so that the weights from before training are forgotten.

        Args:
            n_updates: how often the model was updated, this time included; a scalar on the device, so that a GPU is not
                waited for.
            taken: whether it was this time; if not, nothing changes.
        Source: Polyak and Juditsky (1992); the first steps as in TensorFlow's ExponentialMovingAverage.
        """
        decay = ((1 + n_updates) / (10 + n_updates)).clamp_max(self.decay)
        weights = list(self.weights.values())
        change = torch._foreach_sub([self.model[name] for name in self.weights], weights)  # noqa: SLF001
        torch._foreach_mul_(change, (1 - decay) * taken)  # noqa: SLF001  (one launch for all weights)
        torch._foreach_add_(weights, change)  # noqa: SLF001

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Continue from saved averages."""
        for name, weight in self.weights.items():
            weight.copy_(weights[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights temporarily, as for an evaluation."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """Give the model the averaged weights for good, after its last step."""
        self._swap()
        self.weights = {}

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self.weights.items():
            kept = self.model[name].clone()
            self.model[name].copy_(weight)
            weight.copy_(kept)
