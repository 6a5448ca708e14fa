"""Profiles: paper with overlays."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.places import ROOT

from audiopg.config import params, profile
from audiopg.config.overlays import merge
from audiopg.errors import AudiopgError

PROFILES = sorted(path.stem for path in profile.FOLDER.glob("*.yaml"))


def test_what_a_run_can_do_is_off_unless_asked_for() -> None:
    for name in PROFILES:
        config = profile.load(name)
        assert not config.compute.compile
        assert config.pretrain.budget_min is None
        assert (config.pretrain.accumulate, config.finetune.accumulate) == (1, 1)
        assert (config.pretrain.drop_path, config.finetune.layer_decay) == (0, 1)
        assert (config.pretrain.objectives.twins > 0) == (name in {"quick", "small"})
        for optimizer in (config.pretrain.optimizer, config.finetune.optimizer):
            assert (optimizer.ema_decay, optimizer.on_non_finite) == (0, "stop")


@pytest.mark.parametrize("name", ["paper", "quick", "small"])
def test_the_share_is_in_the_file_so_that_an_experiment_can_set_it(name: str) -> None:
    """`dvc exp run -S` changes keys that are there."""
    tasks = yaml.safe_load(profile.text(name))["tasks"]
    assert [section["train_share"] for section in tasks.values()] == [1.0] * len(tasks)


@pytest.mark.parametrize("name", PROFILES)
def test_options_of_fine_tuning_that_are_ours_are_off_but_where_a_profile_says_so(name: str) -> None:
    config = profile.load(name)
    for task in config.tasks:
        recipe = config.recipe(task)
        assert (recipe.n_time_masks, recipe.n_mel_masks) == (0, 0)
        ours = name in {"quick", "small"}
        assert (recipe.pooling, recipe.normalise) == ("bands" if ours else "mean", "corpus")
        assert recipe.standardise == ours
        assert len(recipe.candidates) == 1
        assert recipe.patch_drop == (0.5 if (name, task) == ("small", "esc10") else 0)
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
