"""Late reverberation: a feedback delay network, a block of samples at a time."""

import math
from functools import reduce

import torch
from torch import Tensor

from audiopg.synth.room import N_LOOPS, Room

ROOM_BLOCK = 256


def late_tail(dry: Tensor, room: Room) -> Tensor:
    """Return the sound that the feedback delay network adds to dry waveforms, shape (B, T).

    Args:
        dry: shape (B, T), float32, on any device.
        room: of these clips.
    """
    gain, damping, delay = (
        torch.from_numpy(column).to(dry.device) for column in (room.loop_gain, room.treble_damping, room.loop_delay)
    )
    n_samples = dry.shape[1]
    past = int(delay.max()) + 1
    block = min(int(delay.min()), ROOM_BLOCK)
    previous = (gain * damping[:, None]).float()[..., None]
    present = gain.float()[..., None] - previous
    loops = torch.zeros(len(dry), N_LOOPS, past + n_samples, device=dry.device)
    tail = torch.empty_like(dry)
    for begin in range(0, n_samples, block):
        n = min(block, n_samples - begin)
        back = (past + begin - delay)[..., None] + torch.arange(n, device=dry.device)
        arriving = present * loops.gather(2, back) + previous * loops.gather(2, back - 1)
        # one by one: the order of torch's own sum would depend on the block, and so on the other clips
        even, odd = (reduce(torch.add, arriving[:, first::2].unbind(1)) for first in (0, 1))
        shared = (even + odd)[:, None] * (2 / N_LOOPS)
        inward = dry[:, None, begin : begin + n] / math.sqrt(N_LOOPS)
        loops[:, :, past + begin : past + begin + n] = inward + arriving - shared
        tail[:, begin : begin + n] = even - odd
    return tail
