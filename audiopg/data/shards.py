"""Shards of a large corpus: which clips each holds, and the manifest of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from audiopg import storage
from audiopg.errors import AudiopgError
from audiopg.registry import suggestion

CLIPS_PER_SHARD = 1000
MANIFEST = "SHA256SUMS"
SHARED = ("params", "corpus", "code", "machine", "versions")  # what the run cards of all shards have in common


@dataclass(frozen=True)
class Plan:
    """A corpus in shards: ``clips-<number>.tar`` in the folder ``out``, its clips numbered from 0."""

    clips: int = 100_000
    clips_per_shard: int = CLIPS_PER_SHARD
    out: str = "corpus"

    @property
    def names(self) -> list[str]:
        """Names of the shards, without suffix."""
        return [name(number) for number in range(-(-self.clips // self.clips_per_shard))]

    def index(self, shard: str) -> str:
        """Return the clips of a shard as ``audiopg render --index`` takes them."""
        first = int(shard.removeprefix("clips-")) * self.clips_per_shard
        return f"{first}:{min(first + self.clips_per_shard, self.clips)}"


def plan(settings: Mapping[str, Any]) -> Plan:
    """Read what ``snakemake --config`` was given.

    Raises:
        AudiopgError: an unknown name, or a number that is not whole and above 0.
    """
    known = list(Plan.__dataclass_fields__)
    for key, value in settings.items():
        if key not in known:
            msg = f"--config: unknown name '{key}'{suggestion(key, known)}"
            raise AudiopgError(msg)
        if key != "out" and not (type(value) is int and value > 0):
            msg = f"--config {key}: a whole number above 0 is needed, found '{value}'"
            raise AudiopgError(msg)
    return Plan(**settings)


def name(number: int) -> str:
    """Return the name of a shard, without suffix."""
    return f"clips-{number:06d}"


def split(indices: Sequence[int], clips_per_shard: int) -> Iterator[tuple[str, list[int]]]:
    """Yield the shards that clips belong to, and their clips: number n has clip n · clips_per_shard and on."""
    for number, clips in groupby(sorted(indices), lambda index: index // clips_per_shard):
        yield name(number), list(clips)


def run(folder: Path, n_clips: int) -> None:
    """Write the manifest, ``SHA256SUMS``: the digest of each shard, from its run card.

    Args:
        folder: the shards with their run cards.
        n_clips: clips that the corpus has.

    Raises:
        AudiopgError: a run card is missing, two disagree, or the shards do not hold all clips from 0 to n_clips - 1.
    """
    lines: list[str] = []
    first: dict[str, Any] = {}
    expected = 0
    for shard in sorted(folder.glob("clips-*.tar")):
        card = storage.read_json(shard.with_suffix(".json"))
        first = first or card
        differs = [key for key in SHARED if card.get(key) != first.get(key)]
        if differs:
            msg = f"{shard}: made with other {differs[0]} than the first shard; delete one of them and make it again"
            raise AudiopgError(msg)
        if card["indices"] != list(range(expected, expected + len(card["indices"]))):
            msg = f"{shard}: expected clips from {expected} on, found {card['indices'][0]}; a shard between is missing"
            raise AudiopgError(msg)
        expected += len(card["indices"])
        digests = {Path(file).name: digest for file, digest in card["outputs"].items()}  # wherever it was made
        lines.append(f"{digests[shard.name]}  {shard.name}\n")
    if expected != n_clips:
        msg = (
            f"{folder}: expected {n_clips} clips in the shards, found {expected}; delete what is not part of the corpus"
        )
        raise AudiopgError(msg)
    storage.write_text(folder / MANIFEST, "".join(lines))
