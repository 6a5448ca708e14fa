"""The renderer for any device: plays a playlist in batches of torch tensors."""

import math
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from audiopg.synth.envelopes import adsr
from audiopg.synth.filters import BROWN, PINK
from audiopg.synth.noise import white_noise
from audiopg.synth.phase import sinusoids
from audiopg.synth.playlist import EXCITATION, LINES, TONE, Playlist
from audiopg.synth.room import N_LOOPS, Room
from audiopg.synth.sources.primitive import KNOT

FILTER_BLOCK = 32
ROOM_BLOCK = 256
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

        def padded(column: NDArray[np.float64]) -> Tensor:
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

    def _coloured_noise(self, keys: NDArray[np.int32], colours: NDArray[np.int64], n_samples: int) -> Tensor:
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
        wet += self.tensor(room.late_gain).float()[:, None] * self._tail(dry, room)
        mix[clips] = wet

    def _tail(self, dry: Tensor, room: Room) -> Tensor:
        """Run the loops of the network, shape (B, T)."""
        delay, n_samples = self.tensor(room.loop_delay), dry.shape[1]
        past = int(delay.max()) + 1
        block = min(int(delay.min()), ROOM_BLOCK)
        previous = (self.tensor(room.loop_gain) * self.tensor(room.treble_damping)[:, None]).float()[..., None]
        present = self.tensor(room.loop_gain).float()[..., None] - previous
        loops = torch.zeros(len(dry), N_LOOPS, past + n_samples, device=self.device)
        tail = torch.empty_like(dry)
        for begin in range(0, n_samples, block):
            n = min(block, n_samples - begin)
            back = (past + begin - delay)[..., None] + torch.arange(n, device=self.device)
            arriving = present * loops.gather(2, back) + previous * loops.gather(2, back - 1)
            # one by one: the order of torch's own sum would depend on the block, and so on the other clips
            even, odd = (reduce(torch.add, arriving[:, first::2].unbind(1)) for first in (0, 1))
            shared = (even + odd)[:, None] * (2 / N_LOOPS)
            inward = dry[:, None, begin : begin + n] / math.sqrt(N_LOOPS)
            loops[:, :, past + begin : past + begin + n] = inward + arriving - shared
            tail[:, begin : begin + n] = even - odd
        return tail

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


def run_filter(waveform: Tensor, direct: Tensor, pole: Tensor, residue: Tensor) -> Tensor:
    """Run a `filters.Filter` from rest.

    Its impulse response is ``h[0] = direct + Re Σ R, h[m] = Re Σ R p^m``. So the output in a block of samples is a
    matrix product with that block and with the complex numbers that remember all blocks before,
    ``s[n] = p s[n-1] + x[n]``. An FFT would do as well, but its last bit depends on how many clips and threads there
    are.

    Args:
        waveform: shape (B, T), float32.
        direct: shape (B,), float64.
        pole: shape (B, J), complex128.
        residue: shape (B, J), complex128.

    Returns:
        Filtered waveform, shape (B, T), float32.
    """
    n_clips, n_samples = waveform.shape
    position = torch.arange(FILTER_BLOCK, device=waveform.device)
    powers = _power(pole[..., None], position)  # (B, J, L)
    response = (residue[..., None] * powers).real.sum(dim=1)
    response[:, 0] += direct
    lag = position - position[:, None]
    within = torch.where(lag >= 0, response[:, lag.clamp(min=0)], 0)
    before = residue[..., None] * powers * pole[..., None]

    blocks = pad(waveform, (0, -n_samples % FILTER_BLOCK)).view(n_clips, -1, FILTER_BLOCK).to(torch.float64)
    ends = blocks.to(torch.complex128) @ powers.flip(2).mT  # (B, N, J)
    memory = pad(_decaying_sum(ends, _power(pole, FILTER_BLOCK)[:, None])[:, :-1], (0, 0, 1, 0))
    out = blocks @ within + (memory @ before).real
    return out.flatten(1)[:, :n_samples].to(torch.float32)


def _power(pole: Tensor, exponent: Tensor | int) -> Tensor:
    """Raise complex numbers to whole powers; torch's own operator says NaN for 0 to the power of 0."""
    return torch.polar(pole.abs() ** exponent, pole.angle() * exponent)


def _decaying_sum(values: Tensor, factor: Tensor) -> Tensor:
    """Solve ``s[n] = factor · s[n-1] + values[n]`` for all n, by doubling the distance that each s reaches back.

    Args:
        values: shape (B, N, J), complex.
        factor: shape (B, 1, J), complex, of magnitude below 1.

    Returns:
        s, shape (B, N, J), complex.
    """
    reach = 1
    while reach < values.shape[1]:
        values = torch.cat([values[:, :reach], values[:, reach:] + factor * values[:, :-reach]], dim=1)
        factor = factor * factor
        reach *= 2
    return values
