"""Probes on planted features; protocol that lets no group cross."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV
from support.finetuning import separable_task
from support.manifests import in_splits, manifest

from audiopg import config, storage
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.evaluate import probes
from audiopg.evaluate.probes import Selected, linear, nearest, scores
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import Encoder, untrained
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest

PROBE = config.Probe(ridge_alphas=[0.01, 1.0, 100.0], knn_k=3, n_threads=1)
CARD = Card("x", "X", "none", "none", "none", "folds", (60, 60, 60, 60), 3, "accuracy")
SPLIT = replace(CARD, protocol="split", sizes=(120, 60, 60))
CPU = Backend(torch.device("cpu"), None)


def features(informative_layer: int, n: int = 240, n_layers: int = 3) -> NDArray[np.float32]:
    generator = np.random.Generator(np.random.Philox(1))
    values = generator.standard_normal((n, n_layers, 8)).astype(np.float32)
    values[:, informative_layer, :3] += 6 * np.eye(3, dtype=np.float32)[np.arange(n) % 3]
    return values


@pytest.mark.parametrize("probe", [linear, nearest])
@pytest.mark.parametrize("layer", [0, 2])
def test_the_informative_layer_is_selected_inside_training(probe: object, layer: int) -> None:
    assert min(scores(probe, features(layer), manifest(), CARD, PROBE)["accuracy"]) > 0.95


def test_noise_is_at_chance() -> None:
    noise = np.random.Generator(np.random.Philox(2)).standard_normal((240, 2, 8)).astype(np.float32)
    assert np.mean(scores(linear, noise, manifest(), CARD, PROBE)["accuracy"]) == pytest.approx(1 / 3, abs=0.12)


def test_too_few_clips_for_the_neighbours_are_told() -> None:
    few = manifest(16)
    cards = replace(CARD, sizes=(4, 4, 4, 4))
    # of three folds that are not held out, two are left to learn from
    with pytest.raises(AudiopgError, match=r"^x: \d clips to learn from are fewer than probe.knn_k = 9; lower it$"):
        scores(nearest, features(0, 16), few, cards, PROBE.model_copy(update={"knn_k": 9}))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Selected]:
    """Every probe that was selected and fitted, in order."""
    found: list[Selected] = []
    genuine = probes.select

    def watched(*arguments: Any) -> Selected:  # noqa: ANN401
        found.append(genuine(*arguments))
        return found[-1]

    monkeypatch.setattr(probes, "select", watched)
    return found


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[GridSearchCV]:
    """Every search of a penalty, in order."""
    found: list[GridSearchCV] = []

    class Watched(GridSearchCV):
        def fit(self, *arguments: object) -> GridSearchCV:
            found.append(self)
            return super().fit(*arguments)

    monkeypatch.setattr(probes, "GridSearchCV", Watched)
    return found


def test_the_test_fold_reaches_neither_fit_nor_selection(fitted: list[Selected]) -> None:
    """Whatever the features of fold 2 are, the probe that is scored on fold 2 is the same."""
    listed = manifest()
    clean = features(1)
    poisoned = clean.copy()
    poisoned[listed.parts == 2] = np.roll(clean[listed.parts == 2], 1, axis=0)
    for values in (clean, poisoned):
        scores(linear, values, listed, CARD, PROBE)
    found = [(each.estimator.get_params()["ridge__alpha"], each.predict(clean)) for each in fitted]
    changed = [
        not (before[0] == after[0] and np.array_equal(before[1], after[1]))
        for before, after in zip(found[:4], found[4:], strict=True)
    ]
    assert changed == [True, False, True, True]


def test_with_a_split_selection_is_on_validation_and_the_test_clips_reach_nothing(
    fitted: list[Selected], searches: list[GridSearchCV]
) -> None:
    listed = in_splits()
    clean, validation_only, poisoned = features(1), features(0), features(1)
    # layer 0 tells the classes of training and test clips, layer 2 those of training and validation clips
    validation_only[listed.parts == "val"] = 0
    validation_only[:, 2] = features(2)[:, 2]
    validation_only[listed.parts == "test", 2] = 0
    poisoned[listed.parts == "test"] = 0
    for values in (clean, poisoned, validation_only):
        assert list(scores(linear, values, listed, SPLIT, PROBE)) == ["accuracy"]
    assert [each.layer for each in fitted] == [1, 1, 2]
    assert {search.n_splits_ for search in searches} == {1}
    assert np.array_equal(fitted[0].predict(clean), fitted[1].predict(clean))


def test_several_labels_are_scored_by_precision() -> None:
    listed = Manifest(
        tuple(
            replace(row, labels=(*row.labels, "late")) if int(row.path[:3]) >= 120 else row for row in manifest().rows
        )
    )
    values = features(1)
    values[120:, 1, 5] += 6
    card = replace(CARD, n_classes=4, metric="mAP")
    found = scores(linear, values, listed, card, PROBE)
    assert list(found) == ["mAP", "d_prime", "lwlrap"]
    assert min(found["mAP"]) > 0.95
    assert min(scores(nearest, values, listed, card, PROBE)["mAP"]) > 0.9


def test_probes_learn_from_the_share_alone(fitted: list[Selected], searches: list[GridSearchCV]) -> None:
    """Selection included: what the other training recordings are makes no difference."""
    listed, values = manifest(), features(1)
    poisoned = values.copy()
    shares = [split(listed, fold, 0.25, seed=5).train for fold in (1, 2, 3, 4)]
    unused = np.setdiff1d(np.arange(240), np.concatenate(shares))
    assert len(unused) > 20
    poisoned[unused] = 9
    for found in (values, poisoned):
        scores(linear, found, listed, CARD, PROBE, 0.25, 5)
    for before, after in zip(fitted[:4], fitted[4:], strict=True):
        assert np.array_equal(before.predict(values), after.predict(values))
    assert {search.n_splits_ for search in searches} == {3}


def test_each_row_reads_its_own_features_with_its_own_probe(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pre-trained encoder, the one that pre-training starts from, and none; all with the same recordings."""
    paths = separable_task(tiny, tmp_path)
    encoders = {"pretrained": untrained(tiny.encoder, 99), "random": untrained(tiny.encoder, tiny.seed)}
    save_encoder(tmp_path / "encoder.safetensors", encoders["pretrained"], tiny.features)
    numbers = ["log-mel", *encoders]
    section = tiny.tasks["drums"].model_copy(update={"train_share": 0.5})
    cfg = tiny.model_copy(update={"tasks": {"drums": section}})

    def name(encoder: Encoder | None) -> str:
        if encoder is None:
            return "log-mel"
        (found,) = [name for name, each in encoders.items() if torch.equal(each.embed.weight, encoder.embed.weight)]
        return found

    def marked(_clips: Clips, encoder: Encoder | None, *_: object) -> NDArray[np.float32]:
        return np.full((1, 1, 1), numbers.index(name(encoder)), dtype=np.float32)

    def told(probe: Any, features: NDArray[np.float32], *given: Any) -> list[object]:  # noqa: ANN401
        assert [card.name for card in given[1:2]] == ["drums"]
        return [probe.__name__, numbers[int(features[0, 0, 0])], *given[3:]]

    monkeypatch.setattr(probes, "embed", marked)
    monkeypatch.setattr(probes, "scores", told)
    probes.run(cfg, "drums", *paths, tmp_path / "encoder.safetensors", tmp_path / "probe")
    assert storage.read_json(tmp_path / "probe" / "scores.json") == {
        "probe_linear": ["linear", "pretrained", 0.5, cfg.seed],
        "probe_knn": ["nearest", "pretrained", 0.5, cfg.seed],
        "probe_random": ["linear", "random", 0.5, cfg.seed],
        "logmel_stats": ["linear", "log-mel", 0.5, cfg.seed],
    }
