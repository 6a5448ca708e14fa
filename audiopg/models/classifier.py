"""The classifier that is fine-tuned: an encoder and one linear layer."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiopg.models.vit import Encoder

if TYPE_CHECKING:
    from audiopg import config


class Classifier(nn.Module):
    """Mean of the encoder's tokens, then a linear layer."""

    def __init__(self, encoder: "config.Encoder", n_classes: int) -> None:
        """Build from the ``encoder`` section and the number of classes C."""
        super().__init__()
        self.encoder = Encoder(encoder)
        self.head = nn.Linear(self.encoder.size.width, n_classes)

    def forward(self, spectrogram: Tensor, keep: Tensor | None = None) -> Tensor:
        """Return logits, shape (B, C), of normalised log-mel spectrograms, shape (B, F, M).

        ``keep`` holds the drop-path factors, shape (depth, 2, B); None drops nothing.
        """
        logits: Tensor = self.head(self.encoder(spectrogram, keep=keep).mean(dim=1))
        return logits
