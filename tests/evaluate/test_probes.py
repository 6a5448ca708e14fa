"""Probes on planted features; protocol that lets no group cross."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from support.finetuning import separable_task
from support.manifests import in_splits, manifest

from audiopg import config, storage
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.errors import AudiopgError
from audiopg.evaluate import probes
from audiopg.evaluate.embeddings import Embeddings, View
from audiopg.evaluate.probes import Linear, Nearest, scores
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import Encoder, untrained
from audiopg.tasks.card import Card
from audiopg.tasks.manifest import Manifest

PROBE = config.Probe(ridge_alphas=[0.01, 1.0, 100.0], knn_k=3, n_threads=1)
CARD = Card("x", "X", "none", "none", "none", "folds", (60, 60, 60, 60), 3, "accuracy")
SPLIT = replace(CARD, protocol="split", sizes=(120, 60, 60))
CPU = Backend(torch.device("cpu"), None)
LINEAR, NEAREST = Linear(PROBE, torch.device("cpu")), Nearest(PROBE)


def embeddings(values: NDArray[np.float32]) -> Embeddings:
    """Number the layers from 0."""
    return Embeddings(values, range(values.shape[1]))


def moments(informative_layer: int, n: int = 240, n_layers: int = 3) -> NDArray[np.float32]:
    """Features of two bands; the classes are told by the means of both bands of one layer."""
    generator = np.random.Generator(np.random.Philox(1))
    values = generator.standard_normal((n, n_layers, 2, 2, 8)).astype(np.float32)
    values[:, :, 1] = abs(values[:, :, 1])  # deviations
    values[:, informative_layer, 0, :, :3] += 6 * np.eye(3, dtype=np.float32)[np.arange(n) % 3, None]
    return values


@pytest.mark.parametrize("probe", [LINEAR, NEAREST])
@pytest.mark.parametrize("layer", [0, 2])
def test_the_informative_layer_is_selected_inside_training(probe: Linear | Nearest, layer: int) -> None:
    found, choices = scores(probe, embeddings(moments(layer)), manifest(), CARD, PROBE)
    assert min(found["accuracy"]) > 0.9
    assert {choice.view.layer for choice in choices} == {layer}


@pytest.mark.parametrize("probe", [LINEAR, NEAREST])
def test_what_bands_tell_apart_is_read_side_by_side(probe: Linear | Nearest) -> None:
    """One class is up in the low band, one in the high band, one in neither: the sum over the bands hides it."""
    values = moments(0)
    values[:, 0, 0, :, :3] = 0
    values[:, 0, 0, 0, 0] = [(3, -3, 0)[number % 3] for number in range(240)]
    values[:, 0, 0, 1, 0] = -values[:, 0, 0, 0, 0]
    values[:, 0, 1] = np.sqrt(20 - np.square(values[:, 0, 0]).clip(max=19))  # and so does the deviation
    found, choices = scores(probe, embeddings(values[:, :1]), manifest(), CARD, PROBE)
    assert {choice.view for choice in choices} == {View(0, "bands")}
    assert min(found["accuracy"]) > 0.9


def test_noise_is_at_chance() -> None:
    noise = np.random.Generator(np.random.Philox(2)).standard_normal((240, 2, 2, 2, 8)).astype(np.float32)
    found, _ = scores(LINEAR, embeddings(noise), manifest(), CARD, PROBE)
    assert np.mean(found["accuracy"]) == pytest.approx(1 / 3, abs=0.12)


def test_features_of_any_scale_and_constant_ones_do_no_harm() -> None:
    values = moments(1)
    values[..., :3] *= 1e-3
    values[..., 7] = 5
    found, _ = scores(LINEAR, embeddings(values), manifest(), CARD, PROBE)
    assert min(found["accuracy"]) > 0.95


def test_too_few_clips_for_the_neighbours_are_told() -> None:
    few = manifest(16)
    cards = replace(CARD, sizes=(4, 4, 4, 4))
    # of three folds that are not held out, two are left to learn from
    with pytest.raises(AudiopgError, match=r"^x: \d clips to learn from are fewer than probe.knn_k = 9; lower it$"):
        scores(NEAREST, embeddings(moments(0, 16)), few, cards, PROBE.model_copy(update={"knn_k": 9}))


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float64]]:
    """What each probe that was selected and fitted says of single features, and so its weights, in order."""
    found: list[NDArray[np.float64]] = []
    fit = Linear.fit

    def watched(self: Linear, x: Any, y: Any, penalty: float) -> Any:  # noqa: ANN401
        predict = fit(self, x, y, penalty)
        found.append(predict(np.eye(x.shape[1])))
        return predict

    monkeypatch.setattr(Linear, "fit", watched)
    return found


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many parts each selection left out in turn."""
    found: list[int] = []
    genuine = Linear.left_out

    def watched(self: Linear, x: Any, y: Any, left: Sequence[Any]) -> Any:  # noqa: ANN401
        found.append(len(left))
        return genuine(self, x, y, left)

    monkeypatch.setattr(Linear, "left_out", watched)
    return found


def test_the_test_fold_reaches_neither_fit_nor_selection(predicted: list[NDArray[np.float64]]) -> None:
    """Whatever the features of fold 2 are, the probe that is scored on fold 2 is the same."""
    listed = manifest()
    clean = moments(1)
    poisoned = clean.copy()
    poisoned[listed.parts == 2] = np.roll(clean[listed.parts == 2], 1, axis=0)
    choices = [scores(LINEAR, embeddings(values), listed, CARD, PROBE)[1] for values in (clean, poisoned)]
    changed = [
        before != after or not np.array_equal(first, second)
        for before, after, first, second in zip(*choices, predicted[:4], predicted[4:], strict=True)
    ]
    assert changed == [True, False, True, True]


def test_with_a_split_selection_is_on_validation_and_the_test_clips_reach_nothing(
    predicted: list[NDArray[np.float64]], parts: list[int]
) -> None:
    listed = in_splits()
    clean, validation_only, poisoned = moments(1), moments(0), moments(1)
    # layer 0 tells the classes of training and test clips, layer 2 those of training and validation clips
    validation_only[listed.parts == "val"] = 0
    validation_only[:, 2] = moments(2)[:, 2]
    validation_only[listed.parts == "test", 2] = 0
    poisoned[listed.parts == "test"] = 0
    layers = []
    for values in (clean, poisoned, validation_only):
        found, choices = scores(LINEAR, embeddings(values), listed, SPLIT, PROBE)
        assert list(found) == ["accuracy"]
        layers += [choice.view.layer for choice in choices]
    assert layers == [1, 1, 2]
    assert set(parts) == {1}
    assert np.array_equal(predicted[0], predicted[1])


def test_several_labels_are_scored_by_precision() -> None:
    listed = Manifest(
        tuple(
            replace(row, labels=(*row.labels, "late")) if int(row.path[:3]) >= 120 else row for row in manifest().rows
        )
    )
    values = moments(1)
    values[120:, 1, 0, :, 5] += 6
    card = replace(CARD, n_classes=4, metric="mAP")
    found, _ = scores(LINEAR, embeddings(values), listed, card, PROBE)
    assert list(found) == ["mAP", "d_prime", "lwlrap"]
    assert min(found["mAP"]) > 0.95
    assert min(scores(NEAREST, embeddings(values), listed, card, PROBE)[0]["mAP"]) > 0.9


def test_probes_learn_from_the_share_alone(predicted: list[NDArray[np.float64]], parts: list[int]) -> None:
    """Selection included: what the other training recordings are makes no difference."""
    listed, values = manifest(), moments(1)
    poisoned = values.copy()
    shares = [split(listed, fold, 0.25, seed=5).train for fold in (1, 2, 3, 4)]
    unused = np.setdiff1d(np.arange(240), np.concatenate(shares))
    assert len(unused) > 20
    poisoned[unused] = 9
    for found in (values, poisoned):
        scores(LINEAR, embeddings(found), listed, CARD, PROBE, 0.25, 5)
    for before, after in zip(predicted[:4], predicted[4:], strict=True):
        assert np.array_equal(before, after)
    assert set(parts) == {3}


def test_each_row_reads_its_own_features_with_its_own_probe(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pre-trained encoder, three of random weights of which the first begins pre-training, and none."""
    paths = separable_task(tiny, tmp_path)
    encoders = {"pre-trained": untrained(tiny.encoder, 99)}
    encoders |= {f"random {draw}": untrained(tiny.encoder, tiny.seed, draw) for draw in range(3)}
    save_encoder(tmp_path / "encoder.safetensors", encoders["pre-trained"], tiny.features)
    section = tiny.tasks["drums"].model_copy(update={"train_share": 0.5})
    cfg = tiny.model_copy(update={"tasks": {"drums": section}})
    asked = []

    def named(_clips: Clips, encoder: Encoder, *_: object) -> str:
        (found,) = [name for name, each in encoders.items() if torch.equal(each.embed.weight, encoder.embed.weight)]
        return found

    def told(probe: Any, features: Any, *given: Any) -> tuple[dict[str, list[float]], list[Any]]:  # noqa: ANN401
        asked.append((type(probe).__name__, features, given[1].name, *given[3:]))
        return {"accuracy": [len(asked), 0.0]}, [probes.Choice(View(1, "bands"), 0.1, 0.5)] * 2

    monkeypatch.setattr(probes, "embed", named)
    monkeypatch.setattr(probes, "Statistics", lambda *_: "log-mel")
    monkeypatch.setattr(probes, "scores", told)
    out = tmp_path / "probe"
    probes.run(cfg, "drums", *paths, tmp_path / "encoder.safetensors", out)
    last = ("drums", 0.5, cfg.seed)
    assert asked == [
        ("Linear", "pre-trained", *last),
        ("Nearest", "pre-trained", *last),
        *(("Linear", f"random {draw}", *last) for draw in range(3)),
        ("Linear", "log-mel", *last),
    ]
    assert storage.read_json(out / "scores.json") == {
        "probe_linear": {"accuracy": [1, 0]},
        "probe_knn": {"accuracy": [2, 0]},
        "probe_random": {"accuracy": [4, 0]},
        "logmel_stats": {"accuracy": [6, 0]},
    }
    choices = pd.read_csv(out / "choices.csv")
    assert list(choices["row"].value_counts(sort=False)) == [2, 2, 6, 2]
    assert list(choices[choices["row"] == "probe_random"]["accuracy"]) == [3, 0, 4, 0, 5, 0]
    assert sorted(path.name for path in out.iterdir()) == ["choices.csv", "run.json", "scores.json"]
