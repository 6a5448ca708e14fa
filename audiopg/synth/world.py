"""The corpus as waveforms: from index to score to sound."""

from collections.abc import Sequence

import torch
from torch import Tensor

from audiopg import config
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player as batched
from audiopg.synth.compiled import player as compiled
from audiopg.synth.distributions import check
from audiopg.synth.parameters import draw
from audiopg.synth.score import Score
from audiopg.synth.sources.primitive import Grid


class World:
    """Player of one corpus: the same index is the same clip in any batch.

    On a CPU the compiled renderer plays, on torch's number of threads; elsewhere the batched one. The two agree within
    1e-4 of full scale.

    >>> from audiopg.config.profile import load
    >>> world = World(load("quick").synth, seed=42)
    >>> clips = world.play(range(4))  # (B, T), float32, peak 1
    >>> clips.shape, round(clips.abs().max().item(), 4)
    (torch.Size([4, 20480]), 1.0)
    >>> bool((world.play([3])[0] == clips[3]).all())
    True
    """

    def __init__(
        self, synth: config.Synth, seed: int, device: torch.device | str = "cpu", n_threads: int | None = None
    ) -> None:
        """Take the ``synth`` section and the corpus seed.

        Args:
            synth: the section.
            seed: of the corpus.
            device: what plays.
            n_threads: threads of a CPU; None takes torch's number.

        Raises:
            AudiopgError: an unknown primitive, an unknown or missing parameter, or a value that it may not take.
        """
        check(synth)
        self.synth = synth
        self.seed = seed
        self.device = torch.device(device)
        self.n_threads = n_threads
        self.grid = Grid(synth.n_samples, synth.sample_rate_hz)

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
        playlist = arrange(score, self.grid)
        if self.device.type == "cpu":
            return torch.from_numpy(compiled.render(playlist, self.n_threads or torch.get_num_threads()))
        return batched.render(playlist, self.device)
