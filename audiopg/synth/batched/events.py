"""The events of some clips: segments of sources under their envelopes, added up."""

import numpy as np
import torch
from torch import Tensor

from audiopg.arrays import Int64
from audiopg.compute import sent
from audiopg.synth.batched.envelopes import adsr
from audiopg.synth.playlist import Events

# Samples are added up as whole numbers of this part of the loudest event of their clip: a GPU adds in any order, and
# the sum of whole numbers is the same in each.
QUANTUM = 2.0**-40
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
    loudest = np.zeros(n_clips)
    np.maximum.at(loudest, events.clip, events.amplitude)
    loudest[loudest == 0] = 1
    events = events._replace(amplitude=events.amplitude / loudest[events.clip])
    parts = np.flatnonzero(np.diff(np.cumsum(events.length) // SAMPLES)) + 1
    first = row * n_samples + events.start
    target = events.clip * n_samples + events.onset
    for part in np.split(np.arange(len(row)), parts):
        chosen = Events._make(column[part] for column in events)
        _add(mix, chosen, first[part], target[part], sources.flatten())
    scale = sent(torch.from_numpy(loudest * QUANTUM), mix.device)
    return (mix.view(n_clips, n_samples) * scale[:, None]).float()


def _add(mix: Tensor, events: Events, first: Int64, target: Int64, sources: Tensor) -> None:
    """Add events to whole numbers of the quantum, from places in all sources to places in all clips."""
    numbers = (events.attack, events.decay, events.sustain, events.release, events.length, events.amplitude)
    begin = np.cumsum(events.length) - events.length
    columns = sent(torch.from_numpy(np.stack(numbers).astype(np.float32)), mix.device)
    places = sent(torch.from_numpy(np.stack([begin, first, target])), mix.device)
    lengths, n = sent(torch.from_numpy(events.length), mix.device), int(events.length.sum())

    def at_samples(table: Tensor) -> Tensor:
        return torch.repeat_interleave(table, lengths, dim=1, output_size=n)

    begin_at, first_at, target_at = at_samples(places).unbind()
    time = torch.arange(n, device=mix.device) - begin_at
    attack, decay, sustain, release, duration, amplitude = at_samples(columns).unbind()
    envelope = adsr(time.float(), attack=attack, decay=decay, sustain=sustain, release=release, duration=duration)
    heard = envelope * amplitude * sources.index_select(0, first_at + time)
    mix.index_add_(0, target_at + time, (heard / QUANTUM).long())
