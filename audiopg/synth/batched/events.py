"""The events of some clips: segments of sources under their envelopes, added up."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from audiopg.arrays import Int64
from audiopg.compute import sent
from audiopg.synth.batched.envelopes import adsr
from audiopg.synth.playlist import Events

# Samples are added up as whole numbers of this part of the largest that an event of their clip can have: a GPU adds in
# any order, and the sum of whole numbers is the same in each.
QUANTUM = 2.0**-40
QUIETEST = 1e-20  # below this largest sample a clip is silent: float32 cannot hold amplitudes in its tiny quanta
SAMPLES = 1 << 23  # of events at once and at most one event more, which bounds the memory


def add_up(events: Events, row: Int64, sources: Tensor, n_clips: int) -> Tensor:
    """Add up events, each sample of them at its place.

    Args:
        events: with numbers of clips from 0 on; the number of operations does not depend on how many there are.
        row: of ``sources``, for each event, shape (N,).
        sources: waveforms, shape (R, T), float32.
        n_clips: B.

    Returns:
        Mix, shape (B, T), float32.
    """
    n_samples = sources.shape[1]
    mix = torch.zeros(n_clips * n_samples, dtype=torch.int64, device=sources.device)
    row_at, clip_at = sent(torch.from_numpy(np.stack([row, events.clip])), sources.device)
    amplitude = sent(torch.from_numpy(events.amplitude), sources.device)
    bound = amplitude * sources.abs().amax(dim=1)[row_at]
    largest = torch.zeros(n_clips, dtype=bound.dtype, device=bound.device).scatter_reduce_(0, clip_at, bound, "amax")
    quantum = QUANTUM * torch.where(largest > QUIETEST, largest, 1.0)
    in_quanta = (amplitude / quantum[clip_at]).float()
    parts = np.flatnonzero(np.diff(np.cumsum(events.length) // SAMPLES)) + 1
    first = row * n_samples + events.start
    target = events.clip * n_samples + events.onset
    for begin, end in pairwise([0, *parts.tolist(), len(row)]):
        chosen = Events._make(column[begin:end] for column in events)
        _add(mix, chosen, in_quanta[begin:end], first[begin:end], target[begin:end], sources.flatten())
    return (mix.view(n_clips, n_samples) * quantum[:, None]).float()


def _add(mix: Tensor, events: Events, in_quanta: Tensor, first: Int64, target: Int64, sources: Tensor) -> None:
    """Add events with amplitudes in quanta, as whole numbers, from places in all sources to places in all clips."""
    numbers = (events.attack, events.decay, events.sustain, events.release, events.length)
    begin = np.cumsum(events.length) - events.length
    columns = sent(torch.from_numpy(np.stack(numbers).astype(np.float32)), mix.device)
    places = sent(torch.from_numpy(np.stack([begin, first, target])), mix.device)
    lengths, n = sent(torch.from_numpy(events.length), mix.device), int(events.length.sum())

    def at_samples(table: Tensor) -> Tensor:
        return torch.repeat_interleave(table, lengths, dim=1, output_size=n)

    begin_at, first_at, target_at = at_samples(places).unbind()
    time = torch.arange(n, device=mix.device) - begin_at
    attack, decay, sustain, release, duration, amplitude = at_samples(torch.cat([columns, in_quanta[None]])).unbind()
    envelope = adsr(time.float(), attack=attack, decay=decay, sustain=sustain, release=release, duration=duration)
    heard = envelope * amplitude * sources.index_select(0, first_at + time)
    mix.index_add_(0, target_at + time, heard.long())
