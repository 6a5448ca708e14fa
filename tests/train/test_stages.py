"""The training stages as a whole: they learn, they repeat, the two initialisations differ in their weights only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from audiopg import storage
from audiopg.compute import Backend
from audiopg.config import Config
from audiopg.data.clips import Clips
from audiopg.data.synthetic import SyntheticClips
from audiopg.models.checkpoint import save_encoder
from audiopg.models.classifier import Classifier
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import Encoder, initialise
from audiopg.tasks import TASKS
from audiopg.train import finetune
from audiopg.train.finetune import Batches, predict
from audiopg.train.loop import Training

CPU = Backend(torch.device("cpu"), None)


def test_the_masked_autoencoder_overfits_one_batch(tiny: Config) -> None:
    clips = SyntheticClips(tiny.synth, tiny.features, 0, torch.device("cpu")).batch(range(4))
    noise = torch.rand(4, 64, generator=torch.Generator().manual_seed(0))
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, 0.5)
    initialise(model, 0)
    optimizer = tiny.pretrain.optimizer.model_copy(update={"lr": 3e-3})
    training = Training(model, optimizer, 60)
    training.fit(lambda _: clips, lambda batch: model(batch, noise).loss, CPU, "overfit", 4)
    assert training.losses[-1] < 0.75 * training.losses[0]


def separable() -> tuple[Clips, NDArray[np.int64]]:
    """Recordings whose class is the band that is loud."""
    generator = np.random.Generator(np.random.Philox(1))
    classes = np.arange(24) % 3
    frames = generator.standard_normal((24 * 32, 128)).astype(np.float32)
    for row, label in enumerate(classes):
        frames[row * 32 : (row + 1) * 32, label * 40 : label * 40 + 20] += 3
    return Clips(frames, np.arange(25) * 32, window=32, silence=-1.28), classes


def test_the_classifier_learns_what_is_easy(tiny: Config) -> None:
    clips, classes = separable()
    changes = {"n_epochs": 30, "batch_size": 8, "shift_frames": 2, "mixup_alpha": 0.0}
    recipe = tiny.recipe("drums").model_copy(update=changes)
    batches = Batches(clips, classes, np.arange(16), 3)
    model = Classifier(tiny.encoder, 3)
    initialise(model, 0)
    training = Training(model, recipe.optimizer, batches.n_steps(recipe))

    def loss_of(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        spectrograms, targets = batch
        return functional.cross_entropy(model(spectrograms), targets)

    training.fit(lambda step: batches.batch(recipe, 0, "easy", step), loss_of, CPU, "easy", 8)
    scores = predict(model, clips, np.arange(16, 24), CPU)
    assert (scores.argmax(axis=1) == classes[16:]).all()


def test_an_epoch_shows_each_training_clip_once(tiny: Config) -> None:
    clips, classes = separable()
    recipe = tiny.recipe("drums").model_copy(
        update={"n_epochs": 2, "batch_size": 5, "shift_frames": 0, "label_smoothing": 0.0, "mixup_alpha": 0.0}
    )
    rows = np.arange(1, 18)
    batches = Batches(clips, classes, rows, 3)
    assert batches.n_steps(recipe) == 8
    for epoch in range(2):
        seen = torch.cat([batches.batch(recipe, 0, "x", epoch * 4 + step)[0] for step in range(4)])
        expected = clips.batch(rows.tolist(), [0] * 17)
        assert sorted(seen.sum((1, 2)).tolist()) == sorted(expected.sum((1, 2)).tolist())
    first, again, other = (batches.batch(recipe, seed, "x", 3) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])


def test_labels_are_smoothed_as_stated(tiny: Config) -> None:
    clips, classes = separable()
    recipe = tiny.recipe("drums").model_copy(update={"batch_size": 4, "label_smoothing": 0.3, "mixup_alpha": 0.0})
    _, targets = Batches(clips, classes, np.arange(4), 3).batch(recipe, 0, "x", 0)
    assert sorted(targets[0].tolist()) == pytest.approx([0.1, 0.1, 0.8])


@pytest.mark.slow
def test_two_fine_tunings_are_identical(
    tiny: Config, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOPG_DATA", str(tmp_path_factory.mktemp("data")))
    root = TASKS["drums"].locate(tmp_path)
    manifest = tmp_path / "manifest.csv"
    TASKS["drums"].make_manifest(root).write(manifest)
    encoder = Encoder(tiny.encoder)
    initialise(encoder, 99)
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, tiny.features)
    runs = {"a": None, "b": None, "c": path}
    for name, start in runs.items():
        finetune.run(tiny, "drums", 1, "pretrained" if start else "scratch", manifest, start, tmp_path / name)
    files = ("loss.csv", "predictions.csv", "metrics.json", "classifier.safetensors")
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert (tmp_path / "a" / "loss.csv").read_bytes() != (tmp_path / "c" / "loss.csv").read_bytes()
    cards = [storage.read_json(tmp_path / name / "card.json") for name in ("a", "c")]
    assert cards[0]["params"] == cards[1]["params"]
    assert list(cards[1]["inputs"]) == [manifest.as_posix(), path.as_posix()]
