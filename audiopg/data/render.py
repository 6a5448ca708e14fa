"""The command that renders a corpus to hear and see: clips as FLAC, their physics as tables, spectrograms."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from matplotlib.figure import Figure

from audiopg import config, storage
from audiopg.arrays import Float32
from audiopg.errors import AudiopgError
from audiopg.features.logmel import LogMel, mel
from audiopg.plotting import save
from audiopg.progress import say
from audiopg.provenance import run_cards
from audiopg.synth.score import CORPUS, Score
from audiopg.synth.tables import tables
from audiopg.synth.world import World

COLUMNS = 4  # spectrograms side by side
MAX_ON_SHEET = 64
TICKS_HZ = (100, 300, 1000, 3000, 8000)
RANGE_DB = 80


def run(
    synth: config.Synth, features: config.Features, seed: int, indices: Sequence[int], out: Path, sheet: Path
) -> None:
    """Render some clips.

    Args:
        synth: what the corpus sounds like.
        features: spectrograms of the sheet.
        seed: names the corpus.
        indices: numbers of the clips.
        out: folder for ``<index>.flac`` (24 bit), ``clips.csv``, ``voices.csv``, ``events.csv``, and ``run.json``, the
            run card, from which all of it can be made again.
        sheet: picture (PNG) of the spectrograms of at most the first 64 clips.

    Raises:
        AudiopgError: the section is wrong, the folder cannot be written, or other files would be replaced.
    """
    _check_places(out, sheet)
    world, log_mel = World(synth, seed), LogMel(features)
    score = world.score(indices)
    shown, made = [], []
    for row, index in enumerate(indices):
        waveform = world.render(score.rows(slice(row, row + 1)))
        made.append(out / f"{index:06d}.flac")
        with storage.replacing(made[-1]) as temporary:
            soundfile.write(temporary, waveform[0].numpy(), synth.sample_rate_hz, "PCM_24", format="FLAC")
        if row < MAX_ON_SHEET:
            shown.append(log_mel(waveform)[0])
    for name, table in tables(score, seed).items():
        made.append(out / f"{name}.csv")
        storage.write_text(made[-1], table.to_csv(index=False))
    _sheet(torch.stack(shown).numpy(), score, synth, features, sheet)
    run_cards.write_card(
        out / "run.json",
        "render",
        {"seed": seed, "synth": synth.model_dump(mode="json"), "features": features.model_dump(mode="json")},
        [],
        [*made, sheet],
        corpus=CORPUS,
        indices=list(indices),
    )
    say(
        f"{out}: clips {indices[0]} to {indices[-1]} of {synth.clip_s:g} s, clips.csv, voices.csv, events.csv, "
        f"run.json; spectrograms: {sheet}"
    )


def _check_places(out: Path, sheet: Path) -> None:
    """Refuse to replace the run card of another stage, or a file that is no picture."""
    if sheet.suffix != ".png":
        msg = f"--sheet: a name that ends in .png is needed, found '{sheet}'"
        raise AudiopgError(msg)
    card = out / "run.json"
    if card.exists() and storage.read_json(card).get("stage") != "render":
        msg = f"{card}: would be replaced, and `audiopg render` did not write it; choose another folder for --out"
        raise AudiopgError(msg)


def _sheet(
    spectrograms: Float32,
    score: Score,
    synth: config.Synth,
    features: config.Features,
    path: Path,
) -> None:
    """Draw the spectrograms, a panel per clip with the names of its sources, 80 dB from the strongest bin down."""
    n_rows = math.ceil(len(spectrograms) / COLUMNS)
    n_columns = min(COLUMNS, len(spectrograms))
    figure = Figure(figsize=(3.6 * n_columns, 2.3 * n_rows + 0.6), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    low, high = mel(np.array([features.f_min_hz, features.f_max_hz], dtype=np.float64))
    decibels = spectrograms * (2 * features.norm_std) * 10 / math.log(10)
    for row, panel in enumerate(panels.flat):
        if row >= len(spectrograms):
            panel.set_axis_off()
            continue
        image = panel.imshow(
            decibels[row].T - decibels[row].max(),
            origin="lower",
            aspect="auto",
            extent=(0, synth.clip_s, low, high),
            vmin=-RANGE_DB,
            vmax=0,
            cmap="magma",
            interpolation="nearest",
        )
        names = [score.sources[voice.source[row]] for voice in score.voices if voice.source[row] >= 0]
        room = "" if np.isnan(score.room_size_m[row]) else ", room"
        panel.set_title(f"{score.index[row]}: {' + '.join(names)}{room}", fontsize=8)
        ticks_hz = np.array([f_hz for f_hz in TICKS_HZ if f_hz <= features.f_max_hz], dtype=np.float64)
        panel.locator_params("x", nbins=4)  # so that neighbours' labels do not touch
        panel.set_yticks(mel(ticks_hz), [f"{f_hz:g}" for f_hz in ticks_hz])
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("frequency (Hz, mel scale)", fontsize=9)
    figure.colorbar(image, ax=panels, label="level below the strongest bin (dB)", shrink=min(1.0, 2 / n_rows))
    save(figure, path)
