"""The corpus as waveforms: from index to score to sound, in batches of torch tensors on any device."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg import config
from audiopg.synth.distributions import check
from audiopg.synth.effects import add_noise_floor, low_pass, normalise_peak
from audiopg.synth.events import add_transients, place, play_events
from audiopg.synth.oscillators import PRIMITIVES
from audiopg.synth.parameters import Score, draw

# Clips are rendered a few at a time on a CPU, so that their intermediate results stay in its cache.
CPU_SAMPLES = 1 << 20


class World:
    """Player of one corpus: the same index is the same clip, whatever the batch that it comes in."""

    def __init__(self, synth: config.Synth, seed: int, device: torch.device | str = "cpu") -> None:
        """Take the ``synth`` section and the corpus seed.

        Raises:
            AudiopgError: an unknown source, an unknown or missing parameter, or a value that it may not take.
        """
        check(synth)
        self.synth = synth
        self.seed = seed
        self.device = torch.device(device)

    def score(self, indices: Sequence[int]) -> Score:
        """Draw the score of the clips with these indices."""
        return draw(self.synth, self.seed, indices)

    def play(self, indices: Sequence[int]) -> Tensor:
        """Draw and render the clips with these indices, as `render`."""
        return self.render(self.score(indices))

    def render(self, score: Score) -> Tensor:
        """Turn a score, drawn or edited, into waveforms.

        Returns:
            Waveforms with a peak of 1, shape (B, T), float32.

        Raises:
            ValueError: an event or transient is not inside the clip.
        """
        n_samples = self.synth.n_samples
        n_rows = max(CPU_SAMPLES // n_samples, 1) if self.device.type == "cpu" else len(score)
        out = torch.empty(len(score), n_samples, device=self.device)
        for first in range(0, len(score), n_rows):
            self._render_into(out[first : first + n_rows], score.rows(slice(first, first + n_rows)))
        return out

    def _render_into(self, out: Tensor, score: Score) -> None:
        """Render as many clips as fit at once; out has the shape (B, T)."""
        n_samples, sample_rate_hz = self.synth.n_samples, self.synth.sample_rate_hz
        placement = place(score, n_samples, sample_rate_hz)
        mix = play_events(self._sources(score), score, placement, sample_rate_hz)
        add_transients(mix, score, placement)
        damped = np.flatnonzero(np.isfinite(score.cutoff_hz))
        if len(damped):
            mix[damped] = low_pass(mix[damped], self._tensor(score.cutoff_hz[damped]), sample_rate_hz)
        amplitude = self._tensor(score.noise_floor_amplitude).to(torch.float32)
        add_noise_floor(mix, self._tensor(score.noise_floor_key), amplitude)
        normalise_peak(mix)
        out.copy_(mix)

    def _sources(self, score: Score) -> Tensor:
        """Render the waveform of each clip's source, shape (B, T), float32."""
        out = torch.empty(len(score), self.synth.n_samples, device=self.device)
        for position, name in enumerate(score.sources):
            rows = np.flatnonzero(score.source == position)
            if len(rows):
                parameters = {key: self._tensor(column[rows]) for key, column in score.parameters[name].items()}
                out[rows] = PRIMITIVES[name].waveform(
                    self._tensor(score.f0_hz[rows]),
                    **parameters,
                    n_samples=self.synth.n_samples,
                    sample_rate_hz=self.synth.sample_rate_hz,
                )
        return out

    def _tensor(self, column: NDArray[np.generic]) -> Tensor:
        """Put a column of the score on the device."""
        return torch.from_numpy(column).to(self.device)
