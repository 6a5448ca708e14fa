"""Embeddings of whole recordings."""

import numpy as np
import torch
from support.regression import CPU

from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.evaluate.embeddings import embed, log_mel_statistics
from audiopg.features.logmel import LogMel
from audiopg.models.vit import Encoder, initialise


def recordings(quick: Config) -> Clips:
    generator = np.random.Generator(np.random.Philox(3))
    lengths = [32, 80, 32]
    frames = generator.standard_normal((sum(lengths), 128)).astype(np.float32)
    return Clips(frames, np.cumsum([0, *lengths]), window=32, log_mel=LogMel(quick.features))


def test_an_embedding_is_of_all_windows_of_a_recording_together(quick: Config) -> None:
    encoder = Encoder(quick.encoder)
    initialise(encoder, 0)
    clips = recordings(quick)
    found = embed(clips, encoder, CPU, "x")
    assert found.shape == (3, 8, 256)
    windows = clips.batch([1, 1, 1], [0, 24, 48])
    with torch.no_grad():
        tokens = [encoder.tokens(windows)]
        for block in encoder.blocks:
            tokens.append(block(tokens[-1]))
        tokens.append(encoder.norm(tokens[-1]))
    for layer, each in enumerate(tokens):
        every = each.reshape(-1, 128).double().numpy()
        np.testing.assert_allclose(found[1, layer], np.concatenate([every.mean(0), every.std(0)]), atol=1e-5)


def test_statistics_are_those_of_the_whole_recording(quick: Config) -> None:
    """Two halves of different level: within each window nothing moves, within the recording it does."""
    frames = np.repeat(np.float32([1, 3, 2]), 32)[:, None].repeat(128, axis=1)
    clips = Clips(frames, np.array([0, 64, 96]), window=32, log_mel=LogMel(quick.features))
    found = embed(clips, None, CPU, "x")
    assert found.shape == (2, 1, 256)
    np.testing.assert_allclose(found[:, 0, :128], [[2] * 128] * 2, atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 128:], [[1] * 128, [0] * 128], atol=1e-6)


def test_statistics_by_hand() -> None:
    spectrogram = torch.tensor([[[0.0, 1.0], [2.0, 1.0]]])
    np.testing.assert_allclose(log_mel_statistics(spectrogram)[0, 0], [[1, 1], [1, 0]], atol=1e-6)
