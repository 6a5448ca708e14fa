"""Probes on planted features; protocol that lets no group cross."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV

from audiopg import config
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.evaluate.embeddings import embed, log_mel_statistics
from audiopg.evaluate.metrics import accuracy
from audiopg.evaluate.probes import fold_scores, linear, nearest
from audiopg.evaluate.protocol import split
from audiopg.models.vit import Encoder, initialise
from audiopg.tasks.manifest import Manifest, Row

PROBE = config.Probe(ridge_alphas=[0.01, 1.0, 100.0], knn_k=3, n_threads=1)
CPU = Backend(torch.device("cpu"), None)


def manifest(n: int = 240, n_classes: int = 3) -> Manifest:
    rows = [
        Row(f"{i:03d}.wav", (f"c{i % n_classes}",), i // n_classes % 4 + 1, "", f"g{i}", 1.0, "", "", "")
        for i in range(n)
    ]
    return Manifest(tuple(rows))


def features(informative_layer: int, n: int = 240, n_layers: int = 3) -> NDArray[np.float32]:
    generator = np.random.Generator(np.random.Philox(1))
    values = generator.standard_normal((n, n_layers, 8)).astype(np.float32)
    values[:, informative_layer, :3] += 6 * np.eye(3, dtype=np.float32)[np.arange(n) % 3]
    return values


@pytest.mark.parametrize("probe", [linear, nearest])
@pytest.mark.parametrize("layer", [0, 2])
def test_the_informative_layer_is_selected_inside_training(probe: object, layer: int) -> None:
    assert min(fold_scores(probe, features(layer), manifest(), PROBE)) > 0.95


def test_noise_is_at_chance() -> None:
    noise = np.random.Generator(np.random.Philox(2)).standard_normal((240, 2, 8)).astype(np.float32)
    assert np.mean(fold_scores(linear, noise, manifest(), PROBE)) == pytest.approx(1 / 3, abs=0.12)


def test_the_test_fold_reaches_neither_fit_nor_selection() -> None:
    """Whatever the features of fold 2 are, the probe that is scored on fold 2 is the same."""
    listed, fitted = manifest(), []

    def watched(n_layers: int, folds: NDArray[np.int64], cfg: config.Probe) -> GridSearchCV:
        fitted.append(linear(n_layers, folds, cfg))
        return fitted[-1]

    clean = features(1)
    poisoned = clean.copy()
    poisoned[listed.folds == 2] = np.roll(clean[listed.folds == 2], 1, axis=0)
    for values in (clean, poisoned):
        fold_scores(watched, values, listed, PROBE)
    probes = [(search.best_params_["ridgeclassifier__alpha"], search.decision_function(clean)) for search in fitted]
    changed = [
        not (before[0] == after[0] and np.array_equal(before[1], after[1]))
        for before, after in zip(probes[:4], probes[4:], strict=True)
    ]
    assert changed == [True, False, True, True]


def test_a_split_holds_one_fold_out() -> None:
    train, test = split(manifest(), 3)
    assert len(test) == 60
    assert set(train) | set(test) == set(range(240))
    assert not set(train) & set(test)


def test_a_group_on_both_sides_is_an_error() -> None:
    rows = [Row(f"{i}.wav", ("a",), i + 1, "", "same", 1.0, "", "", "") for i in range(2)]
    with pytest.raises(AudiopgError, match="fold 1: group 'same' lies in training and in test"):
        split(Manifest(tuple(rows)), 1)
    with pytest.raises(AudiopgError, match="fold 9 has no clips"):
        split(manifest(), 9)


def test_accuracy_by_hand() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(np.array([1, 0, 0, 1]), scores) == 0.5


def recordings() -> Clips:
    generator = np.random.Generator(np.random.Philox(3))
    lengths = [32, 80, 32]
    frames = generator.standard_normal((sum(lengths), 128)).astype(np.float32)
    return Clips(frames, np.cumsum([0, *lengths]), window=32, silence=-1.0)


def test_an_embedding_averages_the_windows(quick: Config) -> None:
    encoder = Encoder(quick.encoder)
    initialise(encoder, 0)
    clips = recordings()
    found = embed(clips, encoder, CPU, "x")
    assert found.shape == (3, 8, 128)
    with torch.no_grad():
        windows = encoder.layers(clips.batch([1, 1, 1], [0, 24, 48])).mean(dim=0).numpy()
    np.testing.assert_allclose(found[1], windows, atol=1e-5)


def test_statistics_by_hand() -> None:
    spectrogram = torch.tensor([[[0.0, 1.0], [2.0, 1.0]]])
    np.testing.assert_allclose(log_mel_statistics(spectrogram)[0, 0], [1, 1, 2**0.5, 0], atol=1e-6)
