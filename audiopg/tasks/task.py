"""A task: its card, where its recordings come from, and how they are listed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest


@dataclass(frozen=True)
class Archive:
    """One file to download, and how to verify it.

    Attributes:
        url: official address.
        n_bytes: size in bytes; approximate where ``digest`` is empty.
        digest: ``md5:…`` or ``sha256:…`` of the file; empty where the host repacks the archive from time to time.
        audio_digest: `listing_digest` of the audio files in it (sha256); empty where it is not known.
        member_digests: ``md5:…`` or ``sha256:…`` of single files in it, by path.
    """

    url: str
    n_bytes: int
    digest: str = ""
    audio_digest: str = ""
    member_digests: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an archive without a digest.

        Raises:
            ValueError: there is no digest at all.
        """
        if not (self.digest or self.audio_digest or self.member_digests):
            msg = f"{self.url}: has no digest to verify it by"
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
    make_manifest: Callable[[Path], Manifest]
