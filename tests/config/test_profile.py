"""Profiles: paper with overlays."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.places import ROOT

from audiopg.config import params, profile
from audiopg.config.overlays import merge
from audiopg.errors import AudiopgError

PROFILES = sorted(path.stem for path in profile.FOLDER.glob("*.yaml"))
NO_BLENDS = {"mixup_alpha": 0, "cutmix_alpha": 0, "label_smoothing": 0}
# of the release: finetune.py and dataset/*.py; it has no code for FSD50K
RELEASED = {
    "esc50": {"n_epochs": 100, "mixup_alpha": 0.8, "cutmix_alpha": 1.0, "label_smoothing": 0.1},
    "urbansound8k": {"n_epochs": 100, **NO_BLENDS},
    "speech_commands": {"n_epochs": 50, **NO_BLENDS},
}


def test_what_a_run_can_do_is_off_unless_asked_for() -> None:
    for name in PROFILES:
        config = profile.load(name)
        by_the_clock = name == "paper-20min"
        assert config.compute.compile == by_the_clock
        assert (config.pretrain.budget_min is not None) == by_the_clock
        assert (config.pretrain.accumulate, config.finetune.accumulate) == (1, 1)
        assert config.pretrain.drop_path == 0
        assert (config.finetune.layer_decay < 1) == (name == "paper-strong")
        assert (config.pretrain.objectives.twins > 0) == (name in {"quick", "small"})
        for optimizer in (config.pretrain.optimizer, config.finetune.optimizer):  # a task may have its own
            assert (optimizer.ema_decay, optimizer.on_non_finite) == (0, "stop")


def test_paper_is_the_release_where_it_defines_a_value() -> None:
    paper = profile.load("paper")
    assert set(paper.tasks) == {*RELEASED, "fsd50k"}
    for task, values in RELEASED.items():
        recipe = paper.recipe(task)
        assert {name: getattr(recipe, name) for name in values} == values, task
        assert (recipe.batch_size, recipe.optimizer.lr, recipe.optimizer.weight_decay) == (32, 0.0002, 0.05)
        assert (recipe.optimizer.warmup_fraction, recipe.drop_path, recipe.shift_frames) == (0, 0.1, 0)
        assert (recipe.pooling, recipe.normalise, recipe.sampling) == ("mean", "corpus", "shuffled")
        assert (recipe.layer_decay, recipe.patch_drop, recipe.n_time_masks, recipe.n_mel_masks) == (1, 0, 0, 0)
    for task in ("esc50", "urbansound8k"):
        assert paper.grid(paper.tasks[task].clip_s) == (64, 8)


def test_every_deviation_from_the_release_is_found_by_one_search() -> None:
    lines = (profile.FOLDER / "paper.yaml").read_text(encoding="utf-8").splitlines()
    found = [line.split(":")[0].strip() for line in lines if "Differs from the paper" in line and line[0] != "#"]
    assert found == [
        "precision",
        *("weight_decay", "warmup_fraction", "clip_norm"),  # of pretrain
        *("weight_decay", "clip_norm"),  # of finetune
        "clip_s",  # of speech_commands
    ]


@pytest.mark.parametrize("name", ["paper-20min", "paper-strong"])
def test_each_value_of_an_overlay_has_its_source(name: str) -> None:
    text = (profile.FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    known = set(re.findall(r"\[([A-Z])\] ", "".join(line for line in text if line.startswith("#"))))
    lines = [line for line in text if not line.startswith("#")]
    values = [line for line in lines if not re.fullmatch(r" *\w+:|.*train_share: 1\.0", line)]
    assert len(values) > 4
    for line in values:
        named = re.search(r"\[([A-Z](?:, [A-Z])*)[\]:;]", line)
        assert named, line
        assert set(named[1].split(", ")) <= known, line


def test_twenty_minutes_are_a_profile() -> None:
    fast, paper = profile.load("paper-20min"), profile.load("paper")
    assert (fast.pretrain.budget_min, fast.pretrain.n_steps) == (20, None)
    grown = fast.pretrain.batch_size / paper.pretrain.batch_size
    assert fast.pretrain.optimizer.lr == pytest.approx(paper.pretrain.optimizer.lr * grown**0.5)
    assert (fast.finetune, fast.tasks, fast.synth) == (paper.finetune, paper.tasks, paper.synth)


def test_strong_recipes_are_one_overlay_over_fine_tuning_alone() -> None:
    strong, paper = profile.load("paper-strong"), profile.load("paper")
    assert strong.model_copy(update={"finetune": paper.finetune, "tasks": paper.tasks}) == paper
    for task in strong.tasks:
        recipe = strong.recipe(task)
        assert recipe.standardise
        assert (recipe.normalise, recipe.layer_decay, recipe.n_time_masks, recipe.n_mel_masks) == ("task", 0.75, 1, 1)
        assert (recipe.sampling == "balanced") == (recipe.optimizer.ema_decay > 0) == (task == "fsd50k")
    assert strong.tasks["fsd50k"].clip_s > paper.tasks["fsd50k"].clip_s


@pytest.mark.parametrize("name", ["paper", "quick", "small"])
def test_the_share_is_in_the_file_so_that_an_experiment_can_set_it(name: str) -> None:
    """`dvc exp run -S` changes keys that are there."""
    tasks = yaml.safe_load(profile.text(name))["tasks"]
    assert [section["train_share"] for section in tasks.values()] == [1.0] * len(tasks)


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "paper-strong"])
def test_options_of_fine_tuning_that_are_ours_are_off_but_where_a_profile_says_so(name: str) -> None:
    config = profile.load(name)
    for task in config.tasks:
        recipe = config.recipe(task)
        assert (recipe.n_time_masks, recipe.n_mel_masks) == (0, 0)
        ours = name in {"quick", "small"}
        assert (recipe.pooling, recipe.normalise) == ("bands" if ours else "mean", "corpus")
        assert recipe.standardise == ours
        assert len(recipe.candidates) == 1
        assert recipe.patch_drop == (0.5 if name == "quick" or (name, task) == ("small", "esc10") else 0)
        if ours:
            assert (recipe.mixup_alpha, recipe.cutmix_alpha) == (0, 0)
    if name == "paper":
        blends = {task: (config.recipe(task).mixup_alpha, config.recipe(task).cutmix_alpha) for task in config.tasks}
        assert (blends["esc50"], blends["speech_commands"]) == ((0.8, 1.0), (0, 0))


@pytest.mark.parametrize("preset", ["paper", "world"])
@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_paper_with_its_overlays(name: str, preset: str) -> None:
    paths = [
        profile.FOLDER / "paper.yaml",
        profile.FOLDER / "presets" / f"{preset}.yaml",
        profile.FOLDER / f"{name}.yaml",
    ]
    values: dict[str, Any] = {}
    for path in filter(Path.exists, dict.fromkeys(paths)):
        values = merge(values, params.read_yaml(path)) if values else params.read_yaml(path)
    text = profile.text(name, preset)
    assert yaml.safe_load(text) == values
    assert all(len(line) <= 160 for line in text.splitlines())


def test_a_profile_has_a_corpus_of_its_own_unless_another_is_asked_for() -> None:
    assert len(profile.load("quick").synth.sources) > 3
    assert profile.load("quick") == profile.load("quick", "world")
    assert profile.load("quick", "paper") != profile.load("quick", "world")
    assert profile.load("paper") == profile.load("paper", "paper")


def test_paper_leaves_cores_for_downloads_and_decoding_on_a_machine_with_eight() -> None:
    paper = profile.load("paper")
    fetching, decoding = 1, 3  # in their rules
    assert paper.pretrain.n_threads + fetching + decoding <= 8
    assert paper.finetune.n_threads + fetching + decoding <= 8
    assert max(paper.probe.n_threads, paper.latent.n_threads) + fetching <= 8


@pytest.mark.parametrize("name", ["presets/world", "../profiles/quick", "", "."])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(AudiopgError, match=f"unknown profile '{name}'; known: paper"):
        profile.text(name)
    with pytest.raises(AudiopgError, match=f"unknown preset '{name or '.'}'"):
        profile.text("quick", name or ".")


def test_params_yaml_is_profile_quick() -> None:
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == profile.text("quick")


def test_an_overlay_changes_known_keys_only(tmp_path: Path) -> None:
    for path in profile.FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "mine.yaml").write_text("pretrain: {n_step: 3}\n")
    with pytest.raises(AudiopgError, match=r"mine\.yaml: pretrain\.n_step: unknown key; did you mean 'n_steps'\?"):
        profile.text("mine", folder=tmp_path)
    with pytest.raises(AudiopgError, match="unknown profile 'quik'; known: "):
        profile.text("quik")
    with pytest.raises(AudiopgError, match="unknown preset 'wold'; known: paper, world"):
        profile.text("quick", "wold")


def test_the_note_tells_the_papers_value_whatever_the_preset_says() -> None:
    lines = profile.text("quick", "world").splitlines()
    (line,) = [line for line in lines if line.startswith("    level_db: {min: -18, max: 0}") and "peak" in line]
    assert line.endswith("(paper: {min: 0, max: 0})")
