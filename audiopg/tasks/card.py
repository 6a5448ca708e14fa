"""What is known about a data set before any file is read, and where its recordings come from."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from audiopg import storage
from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    from audiopg.tasks.manifest import Manifest

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
        """Which epoch's figure is reported, as a sentence fragment that is printed beside it."""
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
            msg = f"{path}: not a task's card ({error}); delete it and run again"
            raise AudiopgError(msg) from None


@dataclass(frozen=True)
class Archive:
    """One file to download, and how to tell that it is the right one.

    Attributes:
        url: official address.
        n_bytes: size in bytes; about right where ``digest`` is empty.
        digest: ``md5:…`` or ``sha256:…`` of the file; empty where the host packs the archive anew now and then.
        audio_digest: `listing_digest` of the audio files in it (sha256); empty where it is not known.
        member_digests: ``md5:…`` or ``sha256:…`` of single files in it, by path.
    """

    url: str
    n_bytes: int
    digest: str = ""
    audio_digest: str = ""
    member_digests: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an archive that nothing would verify.

        Raises:
            ValueError: there is no digest at all.
        """
        if not (self.digest or self.audio_digest or self.member_digests):
            msg = f"{self.url}: has nothing to verify it by"
            raise ValueError(msg)


@dataclass(frozen=True)
class Download:
    """Archives that together hold a data set. Files ``x.z01``, ``x.z02`` … and ``x.zip`` are volumes of one.

    Attributes:
        archives: what to download.
        n_bytes: size of the unpacked files in bytes, about.
        hours: duration of all recordings in hours, about.
        top_folder: whether each archive has one top folder around everything, which is left out.
    """

    archives: tuple[Archive, ...]
    n_bytes: int
    hours: float
    top_folder: bool = False


@dataclass(frozen=True)
class Task:
    """A card, where the recordings come from, and how they are listed.

    Attributes:
        card: the published facts.
        source: archives to download; or a function that returns the folder with the audio for a data directory, and
            first renders what is missing there.
        make_manifest: lists the audio under the folder with the unpacked archives, or the one that ``source`` returned;
            `Manifest.check` compares it with the card.
    """

    card: Card
    source: Download | Callable[[Path], Path]
    make_manifest: Callable[[Path], "Manifest"]
