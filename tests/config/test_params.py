"""Parameters: one-line errors, slices, profiles."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiopg import storage
from audiopg.config import Config, params, profile
from audiopg.config.overlays import merge
from audiopg.errors import AudiopgError
from audiopg.provenance import stages
from audiopg.provenance.stages import STAGES

OWN = {"manifest": "a.csv", "audio_root": "a", "protocol": "3-fold"}


@pytest.fixture
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(profile.text("quick"))
    return loaded


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for key in parents:
            values = values[key]
        values[last] = value

    return change


def rename(path: str, name: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for key in parents:
            values = values[key]
        values[name] = values.pop(last)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("pretrain/step", 3), "pretrain.step: unknown key; did you mean 'n_steps'?"),
        (put("synth/f0_hz/min", "abc"), "synth.f0_hz.min: Input should be a valid number, found 'abc'"),
        (put("pretrain/n_steps", 0), "pretrain.n_steps: Input should be greater than or equal to 1, found 0"),
        (
            put("synth/sources/footsteps/f0_hz", {"min": 60, "max": 2000, "scle": "log"}),
            "synth.sources.footsteps.f0_hz.scle: unknown key; did you mean 'scale'?",
        ),
        (put("finetune/optimizer/betas", [0.9, 1]), "finetune.optimizer.betas.1: Input should be less than 1, found 1"),
        (put("features/window_ms", 0.01), "features: window_ms = 0.01 is shorter than one sample at 16000 Hz"),
        (put("pretrain/n_steps", 1.5), "pretrain.n_steps: Input should be a valid integer, found 1.5"),
        (put("pretrain/n_steps", None), "pretrain: one of n_steps and budget_min must be a number, and the other null"),
        (
            put("pretrain/budget_min", 20),
            "pretrain: one of n_steps and budget_min must be a number, and the other null",
        ),
        (put("pretrain/budget_min", 0), "pretrain.budget_min: Input should be greater than 0, found 0"),
        (
            put("pretrain/objectives/physics", -1),
            "pretrain.objectives.physics: Input should be greater than or equal to 0, found",
        ),
        (put("pretrain/accumulate", 3), "pretrain: batch_size = 128 must be a multiple of accumulate = 3"),
        (put("finetune/accumulate", 5), "finetune: batch_size = 32 must be a multiple of accumulate = 5"),
        (
            put("tasks/drums/finetune", {"accumulate": 7}),
            "tasks.drums.finetune: batch_size = 32 must be a multiple of accumulate = 7",
        ),
        (put("finetune/layer_decay", 0), "finetune.layer_decay: Input should be greater than 0, found 0"),
        (put("pretrain/optimizer/ema_decay", 1), "pretrain.optimizer.ema_decay: Input should be less than 1, found 1"),
        (
            put("pretrain/optimizer/on_non_finite", "halt"),
            "pretrain.optimizer.on_non_finite: Input should be 'stop' or 'skip', found 'halt'",
        ),
        (
            put("compute/precision", "fp16"),
            "compute.precision: Input should be 'auto', 'float32', 'bfloat16' or 'float16', found 'fp16'",
        ),
        (put("compute/compile", "yes"), "compute.compile: Input should be a valid boolean, found 'yes'"),
        (put("seed", None), "seed: Input should be a valid integer, found None"),
        (put("compute/device", "tpu"), "compute.device: Input should be 'auto', 'cpu' or 'cuda', found 'tpu'"),
        (put("tasks/drums/clp", 3), "tasks.drums.clp: unknown key; did you mean 'clip_s'?"),
        (
            put("tasks/drums/finetune", {"n_epoch": 3}),
            "tasks.drums.finetune.n_epoch: unknown key; did you mean 'n_epochs'?",
        ),
        (
            put("tasks/drums/finetune", {"optimizer": {"lr": -1}}),
            "tasks.drums.finetune.optimizer.lr: Input should be greater than 0, found -1",
        ),
        (put("tasks/drums/finetune", {"optimizer": 3}), "tasks.drums.finetune.optimizer: Input should be a valid"),
        (
            put("pretrain/optimizer/lr", float("nan")),
            "pretrain.optimizer.lr: Input should be a finite number, found nan",
        ),
        (
            put("synth/sources/fm/parameters/modulation_index/scl", "log"),
            "synth.sources.fm.parameters.modulation_index.scl: unknown key; did you mean 'scale'?",
        ),
        (put("tasks/drums/train_share", 0), "tasks.drums.train_share: Input should be greater than 0, found 0"),
        (
            put("tasks/drums/train_share", 1.1),
            "tasks.drums.train_share: Input should be less than or equal to 1, found",
        ),
        (put("tasks/drums", {}), "tasks.drums: clip_s: missing; only own recordings have a default"),
        (
            put("tasks/mine", {"clip_s": 0.32, "manifest": "a.csv", "protocol": "3-fold"}),
            "tasks.mine: audio_root: missing; own recordings need manifest, audio_root and protocol",
        ),
        (
            put("tasks/mine", {"clip_s": 0.32, "manifest": "a.csv", "audio_root": "a", "protocol": "2-fold"}),
            "tasks.mine.protocol: '2-fold' is neither 'split' nor a number of folds from 3, such as '5-fold'",
        ),
        (put("synth/f0_hz", {"min": 900, "max": 9000}), "synth: f0_hz must lie between 0 and the Nyquist frequency"),
        (put("synth/f0_hz", {"min": 9, "max": 2}), "synth.f0_hz: min 9.0 is above max 2.0"),
        (put("synth/clip_s", 1.0), "synth.clip_s = 1 is 100 frames; a multiple of encoder.patch_frames = 8"),
        (put("features/n_fft", 256), "features.n_fft: Input should be 512, 1024 or 2048, found 256"),
        (put("features/window_ms", 40), "features: n_fft = 512 is shorter than the window of 40 ms"),
        (put("synth/sample_rate_hz", 32000), "synth.sample_rate_hz and features.sample_rate_hz must be equal"),
        (put("pretrain/decoder/width", 97), "pretrain.decoder: width 97 must be a multiple of n_heads 4 and of 4"),
        (put("encoder/size", "bas"), "encoder.size: unknown size 'bas'; did you mean 'base'?"),
        (put("synth/clip_s", 1.283), "synth.clip_s = 1.283 must be a multiple of features.hop_ms = 10"),
        (put("features/hop_ms", 10.01), "features: hop_ms = 10.01 must be a whole number of samples at 16000 Hz"),
        (
            put("latent/factors/event_level_db", {"min": -6, "max": 3}),
            "latent.factors: event_level_db must be a linear range below the loudest event",
        ),
        (put("latent/factors/n_events", {"min": 1, "max": 6}), "latent.factors: n_events must be a range of whole"),
        (put("latent/factors/attack_s/min", 0.0), "latent.factors.attack_s: a log range starts above 0"),
        (put("latent/factors/f0_hz", {"min": 50, "max": 8000}), "latent.factors.f0_hz must lie below the Nyquist"),
        (put("latent/factors/attack_s/max", 5), "latent.factors.attack_s must be at most 0.4 of synth.clip_s = 1.28"),
        (put("latent/factors/onset_density_hz/min", 0.1), "latent.factors: 6 events at 0.1 per second do not fit into"),
        (
            put("latent/corpora", ["events"]),
            "latent.corpora: list each corpus once, with events (for the paper's claims) and natural",
        ),
        (put("pretrain/optimizer", {}), "pretrain.optimizer.lr: missing"),
        (
            rename("finetune/drop_path", "droppath"),
            "finetune.droppath: unknown key; did you mean 'drop_path'? (and 1 more)",
        ),
        (put("finetune/cutmix_alpha", -1), "finetune.cutmix_alpha: Input should be greater than or equal to 0, found"),
        (put("finetune/n_mel_masks", -1), "finetune.n_mel_masks: Input should be greater than or equal to 0, found -1"),
        (put("finetune/mel_mask_bins", 0), "finetune.mel_mask_bins: Input should be greater than or equal to 1, found"),
        (put("finetune/patch_drop", 1.0), "finetune.patch_drop: Input should be less than 1, found 1.0"),
        (put("finetune/pooling", "max"), "finetune.pooling: Input should be 'mean', 'attention' or 'bands', found"),
        (put("finetune/normalise", "clip"), "finetune.normalise: Input should be 'corpus' or 'task', found 'clip'"),
        (
            put("tasks/drums/finetune", {"n_time_masks": 1, "time_mask_frames": 65}),
            "tasks.drums.finetune: time_mask_frames = 65 is more than the 64 frames of a clip",
        ),
        (
            put("tasks/drums/finetune", {"n_mel_masks": 1, "mel_mask_bins": 129}),
            "tasks.drums.finetune: mel_mask_bins = 129 is more than features.n_mels = 128",
        ),
        (put("tasks/Birds 1", OWN), "tasks.'Birds 1': not a name; letters, digits, '_' and '-' are allowed, the first"),
        (put("tasks/c++", OWN), "tasks.'c++': not a name; letters, digits, '_' and '-' are allowed"),
        (put("tasks/..", OWN), "tasks.'..': not a name; letters"),
        (put("tasks/x;touch PWNED", OWN), "tasks.'x;touch PWNED': not a name; letters"),
        (put("tasks/a|b", OWN), "tasks.'a|b': not a name; letters"),
        (put("tasks/-x", OWN), "tasks.'-x': not a name; letters"),
        (put("tasks/two\nlines", OWN), r"tasks.'two\nlines': not a name; letters"),
        (put("tasks/x\n", OWN), r"tasks.'x\n': not a name; letters"),
        (put("tasks/v\u00f6gel", OWN), "tasks.'v\u00f6gel': not a name; letters"),
        (put("tasks/", OWN), "tasks.'': not a name; letters"),
        (put("tasks/" + "a" * 65, OWN), f"tasks.{'a' * 65}: a name of 65 characters; at most 64 are allowed"),
        (put("tasks/Drums", OWN), "tasks.drums: the name differs from 'Drums' only in capital letters"),
        (put("tasks", {}), "tasks: Dictionary should have at least 1 item"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(
    change: Callable[[dict[str, Any]], None], message: str, values: dict[str, Any]
) -> None:
    change(values)
    with pytest.raises(AudiopgError) as caught:
        params.parse(values, "params.yaml")
    assert str(caught.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_three_keys_are_enough_for_own_recordings(values: dict[str, Any]) -> None:
    values["tasks"] = {"mine": {"manifest": "a.csv", "audio_root": "a", "protocol": "3-fold"}}
    assert params.parse(values, "x").tasks["mine"].clip_s == 2.56


@pytest.mark.parametrize("text", ["1e-5", "1e-05", "0.00001", "1.0e-5", "+1E-5", ".00001"])
def test_scientific_notation_is_a_float(text: str, values: dict[str, Any]) -> None:
    values["pretrain"]["optimizer"]["lr"] = yaml.safe_load(text)
    assert params.parse(values, "x").pretrain.optimizer.lr == 1e-5


def test_files_that_are_no_parameters(tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match=r"nothing\.yaml: no such file; `audiopg profile quick` writes one"):
        params.load(tmp_path / "nothing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(AudiopgError, match=r"broken\.yaml: not YAML: "):
        params.load(broken)
    broken.write_text("a: 2026-13-45")
    with pytest.raises(AudiopgError, match=r"broken\.yaml: not YAML: month must be in 1"):
        params.load(broken)
    broken.write_text("- 1")
    with pytest.raises(AudiopgError, match="expected a mapping of sections, found list"):
        params.load(broken)


@pytest.mark.parametrize("name", ["birds", "Birds_2", "c-4", "0", "a" * 64])
def test_names_of_tasks(name: str, values: dict[str, Any]) -> None:
    values["tasks"] = {name: OWN}
    assert list(params.parse(values, "x").tasks) == [name]


@pytest.mark.parametrize(
    ("added", "key", "lines"),
    [
        ("tasks:\n  birds: {protocol: 5-fold}\n", "tasks", None),
        ("seed: 7\n", "seed", None),
        ("x:\n  a: 1\n  b: 2\n  a: 3\n", "a", (2, 4)),
        ("x: {a: 1, b: 2, a: 3}\n", "a", (1, 1)),
        ("x:\n- y\n- a: 1\n  'a': 2\n", "a", (3, 4)),
        ("x: {1: a,\n true: b}\n", "True", (1, 2)),
    ],
)
def test_a_key_that_is_there_twice_is_refused(
    added: str, key: str, lines: tuple[int, int] | None, tmp_path: Path
) -> None:
    """As after a block of the documentation was pasted at the end of the file."""
    path, text = tmp_path / "params.yaml", profile.text("quick")
    path.write_text(text + added)
    before = text.splitlines()
    if lines is None:
        first = next(number for number, line in enumerate(before, 1) if line.startswith(f"{key}:"))
        lines = first - len(before), 1
    with pytest.raises(AudiopgError) as caught:
        params.load(path)
    first, second = (len(before) + line for line in lines)
    assert str(caught.value) == (
        f"{path}: key '{key}' is there twice, in line {first} and in line {second}; keep one of them"
    )


def test_merged_keys_and_aliases_are_no_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  x: 3\nc: *a\n? [1]\n: 2\n")
    with pytest.raises(AudiopgError, match="not YAML: .*unhashable key"):
        params.read_yaml(path)
    path.write_text("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  x: 3\nc: {<<: *b}\nd: *a\n")
    merged = {"x": 3, "y": 2}
    assert params.read_yaml(path) == {"a": {"x": 1, "y": 2}, "b": merged, "c": merged, "d": {"x": 1, "y": 2}}


def test_a_time_takes_the_place_of_steps(values: dict[str, Any]) -> None:
    values["pretrain"] |= {"n_steps": None, "budget_min": 20}
    assert params.parse(values, "x").pretrain.budget_min == 20


def test_the_order_of_keys_does_not_matter(values: dict[str, Any]) -> None:
    def reverse(node: object) -> object:
        return {k: reverse(v) for k, v in reversed(node.items())} if isinstance(node, dict) else node

    other = params.parse(reverse(values), "x")  # type: ignore[arg-type]
    config = params.parse(values, "x")
    for stage in STAGES:
        assert storage.canonical(stages.reads(config, stage, "drums")) == storage.canonical(
            stages.reads(other, stage, "drums")
        )


def test_a_task_changes_single_values_of_the_recipe(quick: Config) -> None:
    assert quick.recipe("drums").n_epochs == quick.tasks["drums"].finetune["n_epochs"] != quick.finetune.n_epochs
    assert quick.recipe("drums").optimizer == quick.finetune.optimizer


def test_merge_leaves_its_inputs_alone(values: dict[str, Any]) -> None:
    before = copy.deepcopy(values)
    merge(values, {"pretrain": {"n_steps": 7}})
    assert values == before
