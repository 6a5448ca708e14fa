"""The command that renders clips of a corpus with their physics, for people and for other programs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from audiopg import config
from audiopg.data import formats
from audiopg.data.shards import CLIPS_PER_SHARD, split
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.progress import say
from audiopg.provenance import run_cards
from audiopg.synth.score import CORPUS
from audiopg.synth.world import World

MAX_ON_SHEET = 64


def run(
    synth: config.Synth,
    features: config.Features,
    seed: int,
    indices: Sequence[int],
    out: Path,
    picture: Path | None,
    form: str = "folder",
    clips_per_shard: int = CLIPS_PER_SHARD,
) -> None:
    """Render some clips, a few in memory at a time.

    Args:
        synth: what the corpus sounds like.
        features: spectrograms of the sheet.
        seed: names the corpus.
        indices: numbers of the clips.
        out: folder to write, with a run card from which all of it can be made again.
        picture: sheet (PNG) of the spectrograms of at most the first 64 clips, if any.
        form: ``folder``: ``<index>.flac`` (24 bit), ``clips.csv``, ``voices.csv``, ``events.csv``, ``run.json``;
            ``audiofolder``: ``<index>.flac``, ``metadata.jsonl``, ``run.json``, for ``datasets.load_dataset``;
            ``webdataset``: ``clips-<shard>.tar``, each with a run card ``clips-<shard>.json``.
        clips_per_shard: clip i is in shard ``i // clips_per_shard``, whichever clips are rendered together.

    Raises:
        AudiopgError: the section is wrong, the folder cannot be written, or other files would be replaced.
    """
    world = World(synth, seed)
    if form == "webdataset":
        parts = {out / f"{shard}.json": clips for shard, clips in split(indices, clips_per_shard)}
    else:
        parts = {out / "run.json": list(indices)}
    _check_places(list(parts), picture)
    if picture is not None:
        _draw_sheet(world, features, indices[:MAX_ON_SHEET], picture)
    for card, clips in parts.items():
        if form == "webdataset":
            made = [card.with_suffix(".tar")]
            formats.write_shard(world, clips, made[0])
        else:
            made = {"folder": formats.write_folder, "audiofolder": formats.write_audiofolder}[form](world, clips, out)
        run_cards.write_card(
            card,
            "render",
            {"seed": seed, "synth": synth.model_dump(mode="json"), "features": features.model_dump(mode="json")},
            [],
            made if picture is None else [*made, picture],
            corpus=CORPUS,
            format=form,
            indices=clips,
        )
    say(
        f"{out}: clips {indices[0]} to {indices[-1]} of {synth.clip_s:g} s, format {form}"
        + (f"; spectrograms: {picture}" if picture else "")
    )


def _check_places(cards: Sequence[Path], picture: Path | None) -> None:
    """Refuse to replace the run card of another stage, or a file that is no picture."""
    if picture is not None and picture.suffix != ".png":
        msg = f"--sheet: a name that ends in .png is needed, found '{picture}'"
        raise AudiopgError(msg)
    for card in cards:
        run_cards.check_place(card, "render")


def _draw_sheet(world: World, features: config.Features, indices: Sequence[int], path: Path) -> None:
    """Draw the spectrograms of some clips."""
    from audiopg.data import sheet  # noqa: PLC0415  (needs the extra `workflow`)

    log_mel = LogMel(features)
    spectrograms = torch.cat([log_mel(waveforms) for _, waveforms in formats.blocks(world, indices)])
    sheet.draw(spectrograms.numpy(), world.score(indices), features, path)
