"""The command that renders a corpus to hear and see: clips as FLAC, their physics as tables, spectrograms if asked."""

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from audiopg import config, storage
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel
from audiopg.progress import say
from audiopg.provenance import run_cards
from audiopg.synth.score import CORPUS
from audiopg.synth.tables import tables
from audiopg.synth.world import World

MAX_ON_SHEET = 64


def run(
    synth: config.Synth, features: config.Features, seed: int, indices: Sequence[int], out: Path, sheet: Path | None
) -> None:
    """Render some clips.

    Args:
        synth: what the corpus sounds like.
        features: spectrograms of the sheet.
        seed: names the corpus.
        indices: numbers of the clips.
        out: folder for ``<index>.flac`` (24 bit), ``clips.csv``, ``voices.csv``, ``events.csv``, and ``run.json``, the
            run card, from which all of it can be made again.
        sheet: picture (PNG) of the spectrograms of at most the first 64 clips, if one is asked for.

    Raises:
        AudiopgError: the section is wrong, the folder cannot be written, or other files would be replaced.
    """
    _check_places(out, sheet)
    if sheet is not None:
        from audiopg.data.sheet import draw  # noqa: PLC0415  (needs the extra `workflow`)

    world, log_mel = World(synth, seed), LogMel(features)
    score = world.score(indices)
    shown, made = [], []
    for row, index in enumerate(indices):
        waveform = world.render(score.rows(slice(row, row + 1)))
        made.append(out / f"{index:06d}.flac")
        with storage.replacing(made[-1]) as temporary:
            soundfile.write(temporary, waveform[0].numpy(), synth.sample_rate_hz, "PCM_24", format="FLAC")
        if sheet is not None and row < MAX_ON_SHEET:
            shown.append(log_mel(waveform)[0])
    for name, table in tables(score, seed).items():
        made.append(out / f"{name}.csv")
        storage.write_text(made[-1], table.to_csv(index=False))
    if sheet is not None:
        draw(torch.stack(shown).numpy(), score, synth, features, sheet)
        made.append(sheet)
    run_cards.write_card(
        out / "run.json",
        "render",
        {"seed": seed, "synth": synth.model_dump(mode="json"), "features": features.model_dump(mode="json")},
        [],
        made,
        corpus=CORPUS,
        indices=list(indices),
    )
    say(
        f"{out}: clips {indices[0]} to {indices[-1]} of {synth.clip_s:g} s, clips.csv, voices.csv, events.csv, run.json"
        + (f"; spectrograms: {sheet}" if sheet is not None else "")
    )


def _check_places(out: Path, sheet: Path | None) -> None:
    """Refuse to replace the run card of another stage, or a file that is no picture."""
    if sheet is not None and sheet.suffix != ".png":
        msg = f"--sheet: a name that ends in .png is needed, found '{sheet}'"
        raise AudiopgError(msg)
    card = out / "run.json"
    if card.exists() and storage.read_json(card).get("stage") != "render":
        msg = f"{card}: would be replaced, and `audiopg render` did not write it; choose another folder for --out"
        raise AudiopgError(msg)
