"""The renderer for any device: plays a playlist in batches of torch tensors."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.arrays import Float64, Int64
from audiopg.synth.batched.envelopes import adsr
from audiopg.synth.batched.filtering import run_filter
from audiopg.synth.batched.noise import white_noise
from audiopg.synth.batched.oscillators import sinusoids
from audiopg.synth.batched.reverberation import late_tail
from audiopg.synth.filters import BROWN, PINK
from audiopg.synth.playlist import EXCITATION, LINES, TONE, Playlist
from audiopg.synth.room import Room
from audiopg.synth.sources.primitive import KNOT

# Sources are rendered a few at a time, which bounds the memory.
ROWS = 64


def render(playlist: Playlist, device: torch.device) -> Tensor:
    """Play a playlist.

    Returns:
        Waveforms with a peak of 1, shape (B, T), float32, on the device.
    """
    player = _Player(playlist, device)
    mix = player.events()
    player.add_transients(mix)
    player.add_rooms(mix)
    player.filter(mix)
    player.add_noise_floor(mix)
    peak = mix.abs().amax(dim=1, keepdim=True)
    return mix / torch.where(peak > 0, peak, 1)


class _Player:
    def __init__(self, playlist: Playlist, device: torch.device) -> None:
        self.playlist = playlist
        self.device = device
        self.samples = torch.arange(playlist.n_samples, dtype=torch.int32, device=device)

    def tensor(self, column: NDArray[np.generic]) -> Tensor:
        """Put a column of the playlist on the device."""
        return torch.from_numpy(column).to(self.device)

    def events(self) -> Tensor:
        """Sum of all events, shape (B, T)."""
        events = self.playlist.events
        mix = torch.zeros(self.playlist.n_clips, self.playlist.n_samples, device=self.device)
        players = {LINES: self._lines, TONE: self._tones, EXCITATION: self._excitations}
        for kind, player in players.items():
            of_kind = np.flatnonzero(events.kind == kind)
            n_rows = int(events.row[of_kind].max(initial=-1)) + 1
            for first in range(0, n_rows, ROWS):
                rows = slice(first, min(first + ROWS, n_rows))
                sources = player(rows)
                for event in of_kind[(events.row[of_kind] >= rows.start) & (events.row[of_kind] < rows.stop)].tolist():
                    self._add_event(mix, sources[events.row[event] - first], event)
        return mix

    def _add_event(self, mix: Tensor, source: Tensor, event: int) -> None:
        events = self.playlist.events
        onset, start, n = (int(x[event]) for x in (events.onset, events.start, events.length))
        envelope = adsr(
            self.samples[:n].float(),
            attack=float(events.attack[event]),
            decay=float(events.decay[event]),
            sustain=float(events.sustain[event]),
            release=float(events.release[event]),
            duration=float(n),
        )
        mix[events.clip[event], onset : onset + n] += (
            envelope * float(events.amplitude[event]) * source[start : start + n]
        )

    def _lines(self, rows: slice) -> Tensor:
        table = self.playlist.lines
        first = table.first[rows.start : rows.stop + 1]
        n_lines = np.diff(first)
        exists = np.arange(n_lines.max(initial=0)) < n_lines[:, None]

        def padded(column: Float64) -> Tensor:
            out = np.zeros(exists.shape)
            out[exists] = column[first[0] : first[-1]]
            return self.tensor(out)

        frequency, amplitude, phase, decay = (
            padded(x) for x in (table.frequency, table.amplitude, table.phase, table.decay)
        )
        return sinusoids(frequency, amplitude, phase, decay, self.playlist.n_samples).float()

    def _at_samples(self, knots: Tensor) -> Tensor:
        """Draw straight lines through values at the knots, shape (..., K) to (..., T)."""
        step = torch.arange(KNOT, device=self.device) / KNOT
        first, last = knots[..., :-1, None], knots[..., 1:, None]
        return (first + (last - first) * step).flatten(-2)[..., : self.playlist.n_samples]

    def _tones(self, rows: slice) -> Tensor:
        table = self.playlist.tones
        frequency, phase = self.tensor(table.frequency[rows]), self.tensor(table.phase[rows])
        step = torch.arange(KNOT, dtype=torch.float64, device=self.device)
        bend = (frequency[:, 1:] - frequency[:, :-1])[..., None] / (2 * KNOT)
        cycles = phase[:, :-1, None] + (frequency[:, :-1, None] + bend * step) * step
        cycles = cycles.flatten(1)[:, : self.playlist.n_samples]
        total = torch.zeros(cycles.shape, device=self.device)
        for partial in range(table.n_partials[rows].max(initial=0)):
            amplitude = self._at_samples(self.tensor(table.amplitude[rows, :, partial]))
            turns = cycles * (partial + 1)
            total += amplitude * (math.tau * (turns - turns.floor())).float().sin()
        return total

    def _excitations(self, rows: slice) -> Tensor:
        table = self.playlist.excitations
        noise = white_noise(self.tensor(table.key[rows])[:, None], self.samples)
        excitation = noise * self.tensor(table.noise_amplitude[rows]).float()[:, None]
        first = table.first[rows.start : rows.stop + 1]
        impulses = slice(first[0], first[-1])
        row = np.repeat(np.arange(len(first) - 1), np.diff(first))
        places = (self.tensor(row), self.tensor(table.impulse[impulses]))
        excitation.index_put_(places, self.tensor(table.impulse_amplitude[impulses]).float(), accumulate=True)
        filtered = run_filter(
            excitation, self.tensor(table.direct[rows]), self.tensor(table.pole[rows]), self.tensor(table.residue[rows])
        )
        return filtered * self._at_samples(self.tensor(table.level[rows]))

    def _coloured_noise(self, keys: NDArray[np.int32], colours: Int64, n_samples: int) -> Tensor:
        noise = white_noise(self.tensor(keys)[:, None], self.samples[:n_samples])
        table = self.playlist.colours
        for colour in (PINK, BROWN):
            rows = np.flatnonzero(colours == colour)
            if len(rows):
                sections = (x[colour - 1 : colour].repeat(len(rows), axis=0) for x in table)
                noise[rows] = run_filter(noise[rows], *(self.tensor(section) for section in sections))
        return noise

    def add_transients(self, mix: Tensor) -> None:
        """Add the bursts of noise, in place."""
        # Differs from the paper: placed in the clip; there it is added to the source before the events are cut, so
        # that most bursts are cut away or hidden in an event.
        finish = self.playlist.finish
        longest = int(finish.transient_length.max(initial=0))
        bursts = self._coloured_noise(finish.transient_key, finish.transient_colour, longest)
        for clip in np.flatnonzero(finish.transient_length).tolist():
            onset, n = int(finish.transient_onset[clip]), int(finish.transient_length[clip])
            mix[clip, onset : onset + n] += bursts[clip, :n] * float(finish.transient_gain[clip])

    def add_rooms(self, mix: Tensor) -> None:
        """Add reflections and the tail of a feedback delay network to the clips that have a room, in place."""
        clips = np.flatnonzero(self.playlist.finish.has_room)
        if not len(clips):
            return
        room = Room._make(column[clips] for column in self.playlist.room)
        dry, n_samples = mix[clips], self.playlist.n_samples
        wet = dry.clone()
        for number in range(len(clips)):
            walls = zip(room.reflection_delay[number].tolist(), room.reflection_gain[number].tolist(), strict=True)
            for delay, gain in walls:
                wet[number, delay:] += gain * dry[number, : max(n_samples - delay, 0)]
        wet += self.tensor(room.late_gain).float()[:, None] * late_tail(dry, room)
        mix[clips] = wet

    def filter(self, mix: Tensor) -> None:
        """Damp the clips and cut them to the microphone's band, in place."""
        finish = self.playlist.finish
        for stage in range(finish.has_filter.shape[1]):
            clips = np.flatnonzero(finish.has_filter[:, stage])
            if len(clips):
                direct, pole, residue = (
                    self.tensor(x[clips, stage]) for x in (finish.direct, finish.pole, finish.residue)
                )
                mix[clips] = run_filter(mix[clips], direct, pole, residue)

    def add_noise_floor(self, mix: Tensor) -> None:
        """Add the noise of the recording, in place."""
        finish = self.playlist.finish
        noise = self._coloured_noise(finish.floor_key, finish.floor_colour, self.playlist.n_samples)
        mix += noise * self.tensor(finish.floor_amplitude).float()[:, None]
