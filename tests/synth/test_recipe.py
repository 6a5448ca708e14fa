"""Log-mel statistics of preset `paper` against the released recipe's, rendered by other code from other numbers.

Mean and standard deviation over frames and clips, in eight regions of 16 mel bins each. With the faults mended, theirs
and ours agree; with them, the released recipe is louder by 0.14 of its unit (2 · 4.56 in the logarithm of the power),
about the same in all regions. Measured over 300 clips, alone: the clamp to ±1 gives 0.06, bursts that are added before
the events are cut 0.06, folding 0.03, and an exponent per partial and no triangles 0.01 each. The first two take away
what sets the peak, and so raise all the rest.
"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import kaldi, recipe

from audiopg import config
from audiopg.config import Config
from audiopg.features.logmel import LogMel
from audiopg.synth.world import World

pytestmark = pytest.mark.slow
N_CLIPS, N_REGIONS = 200, 8
Floats = NDArray[np.float64]


def theirs(faults: frozenset[str], seed: int, features: config.Features) -> Floats:
    """Spectrograms of the recipe, by Kaldi's definition as torchaudio has it, shape (B, F, M)."""
    rng = np.random.default_rng(seed)
    clips = (torch.from_numpy(recipe.clip(rng, faults)).float() for _ in range(N_CLIPS))
    return torch.stack([kaldi.log_mel(clip, features) for clip in clips]).double().numpy()


@pytest.fixture(scope="module")
def ours(paper: config.Synth, tiny: Config) -> Floats:
    clips = World(paper, 42).play(range(N_CLIPS))
    # Kaldi stops where a whole window no longer fits
    return LogMel(tiny.features)(clips)[:, :1022].double().numpy()


def regions(spectrograms: Floats) -> tuple[Floats, Floats]:
    parts = spectrograms.reshape(-1, N_REGIONS, 128 // N_REGIONS)
    return parts.mean(axis=(0, 2)), parts.std(axis=(0, 2))


def test_the_presets_statistics_are_those_of_the_recipe_with_its_faults_mended(ours: Floats, tiny: Config) -> None:
    """A region's mean has a standard error of 0.015; the bounds are four of the difference's."""
    expected = theirs(frozenset(), 1, tiny.features)
    assert ours.mean() == pytest.approx(expected.mean(), abs=0.06)
    assert ours.std() == pytest.approx(expected.std(), abs=0.04)
    (mean, std), (their_mean, their_std) = regions(ours), regions(expected)
    np.testing.assert_allclose(mean, their_mean, atol=0.08)
    np.testing.assert_allclose(std, their_std, atol=0.08)


def test_the_released_recipe_is_louder_by_what_its_faults_do(ours: Floats, tiny: Config) -> None:
    expected = theirs(recipe.FAULTS, 1, tiny.features)
    assert expected.mean() - ours.mean() == pytest.approx(0.14, abs=0.06)
    (mean, std), (their_mean, their_std) = regions(ours), regions(expected)
    np.testing.assert_allclose(their_mean - mean, 0.14, atol=0.09)
    np.testing.assert_allclose(std, their_std, atol=0.1)
