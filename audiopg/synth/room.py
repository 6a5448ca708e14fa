"""A shoebox room: first reflections from its six walls, and the tail of a feedback delay network."""

from typing import NamedTuple

import numpy as np

from audiopg.arrays import Float64, Int64
from audiopg.synth.score import Score

SOUND_M_PER_S = 343.0
SHAPE = np.array([1.0, 0.7, 0.45])  # length, width and height
# Loops of the network over the mean free path: no two have a common period.
LOOPS = np.array([2.0, 2.193, 2.427, 2.719, 3.037, 3.413, 3.853, 4.337])
N_LOOPS = len(LOOPS)


class Room(NamedTuple):
    """What a room adds to the direct sound of each clip; all gains are 0 where there is no room."""

    reflection_delay: Int64  # (B, 6), samples
    reflection_gain: Float64  # (B, 6)
    loop_delay: Int64  # (B, N), samples
    loop_gain: Float64  # (B, N)
    treble_damping: Float64  # (B,)
    late_gain: Float64  # (B,)


def lay_out(score: Score, sample_rate_hz: int) -> Room:
    """Turn size, reverberation time and places into delays and gains.

    The walls' absorption follows from the reverberation time by Eyring's formula, the six mirror images of the source
    from the places, and the power of the tail over that of the direct sound from the critical distance. A loop of d
    samples has the gain ``10^(-3 d / (T60 · rate))``, so that the tail falls by 60 dB in T60.

    Source: Kuttruff, Room Acoustics (2009), chapters 4 and 5; Jot and Chaigne (1991) for the network.
    """
    has_room = ~np.isnan(score.room_size_m)
    size_m = np.where(has_room, score.room_size_m, 1.0)[:, None] * SHAPE
    rt60_s = np.where(has_room, score.room_rt60_s, 1.0)
    places = np.where(has_room[:, None], score.room_places, np.linspace(0.1, 0.9, 6))
    volume = size_m.prod(axis=1)
    surface = 2 * (size_m[:, 0] * size_m[:, 1] + size_m[:, 1] * size_m[:, 2] + size_m[:, 0] * size_m[:, 2])
    absorbed = -np.expm1(-0.161 * volume / (surface * rt60_s))

    source, microphone = places[:, :3] * size_m, places[:, 3:] * size_m
    direct_m = np.linalg.norm(source - microphone, axis=1)
    images = np.repeat(source[:, None], 6, axis=1)
    wall = np.arange(3)
    images[:, wall, wall] = -source
    images[:, wall + 3, wall] = 2 * size_m - source
    image_m = np.linalg.norm(images - microphone[:, None], axis=2)
    delay_s = (image_m - direct_m[:, None]) / SOUND_M_PER_S
    reflected = np.sqrt(1 - absorbed)[:, None] * direct_m[:, None] / image_m

    free_path_s = 4 * volume / surface / SOUND_M_PER_S
    loop_delay = np.rint(free_path_s[:, None] * LOOPS * sample_rate_hz)
    loop_gain = 10 ** (-3 * loop_delay / (rt60_s[:, None] * sample_rate_hz))
    late_power = 16 * np.pi * direct_m**2 * (1 - absorbed) / (surface * absorbed)
    turned = (loop_gain**2).mean(axis=1)  # what is left of the power after a loop
    late_gain = np.sqrt(late_power * (1 - turned) / turned)
    return Room(
        np.rint(delay_s * sample_rate_hz).astype(np.int64),
        np.where(has_room[:, None], reflected, 0.0),
        loop_delay.astype(np.int64),
        loop_gain,
        np.where(has_room, score.room_treble_damping, 0.0),
        np.where(has_room, late_gain, 0.0),
    )
