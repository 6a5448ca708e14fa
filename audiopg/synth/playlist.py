"""What a renderer does, in samples: tables of numbers, made by `arrange`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.synth.room import Room

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LINES, TONE, EXCITATION = 0, 1, 2


class Events(NamedTuple):
    """Segments of sources, in the order of the clips; N of them."""

    clip: Integers  # (N,)
    kind: Integers  # (N,), LINES, TONE or EXCITATION
    row: Integers  # (N,), of the source in its table
    onset: Integers  # (N,), samples; as all times here
    length: Integers  # (N,)
    start: Integers  # (N,), in the waveform of the source
    amplitude: Floats  # (N,)
    attack: Floats  # (N,)
    decay: Floats  # (N,)
    sustain: Floats  # (N,)
    release: Floats  # (N,)


class LineTable(NamedTuple):
    """Lines of all sources that have some, one behind the other: row r has those from first[r] to first[r + 1]."""

    first: Integers  # (R + 1,)
    frequency: Floats  # (P,), cycles per sample
    amplitude: Floats  # (P,)
    phase: Floats  # (P,), cycles
    decay: Floats  # (P,), 1 / sample


class ToneTable(NamedTuple):
    """Moving tones at the knots."""

    phase: Floats  # (R, K), cycles
    frequency: Floats  # (R, K), cycles per sample
    amplitude: NDArray[np.float32]  # (R, K, P)
    n_partials: Integers  # (R,), beyond it all amplitudes are 0


class ExcitationTable(NamedTuple):
    """Excited resonators."""

    length: Integers  # (R,), samples that are needed
    key: NDArray[np.int32]  # (R,)
    noise_amplitude: Floats  # (R,)
    first: Integers  # (R + 1,), impulses of row r as in `LineTable`
    impulse: Integers  # (G,)
    impulse_amplitude: Floats  # (G,)
    direct: Floats  # (R,)
    pole: NDArray[np.complex128]  # (R, J)
    residue: NDArray[np.complex128]  # (R, J)
    level: NDArray[np.float32]  # (R, K)


class Finish(NamedTuple):
    """What is done to whole clips, in this order: transient, room, filters, noise floor; then the peak is set to 1."""

    transient_onset: Integers  # (B,)
    transient_length: Integers  # (B,), 0 without a transient
    transient_gain: Floats  # (B,)
    transient_colour: Integers  # (B,)
    transient_key: NDArray[np.int32]  # (B,)
    has_room: NDArray[np.bool_]  # (B,)
    has_filter: NDArray[np.bool_]  # (B, 2): damping, band of the microphone
    direct: Floats  # (B, 2)
    pole: NDArray[np.complex128]  # (B, 2, 2)
    residue: NDArray[np.complex128]  # (B, 2, 2)
    floor_amplitude: Floats  # (B,)
    floor_colour: Integers  # (B,)
    floor_key: NDArray[np.int32]  # (B,)


class Colours(NamedTuple):
    """Filters of coloured noise, pink and brown."""

    direct: Floats  # (2,)
    pole: NDArray[np.complex128]  # (2, J)
    residue: NDArray[np.complex128]  # (2, J)


class Playlist(NamedTuple):
    """Everything that a renderer needs; numbers of clips and events, no names."""

    n_clips: int
    n_samples: int
    events: Events
    lines: LineTable
    tones: ToneTable
    excitations: ExcitationTable
    room: Room
    finish: Finish
    colours: Colours
