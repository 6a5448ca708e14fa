"""The renderer for any device: plays a playlist in batches of torch tensors.

The number of operations depends neither on the number of clips, nor on their events, nor on their length, as long as
they fit into one chunk. Tables are sent to the device, and nothing is read back.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.compute import sent
from audiopg.synth import filters
from audiopg.synth.batched.events import add_up
from audiopg.synth.batched.filtering import run_filter
from audiopg.synth.batched.noise import white_noise
from audiopg.synth.batched.reverberation import reverberate
from audiopg.synth.batched.sources import Sources
from audiopg.synth.playlist import Events, Finish, Playlist
from audiopg.synth.room import Room

# Samples of clips that are mixed at once, which bounds the memory: 16 clips of 10.24 s at 16 kHz.
SAMPLES = {"cpu": 2 * 163_840, "cuda": 16 * 163_840}


def render(playlist: Playlist, device: torch.device) -> Tensor:
    """Play a playlist.

    Returns:
        Waveforms with a peak of 1, shape (B, T), float32, on the device.
    """
    out = torch.empty(playlist.n_clips, playlist.n_samples, device=device)
    sources = Sources(playlist, device)
    step = max(SAMPLES[device.type] // playlist.n_samples, 1)
    for first in range(0, playlist.n_clips, step):
        clips = slice(first, min(first + step, playlist.n_clips))
        mix = Chunk(playlist, clips, device).mix(sources)
        peak = mix.abs().amax(dim=1, keepdim=True)
        torch.div(mix, torch.where(peak > 0, peak, 1), out=out[clips])
    return out


class Chunk:
    """Some clips of a playlist that are mixed together."""

    def __init__(self, playlist: Playlist, clips: slice, device: torch.device) -> None:
        """Take a playlist, the clips in it, and what plays them."""
        self.colours = playlist.colours
        self.device = device
        self.samples = torch.arange(playlist.n_samples, dtype=torch.int32, device=device)
        self.n_clips = clips.stop - clips.start
        self.finish = Finish._make(column[clips] for column in playlist.finish)
        self.room = Room._make(column[clips] for column in playlist.room)
        within = slice(*np.searchsorted(playlist.events.clip, (clips.start, clips.stop)))
        events = Events._make(column[within] for column in playlist.events)
        self.events = events._replace(clip=events.clip - clips.start)

    def _sent(self, column: NDArray[Any]) -> Tensor:
        return sent(torch.from_numpy(column), self.device)

    def mix(self, sources: Sources) -> Tensor:
        """Return the clips, finished but for their peak, shape (B, T), float32."""
        waveforms, row = sources.of(self.events)
        mix = add_up(self.events, row, waveforms, self.n_clips)
        transients, floor = self._noises()
        mix += transients
        self.add_rooms(mix)
        for stage in range(self.finish.has_filter.shape[1]):
            self._filter(mix, stage)
        return mix + floor

    def _noises(self) -> tuple[Tensor, Tensor]:
        """Return the transients, of the clips that have one, and the noise floors, both of shape (B, T)."""
        # Differs from the paper: placed in the clip; there it is added to the source before the events are cut, so
        # that most bursts are cut away or hidden in an event.
        finish, clips = self.finish, np.flatnonzero(self.finish.transient_length)
        keys = np.concatenate([finish.transient_key[clips], finish.floor_key])
        colour = np.concatenate([finish.transient_colour[clips], finish.floor_colour])
        gain = np.concatenate([finish.transient_gain[clips], finish.floor_amplitude]).astype(np.float32)
        noise = white_noise(self._sent(keys)[:, None], self.samples)
        coloured = np.flatnonzero(colour != filters.WHITE)
        if len(coloured):
            rows = self._sent(coloured)
            sections = (column[colour[coloured] - 1] for column in self.colours)
            noise.index_copy_(0, rows, run_filter(noise.index_select(0, rows), *sections))
        noise *= self._sent(gain)[:, None]
        times = np.stack([finish.transient_onset[clips], finish.transient_length[clips]])
        onset, length = self._sent(times)[..., None].unbind()
        time = self.samples - onset
        bursts = torch.where((time >= 0) & (time < length), noise[: len(clips)].gather(1, time.clamp(min=0)), 0)
        transients = torch.zeros(self.n_clips, len(self.samples), device=self.device)
        return transients.index_copy_(0, self._sent(clips), bursts), noise[len(clips) :]

    def add_rooms(self, mix: Tensor) -> None:
        """Add reflections and tails to the clips that have a room, in place."""
        clips = np.flatnonzero(self.finish.has_room)
        if len(clips):
            rows, room = self._sent(clips), Room._make(column[clips] for column in self.room)
            mix.index_copy_(0, rows, reverberate(mix.index_select(0, rows), room).to(mix.dtype))

    def _filter(self, mix: Tensor, stage: int) -> None:
        """Damp the clips (stage 0) or cut them to the microphone's band (stage 1), in place."""
        finish = self.finish
        clips = np.flatnonzero(finish.has_filter[:, stage])
        if len(clips):
            rows = self._sent(clips)
            sections = (column[clips, stage] for column in (finish.direct, finish.pole, finish.residue))
            mix.index_copy_(0, rows, run_filter(mix.index_select(0, rows), *sections))
