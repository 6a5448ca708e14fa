"""What is kept of a corpus for the analyses."""

import numpy as np
import torch

from audiopg.analysis.activations import log_mel_statistics


def test_statistics_by_hand() -> None:
    spectrogram = torch.tensor([[[0.0, 1.0], [2.0, 1.0]]])
    np.testing.assert_allclose(log_mel_statistics(spectrogram)[0, 0], [[1, 1], [1, 0]], atol=1e-6)
