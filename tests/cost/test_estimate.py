"""Predicted cost against what the models are: their weights, a FLOP counter, and the bytes kept for gradients."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.places import ROOT
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from audiopg import config
from audiopg.config import Config, profile
from audiopg.cost import estimate, flops, table
from audiopg.cost.speed import Speed
from audiopg.errors import AudiopgError
from audiopg.models import vit
from audiopg.models.classifier import Classifier
from audiopg.models.mae import MaskedAutoencoder
from audiopg.tasks.registry import TASKS

AUDIOPG = Path(sys.executable).with_name("audiopg")
N_CLASSES = 10
A100 = Speed(312e12, 0.3)
# clips per batch; `paper` is ViT-B, of which a core does a clip in seconds
BATCHES = {"test": 3, "small": 2, "paper": 1}


@pytest.fixture(scope="module", params=["test", "small", pytest.param("paper", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest) -> tuple[Config, int]:
    """Parameters of a profile, and clips per batch."""
    cfg = profile.load(request.param)
    objectives = cfg.pretrain.objectives.model_copy(update={"reconstruction": 1.0})
    pretrain = cfg.pretrain.model_copy(update={"objectives": objectives})
    return cfg.model_copy(update={"pretrain": pretrain}), BATCHES[request.param]


def autoencoder(cfg: Config, n_clips: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    """A masked autoencoder, and a forward pass of it."""
    n_patches, spectrogram = batch(cfg, n_clips)
    model = MaskedAutoencoder(cfg.encoder, cfg.pretrain.decoder, cfg.pretrain.mask_ratio)
    return model, lambda: model(spectrogram, torch.rand(n_clips, n_patches)).loss


def classifier(cfg: Config, n_clips: int) -> tuple[nn.Module, Callable[[], Tensor]]:
    """A classifier, and a forward pass of it."""
    _, n_bands = cfg.grid(cfg.synth.clip_s)
    model, (_, spectrogram) = Classifier(cfg.encoder, N_CLASSES, cfg.finetune.pooling, n_bands), batch(cfg, n_clips)
    return model, lambda: model(spectrogram).sum()


def changed(cfg: Config, **recipe: object) -> Config:
    """The parameters with another recipe of fine-tuning."""
    return cfg.model_copy(update={"finetune": cfg.finetune.model_copy(update=recipe)})


def batch(cfg: Config, n_clips: int) -> tuple[int, Tensor]:
    n_frames = cfg.features.n_frames(cfg.synth.clip_s)
    return math.prod(cfg.grid(cfg.synth.clip_s)), torch.zeros(n_clips, n_frames, cfg.features.n_mels)


def counted(work: Callable[[], object]) -> int:
    """FLOPs of some work; attention in its plain form, since the counter does not see the CPU's fused kernel."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def kept(model: nn.Module, forward: Callable[[], Tensor], *, reduced: bool) -> int:
    """Bytes that a forward pass keeps for the gradient, each storage once, without the weights themselves."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            seen[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address comes twice
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=reduced),
    ):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


def n_weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_where_nothing_is_reconstructed_only_the_encoder_counts() -> None:
    cfg = profile.load("small")
    assert not cfg.pretrain.objectives.reconstruction
    visible = config.n_visible(math.prod(cfg.grid(cfg.synth.clip_s)), cfg.pretrain.mask_ratio)
    assert flops.parameters(cfg).pretrain == flops.encoder_parameters(cfg.encoder)
    assert flops.autoencoder_flops(cfg) == flops.encoder_flops(cfg.encoder, visible)
    kept = flops.encoder_activations(cfg.encoder, visible, reduced=True)
    assert flops.autoencoder_activations(cfg, reduced=True) == kept


def test_weights_are_those_of_the_models(case: tuple[Config, int]) -> None:
    cfg, _ = case
    model, found = MaskedAutoencoder(cfg.encoder, cfg.pretrain.decoder, cfg.pretrain.mask_ratio), flops.parameters(cfg)
    assert found.encoder == n_weights(model.encoder)
    assert found.pretrain == n_weights(model)
    _, n_bands = cfg.grid(cfg.synth.clip_s)
    for pooling in ("mean", "attention", "bands"):
        pooled, _ = classifier(changed(cfg, pooling=pooling), 1)
        assert flops.classifier_parameters(cfg.encoder, N_CLASSES, pooling, n_bands) == n_weights(pooled)


def test_flops_are_those_that_a_counter_counts(case: tuple[Config, int]) -> None:
    cfg, n_clips = case
    grid = cfg.grid(cfg.synth.clip_s)
    pooled = [changed(cfg, pooling=pooling) for pooling in ("mean", "attention", "bands")]
    for build, built, expected in (
        (autoencoder, cfg, flops.autoencoder_flops(cfg)),
        *((classifier, each, flops.classifier_flops(cfg.encoder, grid, N_CLASSES, each.finetune)) for each in pooled),
    ):
        _, forward = build(built, n_clips)
        assert counted(forward) == n_clips * expected.forward
        assert counted(lambda forward=forward: forward().backward()) == n_clips * expected.training  # type: ignore[misc]


def test_dropped_patches_are_spared_in_training_and_not_in_evaluation(tiny: Config) -> None:
    whole, half = (
        flops.classifier_flops(tiny.encoder, (8, 8), 10, changed(tiny, patch_drop=share).finetune)
        for share in (0.0, 0.5)
    )
    head = 3 * 2 * tiny.encoder.shape.width * 10
    assert half.forward == whole.forward
    assert half.training - head == flops.encoder_flops(tiny.encoder, 32).training < whole.training / 2
    spared, full = (
        next(row for row in estimate.rows(changed(tiny, patch_drop=share), A100) if row.stage == "finetune")
        for share in (0.5, 0.0)
    )
    assert spared.memory_bytes < full.memory_bytes


def test_activations_in_float32_are_those_kept_within_two_thousandths(case: tuple[Config, int]) -> None:
    cfg, n_clips = case
    n_patches = math.prod(cfg.grid(cfg.synth.clip_s))
    expected = n_clips * flops.autoencoder_activations(cfg, reduced=False)
    assert kept(*autoencoder(cfg, n_clips), reduced=False) == pytest.approx(expected, rel=2e-3)
    expected = n_clips * flops.encoder_activations(cfg.encoder, n_patches, reduced=False)
    plain = changed(cfg, pooling="mean")  # bands keep two numbers more of each
    assert kept(*classifier(plain, n_clips), reduced=False) == pytest.approx(expected, rel=2e-3)


def test_activations_in_bfloat16_are_those_kept_with_the_copies_of_weights(
    case: tuple[Config, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CUDA device, whose attention keeps no scores."""
    monkeypatch.setattr(vit, "_attention", functional.scaled_dot_product_attention)
    cfg, n_clips = case
    n_patches = math.prod(cfg.grid(cfg.synth.clip_s))
    model, forward = classifier(changed(cfg, pooling="mean"), n_clips)
    # the patches need no gradient, so the copy of their matrix is not kept
    copies = 2 * sum(
        p.numel() for name, p in model.named_parameters() if p.ndim == 2 and name != "encoder.embed.weight"
    )
    expected = n_clips * flops.encoder_activations(cfg.encoder, n_patches, reduced=True)
    assert kept(model, forward, reduced=True) - copies == pytest.approx(expected, rel=2e-3)
    model, forward = autoencoder(cfg, n_clips)
    copies = 2 * sum(
        p.numel() for name, p in model.named_parameters() if p.ndim == 2 and name != "encoder.embed.weight"
    )
    expected = n_clips * flops.autoencoder_activations(cfg, reduced=True)
    # on a CPU the decoder's norms take bfloat16 in; CUDA's autocast gives them float32, which the formula counts
    assert 0.88 * expected < kept(model, forward, reduced=True) - copies < expected


def test_training_memory_by_hand() -> None:
    for reduced, selects, per_weight in ((False, False, 16), (True, False, 18), (False, True, 20), (True, True, 22)):
        assert flops.training_memory(1000, 7, 3, reduced=reduced, selects=selects) == 1000 * per_weight + 21


def test_a_step_of_adamw_leaves_sixteen_bytes_per_weight(tiny: Config) -> None:
    model, forward = classifier(tiny, 1)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    forward().backward()
    optimizer.step()
    moments = [value for state in optimizer.state.values() for key, value in state.items() if key != "step"]
    tensors = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None), *moments]
    assert sum(tensor.nbytes for tensor in tensors) == flops.training_memory(
        n_weights(model), 0, 1, reduced=False, selects=False
    )


def test_a_share_of_the_training_recordings_by_hand() -> None:
    cfg = profile.load("paper")
    changed = {name: section.model_copy(update={"train_share": 0.1}) for name, section in cfg.tasks.items()}
    rows = {(row.stage, row.task): row for row in estimate.rows(cfg.model_copy(update={"tasks": changed}), A100)}
    assert rows["finetune", "esc50"].clips_trained == 5 * 100 * 160
    assert rows["finetune", "esc50"].clips_evaluated == 2000
    words = rows["scratch", "speech_commands"]
    assert (words.clips_trained, words.clips_evaluated) == (50 * 8_484, 50 * 9_981 + 11_005)
    assert rows["probe", "esc50"].clips_evaluated == 4 * 2000
    assert estimate.n_used(TASKS["esc50"].card, 1600, 0.01) == 50  # one of each class
    assert estimate.n_used(TASKS["fsd50k"].card, 1000, 0.01) == 10


def test_a_standardised_head_sees_the_training_recordings_once_more() -> None:
    cfg = profile.load("paper")
    for standardise, more in ((False, 0), (True, 5 * 1600)):
        rows = estimate.rows(changed(cfg, standardise=standardise), A100)
        assert next(row for row in rows if (row.stage, row.task) == ("scratch", "esc50")).clips_evaluated == 2000 + more


def test_a_search_counts_its_candidates_by_hand() -> None:
    cfg = profile.load("paper")
    search = cfg.finetune.search.model_copy(update={"lr": [0.1, 0.2], "n_epochs": [10, 40], "n_folds": 2})
    searching = changed(cfg, search=search, standardise=True)
    rows = {(row.stage, row.task): row for row in estimate.rows(searching, A100)}
    esc50 = rows["finetune", "esc50"]
    # five folds of 1600; two parts without 400 each, two rates of 50 epochs in all; then 40 epochs
    assert esc50.clips_trained == 5 * (40 * 1600 + 2 * 50 * 2 * 1200)
    # the held-out fold; per candidate and part, what is left out, and what the head is standardised by; and by the last
    assert esc50.clips_evaluated == 2000 + 5 * (4 * 2 * (400 + 1200) + 1600)
    words = rows["scratch", "speech_commands"]  # which has epochs of its own, and a split
    assert words.clips_trained == (40 + 2 * 50) * 84_843
    assert words.clips_evaluated == (40 + 4) * 9_981 + 11_005 + (1 + 4) * 84_843
    assert any("every candidate" in line for line in estimate.assumptions(searching, A100))
    assert not any("every candidate" in line for line in estimate.assumptions(cfg, A100))


def test_stages_and_clips_of_the_paper() -> None:
    cfg = profile.load("paper")
    rows = {(row.stage, row.task): row for row in estimate.rows(cfg, A100)}
    assert len(rows) == 2 + 3 * len(cfg.tasks)
    assert rows["pretrain", ""].clips_trained == 500 * 5000
    assert (rows["finetune", "esc50"].n_runs, rows["finetune", "esc50"].clips_trained) == (5, 5 * 100 * 1600)
    assert rows["finetune", "esc50"].clips_evaluated == 2000
    words = rows["finetune", "speech_commands"]
    assert (words.n_runs, words.clips_trained, words.clips_evaluated) == (1, 50 * 84_843, 50 * 9_981 + 11_005)
    assert rows["probe", "esc50"].clips_evaluated == 4 * 2000
    assert rows["latent", ""].clips_evaluated == 2 * 8 * 4000
    for task in cfg.tasks:
        assert rows["scratch", task].time_s == rows["finetune", task].time_s
    assert max(row.memory_bytes for row in rows.values()) < 80e9


@pytest.mark.parametrize(("peak", "n_states"), [(312e12, 6), (989e12, 1)], ids=["A100", "H100"])
def test_all_of_the_paper_writes_ten_gigabytes_at_most(peak: float, n_states: int) -> None:
    cfg = profile.load("paper")
    rows = [row for row in estimate.rows(cfg, Speed(peak, 0.3)) if row.saves is not None]
    written = [row.written_bytes(row.train_s) for row in rows]
    assert sum(row.n_runs for row in rows) == 1 + 34
    assert sum(written) < 10e9
    found = flops.parameters(cfg)
    assert written[0] == n_states * 12 * found.pretrain + 4 * (found.pretrain + found.encoder)
    assert not any(written[1:])


def test_a_time_budget_is_the_time_and_parts_of_a_batch_are_its_memory() -> None:
    cfg = profile.load("paper")
    timed = cfg.model_copy(
        update={"pretrain": cfg.pretrain.model_copy(update={"n_steps": None, "budget_min": 20.0, "accumulate": 4})}
    )
    plain, row = estimate.rows(cfg, A100)[0], estimate.rows(timed, A100)[0]
    assert row.time_s == pytest.approx(1200, rel=1e-4)
    assert row.clips_trained == pytest.approx(1200 * row.clips_per_s, rel=1e-4)
    kept = flops.autoencoder_activations(cfg, reduced=True)
    assert plain.memory_bytes - row.memory_bytes == (16 - 4) * kept
    optimizer = cfg.pretrain.optimizer.model_copy(update={"ema_decay": 0.999})
    averaged = cfg.model_copy(update={"pretrain": cfg.pretrain.model_copy(update={"optimizer": optimizer})})
    assert estimate.rows(averaged, A100)[0].memory_bytes - plain.memory_bytes == 4 * plain.n_parameters


def test_longer_recordings_have_more_windows() -> None:
    cfg = profile.load("paper")
    halved = {**cfg.tasks, "fsd50k": cfg.tasks["fsd50k"].model_copy(update={"clip_s": 2.56})}
    rows = {
        row.task: row for row in estimate.rows(cfg.model_copy(update={"tasks": halved}), A100) if row.stage == "probe"
    }
    assert rows["fsd50k"].clips_evaluated == pytest.approx(4 * 108.3 * 3600 / 2.56, abs=1)


def test_time_and_data_rate_follow_from_the_speed() -> None:
    cfg = profile.load("paper")
    first = estimate.rows(cfg, Speed(100e12, 0.5, 10e12))[0]
    assert first.time_s == pytest.approx(first.flops.training * 2.5e6 / 50e12)
    assert first.clips_per_s == pytest.approx(2.5e6 / first.time_s)
    last = estimate.rows(cfg, Speed(100e12, 0.5, 10e12))[-1]
    assert last.time_s == pytest.approx(last.flops.forward * 64_000 / 5e12)
    assert last.clips_per_s == pytest.approx(64_000 / last.time_s)
    float32 = cfg.model_copy(update={"compute": cfg.compute.model_copy(update={"precision": "float32"})})
    slower = estimate.rows(float32, Speed(100e12, 0.5, 10e12))[0]
    assert slower.time_s == pytest.approx(10 * first.time_s)
    assert Speed(100e12, 0.5).sustained(reduced=False) == pytest.approx(0.5 * 100e12 / 8)


@pytest.mark.parametrize(
    ("speed", "message"),
    [
        ((0.0, 0.3), "--flops: a number above 0 is needed, found 0"),
        ((math.inf, 0.3), "--flops: a number above 0 is needed, found inf"),
        ((1e12, 1.5), "--utilisation: a number above 0 and up to 1 is needed, found 1.5"),
        ((1e12, math.nan), "--utilisation: a number above 0 and up to 1 is needed, found nan"),
        ((1e12, 0.3, -1.0), "--float32-flops: a number above 0 is needed, found -1"),
    ],
)
def test_speeds_that_give_no_time_are_refused(speed: tuple[float, ...], message: str) -> None:
    with pytest.raises(AudiopgError, match=message):
        Speed(*speed)


def test_the_table_on_the_page_is_the_printed_one() -> None:
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    assert table.table(profile.load("paper"), "paper", A100) in page


@pytest.mark.slow
def test_the_command_prints_a_table_and_the_same_as_data() -> None:
    command = [AUDIOPG, "cost", "--profile=paper"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == table.table(profile.load("paper"), "paper", A100)
    own = subprocess.run([AUDIOPG, "cost", "--json"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    data = json.loads(own)
    assert data["profile"] == "params.yaml"
    assert data["time_s"] == pytest.approx(sum(row["time_s"] for row in data["rows"]))
    assert data["assumptions"]
    wrong = subprocess.run([*command, "--flops=0"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "audiopg: --flops: a number above 0 is needed, found 0\n"
