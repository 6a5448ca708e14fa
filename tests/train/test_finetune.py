"""The training stages as a whole: they learn, they repeat, the two initialisations differ in their weights only."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from support.finetuning import EVERYTHING, batches, separable, separable_task, write_decoded
from torch import Tensor

from audiopg import storage
from audiopg.arrays import Float64, Int64
from audiopg.compute import Backend
from audiopg.config import Config, params, profile
from audiopg.config.train import Search
from audiopg.data import decode, prepare
from audiopg.data.clips import Clips
from audiopg.evaluate import probes
from audiopg.evaluate.protocol import split
from audiopg.models.checkpoint import save_encoder
from audiopg.models.classifier import Classifier
from audiopg.models.vit import Encoder, initialise, untrained
from audiopg.tasks.manifest import Manifest
from audiopg.train import classify, finetune
from audiopg.train.batches import Batches
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.classify import predict

CPU = Backend(torch.device("cpu"), None)


class Predicted(NamedTuple):
    """A classifier when it predicts its test recordings; weights and scores are kept nowhere else."""

    weights: dict[str, Tensor]
    scores: Float64


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[Predicted]:
    """Each classifier that predicts its test recordings."""
    found: list[Predicted] = []

    def kept(model: Classifier, clips: Clips, rows: Int64, backend: Backend, label: str) -> Float64:
        scores = predict(model, clips, rows, backend, label)
        if label.endswith(": testing"):
            found.append(Predicted({name: tensor.clone() for name, tensor in model.state_dict().items()}, scores))
        return scores

    monkeypatch.setattr(finetune, "predict", kept)
    return found


def assert_equal(one: Predicted, other: Predicted) -> None:
    """Two classifiers have the same weights, to the bit."""
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_classifier_learns_what_is_easy(tiny: Config, multi_label: bool) -> None:
    data = batches(tiny, np.arange(16), multi_label=multi_label, n_epochs=30, batch_size=8, shift_frames=2)
    model = Classifier(tiny.encoder, 3)
    initialise(model, 0)
    classify.train(model, data, CPU, "easy", None)
    scores = predict(model, data.clips, np.arange(16, 24), CPU, "easy")
    assert (scores.argmax(axis=1) == data.targets[16:].argmax(axis=1)).all()
    if multi_label:  # its scores are the odds of each label, not of each label against the others
        assert ((scores > 0) == data.targets[16:]).mean() > 0.9


@pytest.mark.parametrize("task", ["esc50", "fsd50k", "speech_commands"])
def test_the_recipes_of_paper_strong_learn_what_is_easy(task: str, tiny: Config, tmp_path: Path) -> None:
    """All options together, as the stage has them; masks and batches are as small as the clips."""
    recipe = profile.load("paper-strong").recipe(task).model_dump(mode="json")
    recipe |= {"n_epochs": 60, "batch_size": 6, "shift_frames": 2, "time_mask_frames": 6, "mel_mask_bins": 12}
    recipe["optimizer"] |= {"lr": 0.003}
    section = {"clip_s": 0.32, "finetune": recipe | {"n_threads": 1}}
    cfg = params.parse(tiny.model_dump(mode="json") | {"tasks": {"drums": section}}, "x")
    paths = separable_task(tiny, tmp_path)
    finetune.run(cfg, "drums", 1, "scratch", *paths, None, resume=tmp_path / "resume", out=tmp_path / "fold1")
    assert storage.read_json(tmp_path / "fold1" / "metrics.json")["metrics"]["accuracy"] > 0.6
    losses = pd.read_csv(tmp_path / "fold1" / "loss.csv")["loss"]
    assert losses.tail(20).mean() < losses.head(20).mean()


def test_the_best_epoch_on_validation_is_taken_back(tiny: Config) -> None:
    data = batches(tiny, np.arange(16), n_epochs=4, batch_size=8)
    model = Classifier(tiny.encoder, 3)
    initialise(model, 0)
    figures, seen = iter([0.2, 0.7, 0.7, 0.1]), []

    def validate() -> float:
        seen.append(model.head.weight.detach().clone())
        return next(figures)

    training, best = classify.train(model, data, CPU, "x", validate)
    assert (best.epoch, best.scores, training.step) == (2, [0.2, 0.7, 0.7, 0.1], 8)
    assert torch.equal(model.head.weight, seen[1])
    assert not torch.equal(model.head.weight, seen[3])


def test_the_averaged_weights_are_what_is_evaluated_and_kept(tiny: Config) -> None:
    optimizer = tiny.finetune.optimizer.model_copy(update={"ema_decay": 0.9})
    data = batches(tiny, np.arange(16), n_epochs=3, batch_size=8, optimizer=optimizer)
    seen: list[torch.Tensor] = []
    models = [Classifier(tiny.encoder, 3) for _ in range(3)]
    for model in models:
        initialise(model, 0)

    def validate() -> float:
        seen.append(models[0].head.weight.detach().clone())
        return len(seen)

    classify.train(models[0], data, CPU, "selected", validate)
    classify.train(models[1], data, CPU, "last", None)
    data.recipe = data.recipe.model_copy(update={"optimizer": tiny.finetune.optimizer})
    classify.train(models[2], data, CPU, "plain", None)
    assert torch.equal(models[0].head.weight, seen[-1])
    assert torch.equal(models[0].head.weight, models[1].head.weight)
    assert not torch.equal(models[0].head.weight, models[2].head.weight)


@pytest.mark.parametrize("multi_label", [False, True])
def test_parts_of_a_fine_tuning_are_worth_the_whole(tiny: Config, multi_label: bool) -> None:
    """With drop-path and with a last batch that is smaller than the others."""
    losses = []
    for accumulate in (1, 4):
        changes = {"n_epochs": 2, "batch_size": 8, "mixup_alpha": 0.5, "drop_path": 0.3, "accumulate": accumulate}
        data = batches(tiny, np.arange(19), multi_label=multi_label, **changes)
        model = Classifier(tiny.encoder, 3)
        initialise(model, 0)
        losses.append(classify.train(model, data, CPU, "x", None)[0].losses)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_fold_names_its_recordings(tiny: Config) -> None:
    data = batches(tiny, np.arange(3, 8), n_epochs=1, batch_size=3)
    fold = classify.FoldData(data, tiny.encoder)
    assert [fold.n_clips(step) for step in range(2)] == [3, 3]
    named = [fold.names(step) for step in range(2)]
    assert named[0] == f"recordings {', '.join(map(str, data.order(0)[:3]))} of the manifest"
    assert torch.equal(fold.part(1, range(1, 2))[0][0], data.batch(1)[0][1])


def test_patches_are_dropped_in_training_alone(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training sees other halves of the patches in each step, prediction sees all."""
    seen: list[Tensor | None] = []
    forward = Classifier.forward

    def watched(
        self: Classifier, x: Tensor, visible: Tensor | None = None, drop_path_scale: Tensor | None = None
    ) -> Tensor:
        seen.append(visible)
        return forward(self, x, visible, drop_path_scale)

    monkeypatch.setattr(Classifier, "forward", watched)
    data = batches(tiny, np.arange(16), n_epochs=2, batch_size=8, patch_drop=0.5)
    model = Classifier(tiny.encoder, 3)
    initialise(model, 0)
    classify.train(model, data, CPU, "dropped", None)
    shown = [visible for visible in seen if visible is not None]
    assert [visible.shape for visible in shown] == [(8, 8)] * 4  # of 2 by 8 patches
    assert not torch.equal(shown[0], shown[1])
    predict(model, data.clips, np.arange(16, 24), CPU, "dropped")
    assert seen[4:] == [None]


def test_both_initialisations_see_the_same_draws(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tested: list[Predicted]
) -> None:
    """With everything on, all that enters the model in training is the same from scratch and pre-trained."""
    paths = separable_task(tiny, tmp_path)
    save_encoder(tmp_path / "encoder.safetensors", untrained(tiny.encoder, 99), tiny.features)
    seen: dict[str, list[tuple[Tensor | None, ...]]] = {"scratch": [], "pretrained": []}
    forward = Classifier.forward
    cfg = tiny.model_copy(
        update={"finetune": tiny.finetune.model_copy(update=EVERYTHING | {"n_epochs": 4, "batch_size": 6})}
    )
    for init, encoder in (("scratch", None), ("pretrained", tmp_path / "encoder.safetensors")):

        def watched(self: Classifier, *inputs: Tensor | None, init: str = init) -> Tensor:
            seen[init].append(inputs)
            return forward(self, *inputs)  # type: ignore[arg-type]

        monkeypatch.setattr(Classifier, "forward", watched)
        finetune.run(cfg, "drums", 4, init, *paths, encoder, resume=tmp_path / "resume", out=tmp_path / init)  # type: ignore[arg-type]
    assert len(seen["scratch"]) == len(seen["pretrained"]) == 4 * 3 + 1
    for ours, theirs in zip(*seen.values(), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one is not None
            assert other is not None
            assert torch.equal(one, other)
    assert (tmp_path / "scratch" / "loss.csv").read_bytes() != (tmp_path / "pretrained" / "loss.csv").read_bytes()
    assert all(each.weights["pooling.query"].any() for each in tested)


@pytest.mark.parametrize("protocol", ["folds", "split"])
@pytest.mark.parametrize("kill_at", [1, 5, 7])
def test_a_fine_tuning_that_was_killed_ends_as_if_it_had_not_been(
    protocol: str,
    kill_at: int,
    tiny: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tested: list[Predicted],
) -> None:
    """Also in what the best epoch was: the weights that are reported are those of an epoch before the kill."""
    paths = separable_task(tiny, tmp_path, protocol)
    changes = EVERYTHING | {"n_epochs": 4, "batch_size": 6, "save_every_min": 1e-9, "standardise": True}
    cfg = tiny.model_copy(update={"finetune": tiny.finetune.model_copy(update=changes)})
    fold = 4 if protocol == "folds" else 1
    resume, figures = tmp_path / "resume", finetune.metrics.evaluate

    def falling(*given: Any, **options: Any) -> dict[str, float]:
        """The figures, but each epoch is worse than the one before."""
        falling.calls += 1  # type: ignore[attr-defined]
        return {name: -float(falling.calls) for name in figures(*given, **options)}  # type: ignore[attr-defined]

    def tuned(name: str) -> Path:
        falling.calls = 0  # type: ignore[attr-defined]
        finetune.run(cfg, "drums", fold, "scratch", *paths, None, resume=resume, out=tmp_path / name)
        return tmp_path / name

    def killed(self: Batches, step: int) -> tuple[Tensor, Tensor]:
        if step == kill_at:
            raise KeyboardInterrupt
        return batch(self, step)

    monkeypatch.setattr(finetune.metrics, "evaluate", falling)
    whole, batch = tuned("whole"), Batches.batch
    monkeypatch.setattr(Batches, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        tuned("broken")
    monkeypatch.setattr(Batches, "batch", batch)
    assert sorted(int(path.stem) for path in resume.glob("*")) == {1: [1], 5: [4, 5], 7: [6, 7]}[kill_at]
    again = tuned("again")
    for file in ("loss.csv", "predictions.csv", "classes.csv"):
        assert (whole / file).read_bytes() == (again / file).read_bytes(), file
    assert_equal(*tested)
    assert storage.read_json(again / "metrics.json")["epoch"] == (4 if protocol == "folds" else 1)
    assert not resume.exists()


def test_a_state_of_another_fold_or_start_is_not_continued(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = separable_task(tiny, tmp_path)
    recipe = tiny.finetune.model_copy(update={"n_epochs": 2, "batch_size": 6, "save_every_min": 1e-9})
    cfg = tiny.model_copy(update={"finetune": recipe})
    save_encoder(tmp_path / "encoder.safetensors", untrained(tiny.encoder, 99), tiny.features)
    digests = []
    monkeypatch.setattr(
        finetune, "Checkpoints", lambda _, run, __: digests.append(run) or Checkpoints(tmp_path / run, run, 99)
    )
    for fold, init in ((1, "scratch"), (2, "scratch"), (1, "pretrained")):
        encoder = tmp_path / "encoder.safetensors" if init == "pretrained" else None
        finetune.run(cfg, "drums", fold, init, *paths, encoder, resume=tmp_path, out=tmp_path / "x")  # type: ignore[arg-type]
    assert len(set(digests)) == 3


def test_a_standardised_head_reads_what_tells_recordings_apart(
    tiny: Config, tmp_path: Path, tested: list[Predicted]
) -> None:
    """Mean 0 and deviation 1 over the training recordings, those of the encoder that the training starts from."""
    paths = separable_task(tiny, tmp_path)
    recipe = tiny.finetune.model_copy(update={"n_epochs": 1, "standardise": True})
    exact = tiny.compute.model_copy(update={"precision": "float32"})
    cfg = tiny.model_copy(update={"finetune": recipe, "compute": exact})
    finetune.run(cfg, "drums", 2, "scratch", *paths, None, resume=tmp_path / "resume", out=tmp_path / "out")
    (only,) = tested
    clips, _ = separable(tiny.features)
    rows = split(Manifest.read(paths[0]), 2).train
    found = untrained(tiny.encoder, cfg.seed).layers(clips.batch(rows.tolist(), [0] * len(rows)))[:, -1, 0]
    torch.testing.assert_close(only.weights["centre"], found.mean(dim=0))
    torch.testing.assert_close(only.weights["spread"], found.std(dim=0), rtol=1e-4, atol=1e-6)


def test_standardised_embeddings_by_hand(tiny: Config) -> None:
    model = Classifier(tiny.encoder, 3)
    initialise(model, 0)
    x = torch.randn(5, 32, 128, generator=torch.Generator().manual_seed(0))
    embeddings = model.embedding(x).detach()
    torch.testing.assert_close(model(x), model.head(embeddings))
    constant = embeddings.clone()
    constant[:, 0] = 7
    model.standardise(constant)
    assert (model.centre[0], model.spread[0]) == (7, 1)
    expected = (embeddings - constant.mean(dim=0)) / constant.std(dim=0).clamp_min(1e-9)
    expected[:, 0] = embeddings[:, 0] - 7
    torch.testing.assert_close(model(x), model.head(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_two_fine_tunings_are_identical(
    tiny: Config,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    tested: list[Predicted],
) -> None:
    monkeypatch.setenv("AUDIOPG_DATA", str(tmp_path_factory.mktemp("data")))
    manifest, card, decoded = tmp_path / "manifest.csv", tmp_path / "card.json", tmp_path / "decoded"
    source = tmp_path / "source.json"
    storage.write_json(source, {})
    prepare.run(tiny, "drums", source, manifest, card)
    decode.run(tiny, "drums", manifest, decoded, tmp_path / "decode-run.json", 2)
    encoder = Encoder(tiny.encoder)
    initialise(encoder, 99)
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder, tiny.features)
    runs = {"a": None, "b": None, "c": path}
    for name, start in runs.items():
        finetune.run(
            tiny,
            "drums",
            1,
            "pretrained" if start else "scratch",
            manifest,
            card,
            decoded,
            start,
            resume=tmp_path / "resume",
            out=tmp_path / name,
        )
    for file in finetune.OUTPUTS:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert_equal(*tested[:2])
    assert (tmp_path / "a" / "loss.csv").read_bytes() != (tmp_path / "c" / "loss.csv").read_bytes()
    cards = [storage.read_json(tmp_path / name / "run.json") for name in ("a", "c")]
    assert cards[0]["params"] == cards[1]["params"]
    assert list(cards[1]["inputs"]) == [
        file.as_posix() for file in (manifest, card, decoded / "frames.f16", decoded / "starts.npy", path)
    ]


@pytest.mark.slow
def test_own_recordings_with_several_labels_go_the_whole_way(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From three keys and a list to metrics: a tone, a hum or both, in files of several lengths."""
    monkeypatch.setenv("AUDIOPG_DATA", str(tmp_path / "data"))
    lines = ["path,labels"]
    for number in range(24):
        labels = [("tone",), ("hum",), ("tone", "hum")][number % 3]
        seconds = np.arange(round(16_000 * (0.4 + 0.2 * number))) / 16_000
        sound = sum(np.sin(2 * np.pi * {"tone": 900, "hum": 110}[label] * seconds) for label in labels) / 4
        soundfile.write(tmp_path / f"{number}.wav", sound, 16_000)
        lines.append(f"{number}.wav,{' | '.join(labels)}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    mine = {"manifest": str(tmp_path / "mine.csv"), "audio_root": str(tmp_path), "protocol": "3-fold"}
    config = params.parse(tiny.model_dump(mode="json") | {"tasks": {"mine": mine}}, "params.yaml")
    encoder = tmp_path / "encoder.safetensors"
    paths = (tmp_path / "manifest.csv", tmp_path / "card.json", tmp_path / "decoded")
    save_encoder(encoder, untrained(tiny.encoder, 1), tiny.features)
    storage.write_json(tmp_path / "source.json", {})
    prepare.run(config, "mine", tmp_path / "source.json", *paths[:2])
    decode.run(config, "mine", paths[0], paths[2], tmp_path / "decode-run.json", 1)
    finetune.run(config, "mine", 1, "pretrained", *paths, encoder, resume=tmp_path / "resume", out=tmp_path / "fold1")
    probes.run(config, "mine", *paths, encoder, tmp_path / "probe")
    found = storage.read_json(tmp_path / "fold1" / "metrics.json")
    assert list(found["metrics"]) == ["mAP", "d_prime", "lwlrap"]
    assert found["epoch"] == 1
    assert all(np.isfinite(value) for value in found["metrics"].values())
    predicted = (tmp_path / "fold1" / "predictions.csv").read_text().splitlines()
    assert len(predicted) == 1 + 8
    assert {line.split(",")[1] for line in predicted[1:]} == {"tone", "hum", "hum|tone"}
    assert storage.read_json(tmp_path / "probe" / "scores.json")["logmel_stats"]


@pytest.mark.slow
def test_all_that_learns_on_a_fold_learns_from_one_share_of_it(
    tiny: Config, tmp_path: Path, tested: list[Predicted]
) -> None:
    """Pre-trained, from scratch and probes: with other sounds in place of the unused recordings nothing changes."""
    paths = separable_task(tiny, tmp_path)
    save_encoder(tmp_path / "encoder.safetensors", untrained(tiny.encoder, 99), tiny.features)
    clips, _ = separable(tiny.features)
    section = tiny.tasks["drums"].model_copy(update={"train_share": 0.5})
    recipe = tiny.finetune.model_copy(update={"n_epochs": 2, "batch_size": 4, "normalise": "task"})
    probe = tiny.probe.model_copy(update={"knn_k": 1})
    cfg = tiny.model_copy(update={"tasks": {"drums": section}, "finetune": recipe, "probe": probe})
    parts = [split(Manifest.read(paths[0]), fold, 0.5, cfg.seed) for fold in (1, 2, 3, 4)]
    unused = np.setdiff1d(np.arange(24), np.concatenate([parts[3].train, parts[3].test]))
    assert len(unused) == len(parts[3].train) == 9
    other = clips.frames.copy().reshape(24, 32, 128)
    other[unused] = 5
    for name, frames in (("a", clips.frames), ("b", other.reshape(-1, 128))):
        write_decoded(replace(clips, frames=frames), paths[2])
        for init, encoder in (("scratch", None), ("pretrained", tmp_path / "encoder.safetensors")):
            finetune.run(cfg, "drums", 4, init, *paths, encoder, resume=tmp_path / "resume", out=tmp_path / name / init)  # type: ignore[arg-type]
        probes.run(cfg, "drums", *paths, tmp_path / "encoder.safetensors", tmp_path / name / "probe")
    for number, init in enumerate(("scratch", "pretrained")):
        assert_equal(tested[number], tested[2 + number])
        for file in ("loss.csv", "predictions.csv", "metrics.json"):
            assert (tmp_path / "a" / init / file).read_bytes() == (tmp_path / "b" / init / file).read_bytes()
        card = storage.read_json(tmp_path / "a" / init / "run.json")
        assert (card["n_train"], card["n_val"], card["n_test"]) == (9, 0, 6)
        assert len((tmp_path / "a" / init / "loss.csv").read_text().splitlines()) == 1 + 2 * 3  # steps of four or less
    found = [storage.read_json(tmp_path / name / "probe" / "scores.json") for name in "ab"]
    fourth = [[row["accuracy"][3] for row in rows.values()] for rows in found]
    assert fourth[0] == fourth[1]
    assert found[0] != found[1]  # the other folds hold some of them out


@pytest.mark.parametrize(
    "changes", [{}, {"normalise": "task"}, {"search": Search(lr=[0.001, 0.01], n_epochs=[1, 6], n_folds=2)}]
)
@pytest.mark.parametrize("protocol", ["folds", "split"])
def test_the_clips_that_are_reported_reach_neither_training_nor_selection(
    protocol: str, changes: dict[str, Any], tiny: Config, tmp_path: Path, tested: list[Predicted]
) -> None:
    """With other test clips the weights and the chosen epoch are the same, and their scores are others."""
    paths = separable_task(tiny, tmp_path, protocol)
    clips, _ = separable(tiny.features)
    recipe = tiny.finetune.model_copy(update=changes | {"n_epochs": 6, "batch_size": 6})
    config = tiny.model_copy(update={"finetune": recipe})
    reported = Manifest.read(paths[0]).parts == (4 if protocol == "folds" else "test")
    other = clips.frames.copy().reshape(24, 32, 128)
    other[reported] = 4 * np.roll(other[reported], 40, axis=2) - 2
    for name, frames in (("a", clips.frames), ("b", other.reshape(-1, 128))):
        write_decoded(replace(clips, frames=frames), paths[2])
        run = 4 if protocol == "folds" else 1
        finetune.run(config, "drums", run, "scratch", *paths, None, resume=tmp_path / "resume", out=tmp_path / name)
    for file in ("loss.csv", "search.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert_equal(*tested)
    assert len(pd.read_csv(tmp_path / "a" / "search.csv")) == (4 if "search" in changes else 0)
    cards = [storage.read_json(tmp_path / name / "run.json") for name in "ab"]
    assert cards[0]["validation"] == cards[1]["validation"]
    norms = {card["norm_mean"] for card in cards} | {tiny.features.norm_mean}
    assert len(norms) == (2 if "normalise" in changes else 1)
    n_epochs = storage.read_json(tmp_path / "a" / "metrics.json")["n_epochs"]
    assert len(cards[0]["validation"]) == (n_epochs if protocol == "split" else 0)
    # Not the classes: after so short a training they may be the same for all clips.
    assert (tested[0].scores != tested[1].scores).any(axis=1).all()
