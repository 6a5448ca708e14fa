"""What is known about a data set before any file is read."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from audiopg import storage
from audiopg.errors import AudiopgError

SELECTION = {
    "folds": "last epoch, fixed number of epochs",
    "split": "best epoch on the validation split",
}


@dataclass(frozen=True)
class Card:
    """Published facts about a data set.

    Attributes:
        name: key in ``params.yaml`` and in the registry.
        title: name in tables.
        licence: licence of the audio.
        citation: whom to cite.
        url: page of the source.
        protocol: ``folds`` for cross-validation, ``split`` for one division into train, val and test.
        sizes: number of clips in each fold, or in train, val and test.
        n_classes: number of classes.
        metric: the figure that is reported first; ``mAP`` means that a clip may have several labels.
        paper: the figure that AudioPG published, as a fraction; None where it has no such task.
        paper_selection: by which rule AudioPG selected that figure, as far as its released code shows.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    protocol: Literal["folds", "split"]
    sizes: tuple[int, ...]
    n_classes: int
    metric: Literal["accuracy", "mAP"]
    paper: float | None = None
    paper_selection: str | None = None

    @property
    def n_clips(self) -> int:
        """Number of clips."""
        return sum(self.sizes)

    @property
    def n_folds(self) -> int:
        """Number of runs whose results are averaged: the folds, or 1 for a split."""
        return len(self.sizes) if self.protocol == "folds" else 1

    @property
    def multi_label(self) -> bool:
        """Whether a clip may have several labels."""
        return self.metric == "mAP"

    @property
    def selection(self) -> str:
        """Which epoch's figure is reported, as a sentence fragment that is printed next to it."""
        return SELECTION[self.protocol]

    def write(self, path: Path) -> None:
        """Write the card as JSON."""
        storage.write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Read a card.

        Raises:
            AudiopgError: the file is missing or is not a card.
        """
        fields = storage.read_json(path)
        try:
            return cls(**{**fields, "sizes": tuple(fields["sizes"])})
        except (TypeError, KeyError) as error:
            msg = f"{path}: not a task's card ({error}); if it is the workflow's, delete it and run again"
            raise AudiopgError(msg) from None
