"""What a renderer does, in samples: tables of numbers, made by `arrange`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiopg.arrays import Bool, Float32, Float64, Int64
from audiopg.synth.room import Room

LINES, TONE, EXCITATION = 0, 1, 2


class Events(NamedTuple):
    """Segments of sources, in the order of the clips; N of them."""

    clip: Int64  # (N,)
    kind: Int64  # (N,), LINES, TONE or EXCITATION
    row: Int64  # (N,), of the source in its table
    onset: Int64  # (N,), samples; as all times here
    length: Int64  # (N,)
    start: Int64  # (N,), in the waveform of the source
    amplitude: Float64  # (N,)
    attack: Float64  # (N,)
    decay: Float64  # (N,)
    sustain: Float64  # (N,)
    release: Float64  # (N,)


class LineTable(NamedTuple):
    """Lines of all sources that have some, one after the other: row r has those from first[r] to first[r + 1]."""

    first: Int64  # (R + 1,)
    frequency: Float64  # (P,), cycles per sample
    amplitude: Float64  # (P,)
    phase: Float64  # (P,), cycles
    decay: Float64  # (P,), 1 / sample


class ToneTable(NamedTuple):
    """Moving tones at the knots."""

    phase: Float64  # (R, K), cycles
    frequency: Float64  # (R, K), cycles per sample
    amplitude: Float32  # (R, K, P)
    n_partials: Int64  # (R,), beyond it all amplitudes are 0


class ExcitationTable(NamedTuple):
    """Excited resonators."""

    length: Int64  # (R,), samples that are needed
    key: NDArray[np.int32]  # (R,)
    noise_amplitude: Float64  # (R,)
    first: Int64  # (R + 1,), impulses of row r as in `LineTable`
    impulse: Int64  # (G,)
    impulse_amplitude: Float64  # (G,)
    direct: Float64  # (R,)
    pole: NDArray[np.complex128]  # (R, J)
    residue: NDArray[np.complex128]  # (R, J)
    level: Float32  # (R, K)


class Finish(NamedTuple):
    """What is done to whole clips, in this order: transient, room, filters, noise floor; then the peak is set to 1."""

    transient_onset: Int64  # (B,)
    transient_length: Int64  # (B,), 0 without a transient
    transient_gain: Float64  # (B,)
    transient_colour: Int64  # (B,)
    transient_key: NDArray[np.int32]  # (B,)
    has_room: Bool  # (B,)
    has_filter: Bool  # (B, 2): damping, band of the microphone
    direct: Float64  # (B, 2)
    pole: NDArray[np.complex128]  # (B, 2, 2)
    residue: NDArray[np.complex128]  # (B, 2, 2)
    floor_amplitude: Float64  # (B,)
    floor_colour: Int64  # (B,)
    floor_key: NDArray[np.int32]  # (B,)


class Colours(NamedTuple):
    """Filters of coloured noise, pink and brown."""

    direct: Float64  # (2,)
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
