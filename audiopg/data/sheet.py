"""The sheet of spectrograms of some clips."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from audiopg import config
from audiopg.arrays import Float32
from audiopg.features.logmel import mel
from audiopg.plotting import save
from audiopg.synth.score import Score

COLUMNS = 4  # spectrograms side by side
TICKS_HZ = (100, 300, 1000, 3000, 8000)
RANGE_DB = 80


def draw(
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
