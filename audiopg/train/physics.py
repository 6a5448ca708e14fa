"""An objective of pre-training: predict the physics of a clip from the encoder's tokens."""

import torch
from torch import Tensor
from torch.nn import functional

from audiopg.synth.physics import Physics


class PhysicsLoss:
    """Loss of the head: about 1 if it knows only the distributions of the physics, 0 if it knows the clips.

    Squared error of standardised numbers, cross-entropy of classes over the entropy of their choice: each target has
    a loss of 1 before training, so that all weigh the same. A target that a clip does not have is left out.
    The sum over the clips that have a target is divided by all clips times the share that has it in the corpus, not
    by the number of clips of this batch that have it: so parts of a batch add up to the whole, whichever clips they
    hold. Rare targets contribute rarely, but with a large weight.
    """

    def __init__(self, physics: Physics, device: torch.device) -> None:
        """Take the targets, and the device that the loss is computed on."""
        self.n_numbers = len(physics.numbers)
        self.n_classes = [label.n_classes for label in physics.labels.values()]
        weights = [1 / number.presence for number in physics.numbers.values()]
        weights += [1 / label.entropy for label in physics.labels.values()]
        self.weights = torch.tensor(weights, device=device)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over clips and targets, a scalar.

        Args:
            outputs: of the head, shape (B, `Physics.n_outputs`).
            targets: as `Physics.targets`, shape (B, numbers + labels), NaN where a clip has no such target.
        """
        known, values = ~targets.isnan(), targets.nan_to_num()
        numbers, *labels = torch.split(outputs, [self.n_numbers, *self.n_classes], dim=1)
        errors = [(numbers - values[:, : self.n_numbers]).square()]
        for logits, classes in zip(labels, values[:, self.n_numbers :].T, strict=True):
            errors.append(functional.cross_entropy(logits, classes.long(), reduction="none")[:, None])
        return (torch.cat(errors, dim=1) * known * self.weights).mean()
