"""The probe corpus and what an encoder makes of it, layer by layer."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from audiopg import config
from audiopg.compute import Backend
from audiopg.data.synthetic import PROBE_START, SyntheticClips
from audiopg.evaluate.embeddings import log_mel_statistics
from audiopg.models.vit import Encoder
from audiopg.philox import uniforms
from audiopg.progress import progress
from audiopg.synth.distributions import quantile
from audiopg.synth.score import Score

BATCH_SIZE = 50


def two_event_score(score: Score, level_db: config.Range, clip_s: float, seed: int) -> Score:
    """Give each clip one voice with two events, one after the other, one of them weaker by a drawn amount.

    Which of the two comes first is drawn too, so that position does not tell the level. All else stays as drawn.

    Args:
        score: clips of the corpus, B of them.
        level_db: distribution of the quieter event's level relative to the loudest.
        clip_s: length of a clip.
        seed: corpus seed.
    """
    n_clips = len(score)
    draws = uniforms(seed, "latent/events", score.index.tolist(), 2)
    levels = quantile(level_db, draws[:, 0])
    loud_is_first = draws[:, 1] < 0.5  # noqa: PLR2004  (even odds)
    duration_s = 0.45 * clip_s
    attack_s, decay_s, release_s = 0.05 * duration_s, 0.2 * duration_s, 0.75 * duration_s

    def both(value: float) -> NDArray[np.float64]:
        return np.full((n_clips, 2), value)

    voice = replace(
        score.voices[0],
        n_events=np.full(n_clips, 2),
        event_onset_s=np.where(np.stack([loud_is_first, ~loud_is_first], axis=1), 0.0, clip_s / 2),
        event_duration_s=both(duration_s),
        event_source_start_s=both(0.0),
        event_level_db=np.stack([np.zeros(n_clips), levels], axis=1),
        event_attack_s=both(attack_s),
        event_decay_s=both(decay_s),
        event_sustain_level=both(0.6),
        event_release_s=both(release_s),
    )
    return replace(score, n_voices=np.ones(n_clips, dtype=np.int64), voices=(voice,))


class ProbeCorpus:
    """Clips with two events each, disjoint from all that pre-training sees, and their physics."""

    def __init__(self, cfg: config.Config, device: torch.device) -> None:
        """Draw the scores of ``latent.n_clips`` clips."""
        self.clips = SyntheticClips(cfg.synth, cfg.features, cfg.seed, device)
        drawn = self.clips.world.score(range(PROBE_START, PROBE_START + cfg.latent.n_clips))
        self.score = two_event_score(drawn, cfg.latent.second_event_level_db, cfg.synth.clip_s, cfg.seed)

    def factors(self) -> dict[str, NDArray[np.float64]]:
        """Return the physics that is asked for, each of shape (N,): octaves of f0, and dB below the loudest event."""
        voice = self.score.voices[0]
        return {"f0_octaves": np.log2(voice.f0_hz), "event_level_db": voice.event_level_db[:, 1]}

    def spectrograms(self) -> Iterator[torch.Tensor]:
        """Iterate over batches of spectrograms, (B, F, M), in order."""
        for begin in range(0, len(self.score), BATCH_SIZE):
            score = self.score.rows(slice(begin, begin + BATCH_SIZE))
            yield self.clips.log_mel(self.clips.world.render(score))


@torch.no_grad()
def activations(corpus: ProbeCorpus, encoders: dict[str, Encoder], backend: Backend) -> dict[str, NDArray[np.float64]]:
    """Render the corpus once and embed it with all encoders, and as log-mel statistics.

    Returns:
        Per encoder, and for ``logmel_stats``, an array of shape (N, layers, D).
    """
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in [*encoders, "logmel_stats"]}
    total = -(-len(corpus.score) // BATCH_SIZE)
    for encoder in encoders.values():
        encoder.eval().to(backend.device)
    for spectrogram in progress(corpus.spectrograms(), "latent: embedding", total=total, per_item=BATCH_SIZE):
        parts["logmel_stats"].append(log_mel_statistics(spectrogram).double().cpu().numpy())
        for name, encoder in encoders.items():
            parts[name].append(encoder.layers(spectrogram).double().cpu().numpy())
    return {name: np.concatenate(batches) for name, batches in parts.items()}
