"""Embeddings of whole recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.regression import CPU

from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.evaluate.embeddings import Statistics, View, embed, rich_statistics
from audiopg.features.logmel import LogMel
from audiopg.models.vit import Encoder, initialise


def recordings(quick: Config) -> Clips:
    generator = np.random.Generator(np.random.Philox(3))
    lengths = [32, 80, 32]
    frames = generator.standard_normal((sum(lengths), 128)).astype(np.float32)
    return Clips(frames, np.cumsum([0, *lengths]), window=32, log_mel=LogMel(quick.features))


def test_both_poolings_are_of_all_windows_of_a_recording_together(quick: Config, tmp_path: Path) -> None:
    encoder = Encoder(quick.encoder)
    initialise(encoder, 0)
    clips = recordings(quick)
    found = embed(clips, encoder, CPU, "x", tmp_path / "statistics.npy")
    assert found.statistics.shape == (3, 7, 5, 8, 128)  # recordings, layers, statistics, bands, width
    assert found.views == [View(layer, pooling) for layer in range(1, 8) for pooling in ("moments", "bands")]
    windows = clips.batch([1, 1, 1], [0, 24, 48])
    with torch.no_grad():
        tokens = [encoder.tokens(windows)]
        for block in encoder.blocks:
            tokens.append(block(tokens[-1]))
        tokens.append(encoder.norm(tokens[-1]))
    for layer, each in list(enumerate(tokens))[1:]:
        every = each.double().numpy().reshape(3, 4, 8, 128)  # windows, time, bands
        of_tokens = np.concatenate([every.mean((0, 1, 2)), every.std((0, 1, 2))])
        change = np.abs(np.diff(every, axis=1)).mean((0, 1))
        of_bands = [every.mean((0, 1)), every.std((0, 1)), change, every.max((0, 1)), every.min((0, 1))]
        for view, expected in (("moments", of_tokens), ("bands", np.ravel(of_bands))):  # kept in float16
            np.testing.assert_allclose(found.features(View(layer, view))[1], expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_embeddings_of_float32_within_one_part_in_a_hundred(
    quick: Config, tmp_path: Path, dtype: torch.dtype
) -> None:
    """Of the deviation of each number over tokens and recordings, which is what a probe reads."""
    encoder, clips = Encoder(quick.encoder), recordings(quick)
    initialise(encoder, 0)
    half = replace(CPU, autocast_dtype=dtype)
    exact, found = (embed(clips, encoder, one, "x", tmp_path / f"{one.name}.npy") for one in (CPU, half))
    for layer in exact.layers:
        expected, rounded = (each.features(View(layer, "bands")).reshape(3, 5, -1) for each in (exact, found))
        error = np.sqrt(np.square(rounded - expected).mean())
        deviation = expected[:, 1].mean()
        assert 0 < error < 0.01 * deviation, layer


def test_statistics_are_those_of_the_whole_recording(quick: Config) -> None:
    """Two halves of different level: within each window nothing moves, within the recording it does."""
    frames = np.repeat(np.float32([1, 3, 2]), 32)[:, None].repeat(128, axis=1)
    clips = Clips(frames, np.array([0, 64, 96]), window=32, log_mel=LogMel(quick.features))
    found = Statistics(clips, "x")
    simple, rich = (found.features(view) for view in found.views)
    assert (simple.shape, rich.shape) == ((2, 256), (2, 17 * 128))
    np.testing.assert_allclose(simple[:, :128], [[2] * 128] * 2, atol=1e-6)
    np.testing.assert_allclose(simple[:, 128:], [[1] * 128, [0] * 128], atol=1e-6)
    np.testing.assert_allclose(rich[:, :256], simple)


def test_a_modulation_is_in_its_band() -> None:
    """A level that goes up and down five times a second by ±1: a mean square of 1/2, all of it in 4 to 8 Hz."""
    wave = np.sin(2 * np.pi * 5 * np.arange(400) * 0.01, dtype=np.float32)[:, None].repeat(2, axis=1)
    found = rich_statistics(wave, 10)
    power = np.exp(found[9:14, 0]) - 1e-4
    np.testing.assert_allclose(power, [0, 0, 0.25, 0, 0], atol=1e-6)  # one side of the spectrum
    np.testing.assert_allclose(found[4:9, 0], np.quantile(wave[:, 0], [0.1, 0.25, 0.5, 0.75, 0.9]), atol=1e-6)
    np.testing.assert_allclose(found[2, 0], np.abs(np.diff(wave[:, 0])).sum() / 400, atol=1e-6)
