"""Edits that set factors exactly: the events of a score, and noise under a waveform."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg import rng
from audiopg.arrays import Float64, Int64
from audiopg.synth.score import Score

# Shapes of the events, as parts of the event.
ATTACK_FRACTION, DECAY_FRACTION, SUSTAIN_LEVEL = 0.05, 0.1, 0.6
# A single event fills this part of its clip, so that the longest attack and a fall fit in.
EVENT_FRACTION = 0.8


def two_events(score: Score, level_db: Float64, order: Float64, clip_s: float) -> Score:
    """Give each clip two events of one voice, one after the other, equal but for the level of one of them.

    Args:
        score: clips, B of them.
        level_db: level of the quieter event relative to the louder, shape (B,).
        order: uniform numbers; below one half the louder event is the first, so that position says nothing of it.
        clip_s: length of a clip.
    """
    n_clips = len(score)
    loud_is_first = order < 0.5  # noqa: PLR2004  (even odds)
    onset_s = np.where(np.stack([loud_is_first, ~loud_is_first], axis=1), 0.0, clip_s / 2)
    levels_db = np.stack([np.zeros(n_clips), level_db], axis=1)
    duration_s = np.full((n_clips, 2), 0.45 * clip_s)
    return _with_events(score, np.full(n_clips, 2), onset_s, duration_s, ATTACK_FRACTION * duration_s, levels_db)


def series(  # noqa: PLR0913
    score: Score, n_events: Int64, density_hz: Float64, event_s: float, start: Float64, clip_s: float
) -> Score:
    """Give each clip equal events at equal distances, the whole series placed anywhere in the clip.

    Args:
        score: clips, B of them.
        n_events: events of each clip, shape (B,).
        density_hz: onsets per second, shape (B,).
        event_s: length of an event in seconds.
        start: uniform numbers that place the series, shape (B,).
        clip_s: length of a clip.
    """
    span_s = (n_events - 1) / density_hz + event_s
    first_s = start * (clip_s - span_s)
    number = np.arange(n_events.max())
    exists = number < n_events[:, None]
    onset_s = np.where(exists, first_s[:, None] + number / density_hz[:, None], np.nan)
    duration_s = np.where(exists, event_s, np.nan)
    level_db = np.where(exists, 0.0, np.nan)
    return _with_events(score, n_events, onset_s, duration_s, ATTACK_FRACTION * duration_s, level_db)


def one_event(score: Score, attack_s: Float64, clip_s: float) -> Score:
    """Give each clip one event in its middle."""
    duration_s = np.full((len(score), 1), EVENT_FRACTION * clip_s)
    onset_s = (clip_s - duration_s) / 2
    return _with_events(score, np.ones(len(score), dtype=np.int64), onset_s, duration_s, attack_s[:, None], 0 * onset_s)


def _with_events(  # noqa: PLR0913
    score: Score, n_events: Int64, onset_s: Float64, duration_s: Float64, attack_s: Float64, level_db: Float64
) -> Score:
    """Replace the events of the only voice; each plays the beginning of its source, shapes (B,) and (B, E)."""
    decay_s = DECAY_FRACTION * duration_s
    voice = replace(
        score.voices[0],
        n_events=n_events,
        event_onset_s=onset_s,
        event_duration_s=duration_s,
        event_source_start_s=0 * duration_s,
        event_level_db=level_db,
        event_attack_s=attack_s,
        event_decay_s=decay_s,
        event_sustain_level=SUSTAIN_LEVEL + 0 * duration_s,
        event_release_s=duration_s - attack_s - decay_s,
    )
    return replace(score, voices=(voice,))


def in_noise(waveform: Tensor, keys: NDArray[np.int32], snr_db: Float64) -> Tensor:
    """Add white noise at exact ratios of the clip's power to the noise's, and set the peak to 1 again.

    Args:
        waveform: shape (B, T), float32.
        keys: of the noise, for `rng.hashed_uniform`, shape (B,).
        snr_db: shape (B,).
    """
    samples = torch.arange(waveform.shape[1], dtype=torch.int32, device=waveform.device)[None]
    keyed = torch.from_numpy(keys).to(waveform.device)[:, None]
    noise = rng.hashed_uniform(keyed, samples).to(torch.float32) / (1 << 23) - 1
    ratio = torch.from_numpy(10 ** (-snr_db / 20)).to(waveform)[:, None]
    gain = ratio * (waveform.square().mean(1, keepdim=True) / noise.square().mean(1, keepdim=True)).sqrt()
    noisy = waveform + gain * noise
    return noisy / noisy.abs().amax(dim=1, keepdim=True)
