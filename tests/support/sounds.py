"""Scores of one bare sound, the sources by themselves, and how their spectra are measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiopg import config
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player as batched
from audiopg.synth.compiled import player
from audiopg.synth.compiled.oscillators import add_lines, add_tone
from audiopg.synth.playlist import EXCITATION, LINES, Playlist
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Grid

Floats = NDArray[np.float64]
RATE = 16000
CPU = torch.device("cpu")


def bare(
    primitive: str,
    f0_hz: Sequence[float],
    parameters: Mapping[str, Any],
    grid: Grid,
    *,
    keys: Sequence[int] | None = None,
) -> Score:
    """Score of clips with one source each, in one event over the whole clip with a flat envelope, and nothing else.

    Args:
        primitive: plays all clips.
        f0_hz: fundamentals, shape (B,).
        parameters: each a number for all clips, shape (B,) or shape (B, N).
        grid: time axis.
        keys: of the hash, shape (B,); the numbers of the clips where there are none.
    """
    n = len(f0_hz)
    known = PRIMITIVES[primitive].parameters
    columns = {
        name: np.broadcast_to(
            np.asarray(parameters[name], dtype=np.float64), (n, *np.shape(parameters[name])[1:])
        ).copy()
        for name in known
    }

    def everywhere(value: float) -> Floats:
        return np.full((n, 1), value)

    voice = Voice(
        source=np.zeros(n, dtype=np.int64),
        f0_hz=np.asarray(f0_hz, dtype=np.float64),
        level_db=np.zeros(n),
        key=np.asarray(range(n) if keys is None else keys, dtype=np.int32),
        parameters={primitive: columns},
        n_events=np.ones(n, dtype=np.int64),
        event_onset_s=everywhere(0),
        event_duration_s=everywhere(grid.duration_s),
        event_source_start_s=everywhere(0),
        event_level_db=everywhere(0),
        event_attack_s=everywhere(1e-9),
        event_decay_s=everywhere(1e-9),
        event_sustain_level=everywhere(1),
        event_release_s=everywhere(1e-9),
    )
    nothing, none = np.full(n, np.nan), np.zeros(n)
    return Score(
        index=np.arange(n),
        identity=np.arange(n),
        sources=(primitive,),
        primitives=(primitive,),
        n_voices=np.ones(n, dtype=np.int64),
        voices=(voice,),
        transient_onset_s=nothing,
        transient_duration_s=nothing,
        transient_gain=nothing,
        transient_colour=nothing,
        transient_key=np.zeros(n, dtype=np.int32),
        room_size_m=nothing,
        room_rt60_s=nothing,
        room_treble_damping=nothing,
        room_places=np.full((n, 6), np.nan),
        cutoff_hz=np.full(n, np.inf),
        microphone_low_hz=none,
        microphone_high_hz=np.full(n, np.inf),
        noise_floor_amplitude=none,
        noise_floor_colour=none,
        noise_floor_key=np.zeros(n, dtype=np.int32),
    )


def source(
    primitive: str,
    f0_hz: Sequence[float],
    parameters: Mapping[str, Any],
    grid: Grid,
    *,
    keys: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Waveforms of sources without envelope and normalisation, by the compiled renderer, shape (B, T)."""
    playlist = arrange(bare(primitive, f0_hz, parameters, grid, keys=keys), grid)
    out = np.zeros((len(f0_hz), grid.n_samples), dtype=np.float32)
    flat = np.ones(grid.n_samples, dtype=np.float32)
    for row, kind in enumerate(playlist.events.kind.tolist()):
        if kind == LINES:
            lines = playlist.lines
            add_lines(out[row], flat, 0, lines, lines.first[row], lines.first[row + 1])
        elif kind == EXCITATION:
            player._excite(out[row], flat.copy(), playlist.excitations, row)
        else:
            add_tone(out[row], flat, 0, playlist.tones, row)
    return out


def both(playlist: Playlist) -> tuple[Floats, Floats]:
    """Play a playlist with the compiled and with the batched renderer."""
    return (
        player.render(playlist, 1).astype(np.float64),
        batched.render(playlist, CPU).numpy().astype(np.float64),
    )


def amplitudes(waveform: NDArray[Any]) -> Floats:
    """Amplitude of the sinusoid at each line of the FFT, along the last axis."""
    spectrum = np.abs(np.fft.rfft(waveform.astype(np.float64), axis=-1)) / waveform.shape[-1]
    spectrum[..., 1:] *= 2
    return spectrum


def strongest_elsewhere_db(waveform: NDArray[Any], belongs_hz: Floats, margin_hz: float, rate_hz: int = RATE) -> float:
    """Strongest line that is further than the margin from all that belong, over the strongest of all, in dB.

    A Kaiser window, whose own side lobes lie below -140 dB: for 3 s and more its main lobe is within ±3 Hz.
    """
    spectrum = np.abs(np.fft.rfft(waveform.astype(np.float64) * np.kaiser(len(waveform), 20)))
    frequency_hz = np.arange(len(spectrum)) * rate_hz / len(waveform)
    near = np.searchsorted(np.sort(belongs_hz), frequency_hz)
    padded = np.concatenate([[-np.inf], np.sort(belongs_hz), [np.inf]])
    distance_hz = np.minimum(frequency_hz - padded[near], padded[near + 1] - frequency_hz)
    elsewhere = spectrum[np.abs(distance_hz) > margin_hz]
    return float(20 * np.log10(max(elsewhere.max(), 1e-300) / spectrum.max()))


def short(synth: config.Synth, clip_s: float = 1.28, **changes: Any) -> config.Synth:
    """Make a preset's clips short, and change other keys: ``section__key=value`` or ``section=value``."""
    data = synth.model_dump()
    data["clip_s"] = clip_s
    data["events"]["duration_s_min"] = min(0.1, clip_s / 8)
    data["transient"]["duration_s"]["max"] = min(0.1, clip_s)
    data["transient"]["duration_s"]["min"] = min(0.01, clip_s)
    for path, value in changes.items():
        *sections, key = path.split("__")
        at = data
        for section in sections:
            at = at[section]
        at[key] = value
    return config.Synth.model_validate(data)
