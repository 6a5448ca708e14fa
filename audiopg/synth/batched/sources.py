"""Waveforms of the sources that some events play."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.arrays import Int64
from audiopg.compute import sent
from audiopg.synth.batched.filtering import run_filter
from audiopg.synth.batched.noise import white_noise
from audiopg.synth.batched.oscillators import STEPS, harmonics, n_lanes, sinusoids
from audiopg.synth.playlist import EXCITATION, LINES, TONE, Events, Playlist
from audiopg.synth.sources.primitive import KNOT

# Rows are made so many at a time that no tensor has more numbers of 4 bytes: few fit into the cache of a CPU, and a GPU
# takes all that its memory can hold without asking.
NUMBERS = {"cpu": 1 << 20, "cuda": 1 << 26}
LINE, FILTERED = 2, 4  # numbers of 4 bytes for each sample


class Sources:
    """Player of the tables of sources, on a device."""

    def __init__(self, playlist: Playlist, device: torch.device) -> None:
        """Take a playlist, and what plays it."""
        self.playlist = playlist
        self.device = device
        self.samples = torch.arange(playlist.n_samples, dtype=torch.int32, device=device)

    def _sent(self, column: NDArray[Any]) -> Tensor:
        return sent(torch.from_numpy(column), self.device)

    def of(self, events: Events) -> tuple[Tensor, Int64]:
        """Return the sources that events play, shape (R, T), float32, and the row of each event in them."""
        table, n_samples = self.playlist, self.playlist.n_samples
        row = np.zeros(len(events.row), dtype=np.int64)
        parts = [torch.zeros(0, n_samples, device=self.device)]
        n_rows = 0
        players = {LINES: self._lines, TONE: self._tones, EXCITATION: self._excitations}
        widths = {LINES: LINE, TONE: n_lanes(table.tones.amplitude.shape[2], self.device), EXCITATION: FILTERED}
        for kind, play in players.items():
            of_kind = events.kind == kind
            rows, place = np.unique(events.row[of_kind], return_inverse=True)
            row[of_kind] = n_rows + place
            n_rows += len(rows)
            step = max(NUMBERS[self.device.type] // (n_samples * widths[kind]), 1)
            parts += [play(rows[first : first + step]) for first in range(0, len(rows), step)]
        return torch.cat(parts), row

    def _lines(self, rows: Int64) -> Tensor:
        table = self.playlist.lines
        row, column, entry = _entries(table.first, rows)
        padded = np.zeros((4, len(rows), column.max(initial=0) + 1))
        padded[:, row, column] = np.stack([table.frequency, table.amplitude, table.phase, table.decay])[:, entry]
        frequency, amplitude, phase, decay = self._sent(padded).unbind()
        return sinusoids(frequency, amplitude, phase, decay, self.playlist.n_samples).float()

    def _tones(self, rows: Int64) -> Tensor:
        table = self.playlist.tones
        frequency, phase = self._sent(np.stack([table.frequency[rows], table.phase[rows]])).unbind()
        step = torch.arange(KNOT, dtype=torch.float64, device=self.device)
        bend = (frequency[:, 1:] - frequency[:, :-1])[..., None] / (2 * KNOT)
        cycles = phase[:, :-1, None] + (frequency[:, :-1, None] + bend * step) * step
        n_partials = int(table.n_partials[rows].max())
        missing = n_lanes(n_partials, self.device) * STEPS - n_partials
        amplitude = np.pad(table.amplitude[rows, :, :n_partials], ((0, 0), (0, 0), (0, missing)))
        return harmonics(cycles, self._sent(amplitude)).flatten(1)[:, : self.playlist.n_samples]

    def _excitations(self, rows: Int64) -> Tensor:
        table, n_samples = self.playlist.excitations, self.playlist.n_samples
        noise = white_noise(self._sent(table.key[rows])[:, None], self.samples)
        excitation = noise * self._sent(table.noise_amplitude[rows].astype(np.float32))[:, None]
        row, _, entry = _entries(table.first, rows)
        # added up here, so that each sample of the device is written once
        places, impulse = np.unique(row * n_samples + table.impulse[entry], return_inverse=True)
        amplitude = np.bincount(impulse, table.impulse_amplitude[entry], len(places)).astype(np.float32)
        excitation.view(-1).index_add_(0, self._sent(places), self._sent(amplitude))
        filtered = run_filter(excitation, table.direct[rows], table.pole[rows], table.residue[rows])
        return filtered * self._at_samples(self._sent(table.level[rows]))

    def _at_samples(self, knots: Tensor) -> Tensor:
        """Draw straight lines through values at the knots, shape (R, K) to (R, T)."""
        between = torch.arange(KNOT, device=knots.device) / KNOT
        return torch.lerp(knots[:, :-1, None], knots[:, 1:, None], between).flatten(1)[:, : self.playlist.n_samples]


def _entries(first: Int64, rows: Int64) -> tuple[Int64, Int64, Int64]:
    """List the entries of some rows in a table in which row r has those from first[r] to first[r + 1].

    Returns:
        For each entry, the place of its row among these rows, its place in the row, and its place in the table.
    """
    n = first[rows + 1] - first[rows]
    row = np.repeat(np.arange(len(rows)), n)
    column = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    return row, column, first[rows][row] + column
