"""Averages over folds: of one run, or refused."""

from pathlib import Path

import pytest
from support.averages import CLIP, METRICS, average
from support.outcomes import DRUMS, ENCODER, fold_files, source_files

from audiopg import storage
from audiopg.config import Config, params
from audiopg.errors import AudiopgError
from audiopg.tasks.registry import TASKS


def test_a_missing_or_double_fold_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    paths = fold_files(cfg)
    for wrong in (paths[1:], [*paths, paths[0]], [paths[1], *paths[1:]]):
        with pytest.raises(AudiopgError, match="drums: folds .* wanted"):
            average(cfg, wrong)
    assert not METRICS.exists()


def test_a_fold_of_another_task_makes_no_average(cfg: Config) -> None:
    both = params.parse(cfg.model_dump(mode="json") | {"tasks": {"drums": CLIP, "instruments": CLIP}}, "params.yaml")
    source_files(DRUMS, both)
    with pytest.raises(AudiopgError, match=r"metrics\.json: is about drums, not instruments"):
        average(both, fold_files(both), TASKS["instruments"].card)


def test_a_fold_of_other_parameters_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    changed = cfg.model_copy(update={"seed": 7})
    fold_files(changed)
    with pytest.raises(AudiopgError, match=r"fold1/run\.json: made with seed = 7, params\.yaml has 42 \(and .* more; "):
        average(cfg, folds)
    assert not METRICS.exists()


def test_an_edited_fold_makes_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    folds[0].write_text(folds[0].read_text().replace("0.51", "0.99"))
    with pytest.raises(AudiopgError, match=r"fold1/metrics\.json: is not what a run card describes"):
        average(cfg, folds)
    assert not METRICS.exists()


def test_folds_from_two_encoders_make_no_average(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    folds = fold_files(cfg)
    kept = {path: path.read_bytes() for path in folds[0].parent.iterdir()}
    storage.write_text(ENCODER, "other weights")
    folds = fold_files(cfg)
    for path, content in kept.items():
        path.write_bytes(content)
    with pytest.raises(
        AudiopgError, match=r"made from another results/pretrain/encoder\.safetensors than other results"
    ):
        average(cfg, folds)


def test_averages_do_not_depend_on_the_order_of_files(cfg: Config) -> None:
    source_files(DRUMS, cfg)
    paths, found = fold_files(cfg), []
    for order in (paths, paths[::-1]):
        average(cfg, order)
        found.append(
            {path: path.read_bytes() for path in [*METRICS.iterdir(), *Path("results/summary/drums").iterdir()]}
        )
    assert found[0] == found[1]
