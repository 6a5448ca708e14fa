"""What is known about a data set before any file is read, and the two functions that bring its files in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from audiopg.tasks.manifest import Manifest


@dataclass(frozen=True)
class Card:
    """Published facts about a data set.

    Attributes:
        name: key in ``params.yaml`` and in the registry.
        title: name in tables.
        licence: licence of the audio.
        citation: whom to cite.
        url: page of the source.
        n_clips: number of clips.
        class_names: the classes in alphabetical order, which is the order of their indices.
        n_folds: number of cross-validation folds.
        metric: what is reported.
        selection: which epoch's number is reported, a sentence fragment that is printed beside it.
        paper: the figure that AudioPG published, as a fraction; None where it has no such task.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    n_clips: int
    class_names: tuple[str, ...]
    n_folds: int
    metric: Literal["accuracy", "mAP"]
    selection: str
    paper: float | None = None

    def __post_init__(self) -> None:
        """Hold the class names in the order in which a manifest numbers them.

        Raises:
            ValueError: the names are not sorted, or one occurs twice.
        """
        if list(self.class_names) != sorted(set(self.class_names)):
            msg = f"{self.name}: class_names must be sorted, without repetition"
            raise ValueError(msg)


@dataclass(frozen=True)
class Task:
    """A card with the functions that produce its audio and its manifest.

    Attributes:
        card: the published facts.
        locate: returns the folder with the audio for a data directory, and first fetches or renders what is missing.
        make_manifest: lists the audio under the folder that ``locate`` returned; `Manifest.check` compares it with
            the card.
    """

    card: Card
    locate: Callable[[Path], Path]
    make_manifest: Callable[[Path], "Manifest"]
