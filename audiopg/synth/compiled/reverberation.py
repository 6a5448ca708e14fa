"""A room around a clip."""

import math

import numpy as np

from audiopg.arrays import Float32
from audiopg.jit import compiled
from audiopg.synth.room import N_LOOPS, Room
from audiopg.synth.sources.primitive import KNOT

HISTORY = 8192  # samples of the loops between two moves of their buffers


@compiled
def reverberate(mix: Float32, dry: Float32, room: Room, clip: int) -> None:
    """Add reflections and tail to a clip; ``dry`` gets the clip as it was."""
    dry[:] = mix
    for wall in range(room.reflection_delay.shape[1]):
        delay, gain = room.reflection_delay[clip, wall], np.float32(room.reflection_gain[clip, wall])
        late, early = mix[delay:], dry[: mix.shape[0] - delay]
        for n in range(late.shape[0]):
            late[n] += gain * early[n]
    _add_tail(mix, dry, room, clip)


@compiled
def _add_tail(mix: Float32, dry: Float32, room: Room, clip: int) -> None:
    """Add the tail of a feedback delay network with a Householder matrix."""
    n_samples = mix.shape[0]
    block = int(min(room.loop_delay[clip].min(), KNOT))
    past = room.loop_delay[clip].max() + 1
    loops = np.zeros((N_LOOPS, past + HISTORY), dtype=np.float32)
    arriving = np.empty((N_LOOPS, block), dtype=np.float32)
    together = np.empty(block, dtype=np.float32)
    heard = np.empty(block, dtype=np.float32)
    late_gain = np.float32(room.late_gain[clip])
    now = past
    for begin in range(0, n_samples, block):
        n = min(block, n_samples - begin)
        if now + n > loops.shape[1]:
            for i in range(N_LOOPS):
                for k in range(past):
                    loops[i, k] = loops[i, now - past + k]
            now = past
        _turn(loops, now, n, room, clip, arriving, together, heard)
        _feed(loops, now, dry[begin : begin + n], arriving, together)
        leaving = mix[begin : begin + n]
        for k in range(n):
            leaving[k] += late_gain * heard[k]
        now += n


@compiled
def _turn(  # noqa: PLR0913
    loops: Float32,
    now: int,
    n: int,
    room: Room,
    clip: int,
    arriving: Float32,
    together: Float32,
    heard: Float32,
) -> None:
    """Read the arriving sound at the end of each loop, damped by the walls, its sum, and its audible part."""
    together[:] = np.float32(0)
    heard[:] = np.float32(0)
    for i in range(N_LOOPS):
        back = now - room.loop_delay[clip, i]
        past_now, past_before = loops[i, back : back + n], loops[i, back - 1 : back - 1 + n]
        previous = np.float32(room.loop_gain[clip, i] * room.treble_damping[clip])
        present = np.float32(room.loop_gain[clip, i]) - previous
        sign = np.float32(1 - 2 * (i % 2))
        for k in range(n):
            sample = present * past_now[k] + previous * past_before[k]
            arriving[i, k] = sample
            together[k] += sample
            heard[k] += sign * sample


@compiled
def _feed(loops: Float32, now: int, entering: Float32, arriving: Float32, together: Float32) -> None:
    """Mirror the arriving sound at the plane of equal parts, add the new sound, and send it round again."""
    inward, shared = np.float32(1 / math.sqrt(N_LOOPS)), np.float32(2 / N_LOOPS)
    for i in range(N_LOOPS):
        loop = loops[i, now : now + entering.shape[0]]
        for k in range(loop.shape[0]):
            loop[k] = inward * entering[k] + arriving[i, k] - shared * together[k]
