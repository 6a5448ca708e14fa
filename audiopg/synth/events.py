"""Events and transients: segments of the source and bursts of noise, placed in the clip to the sample."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg.synth.envelopes import adsr
from audiopg.synth.noise import white_noise
from audiopg.synth.parameters import Score

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Placement:
    """Where everything begins and how long it is, in samples; the length is 0 where there is nothing."""

    onset: Integers  # (B, E)
    length: Integers  # (B, E)
    source_start: Integers  # (B, E)
    transient_onset: Integers  # (B,)
    transient_length: Integers  # (B,)


def place(score: Score, n_samples: int, sample_rate_hz: int) -> Placement:
    """Round the times of a score to samples; the one place for it, whatever renders the score.

    Raises:
        ValueError: an event or transient is not inside the clip, or reads beyond the source's n_samples.
    """
    exists = np.arange(score.event_onset_s.shape[1]) < score.n_events[:, None]
    bursts = ~np.isnan(score.transient_onset_s)

    def samples(time_s: NDArray[np.float64], where: NDArray[np.bool_]) -> Integers:
        n: Integers = np.rint(np.where(where, time_s, 0) * sample_rate_hz).astype(np.int64)
        return n

    placement = Placement(
        onset=samples(score.event_onset_s, exists),
        length=samples(score.event_duration_s, exists),
        source_start=samples(score.event_source_start_s, exists),
        transient_onset=samples(score.transient_onset_s, bursts),
        transient_length=samples(score.transient_duration_s, bursts),
    )
    spans = {
        "event": (placement.onset, placement.length),
        "source segment": (placement.source_start, placement.length),
        "transient": (placement.transient_onset, placement.transient_length),
    }
    for name, (start, length) in spans.items():
        outside = (start < 0) | (length < 0) | (start + length > n_samples)
        if outside.any():
            where = tuple(np.argwhere(outside)[0])
            last = start[where] + length[where]
            msg = f"clip {score.index[where[0]]}: {name} at samples {start[where]} to {last} of {n_samples}"
            raise ValueError(msg)
    return placement


def play_events(source: Tensor, score: Score, placement: Placement, sample_rate_hz: int) -> Tensor:
    """Cut the events out of the source, give them envelope and level, and add them up where they belong.

    Event by event, since a batched form has to gather and scatter single samples, which takes several times as long.

    Args:
        source: waveform of each clip's source, shape (B, T), float32.
        score: the rows of the same clips.
        placement: of the same score.
        sample_rate_hz: samples per second.

    Returns:
        Sum of the events, shape (B, T), float32.
    """
    mix = torch.zeros_like(source)
    time_s = torch.arange(source.shape[1], device=source.device) / sample_rate_hz
    amplitude = 10 ** (score.event_level_db / 20)
    for row, slot in np.argwhere(placement.length).tolist():
        onset, start, n = (int(x[row, slot]) for x in (placement.onset, placement.source_start, placement.length))
        envelope = adsr(
            time_s[:n],
            attack_s=float(score.event_attack_s[row, slot]),
            decay_s=float(score.event_decay_s[row, slot]),
            sustain_level=float(score.event_sustain_level[row, slot]),
            release_s=float(score.event_release_s[row, slot]),
            duration_s=float(score.event_duration_s[row, slot]),
        )
        mix[row, onset : onset + n].add_(envelope * float(amplitude[row, slot]) * source[row, start : start + n])
    return mix


def add_transients(mix: Tensor, score: Score, placement: Placement) -> None:
    """Add the bursts of white noise to the clips, in place.

    Args:
        mix: shape (B, T), float32.
        score: the rows of the same clips.
        placement: of the same score.
    """
    # Differs from the paper: placed in the clip; there it is added to the source before the events are cut, so that
    # most bursts are cut away or hidden in an event.
    rows = np.flatnonzero(placement.transient_length)
    longest = int(placement.transient_length.max(initial=0))
    keys = torch.from_numpy(score.transient_key[rows, None]).to(mix.device)
    bursts = white_noise(keys, torch.arange(longest, dtype=torch.int32, device=mix.device))
    for row, burst in zip(rows.tolist(), bursts, strict=True):
        onset, n = int(placement.transient_onset[row]), int(placement.transient_length[row])
        mix[row, onset : onset + n].add_(burst[:n] * float(score.transient_gain[row]))
