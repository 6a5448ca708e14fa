"""Runs of several seeds as one table, from scores with known means and tests."""

import csv
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.outcomes import DRUMS, LOSS, fold_files, latent_file, probe_file, source_files
from support.places import ROOT

from audiopg import storage
from audiopg.config import Config, params, profile
from audiopg.errors import AudiopgError
from audiopg.report import aggregate, compare, curves, significance, table
from audiopg.report.rows import TITLES

AUDIOPG = Path(sys.executable).with_name("audiopg")
SCORES = {
    "pretrained": [[0.8, 0.9, 0.7, 0.8], [0.9, 0.8, 0.8, 0.9]],
    "scratch": [[0.7, 0.7, 0.7, 0.7], [0.7, 0.7, 0.7, 0.8]],
    "probe_linear": [[0.5, 0.6, 0.5, 0.6], [0.5, 0.6, 0.5, 0.6]],
    "probe_knn": [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]],
    "probe_random": [[0.4, 0.5, 0.4, 0.5], [0.4, 0.5, 0.4, 0.5]],
    "logmel_stats": [[0.6, 0.6, 0.5, 0.5], [0.7, 0.4, 0.6, 0.6]],
}


def a_run(place: int) -> compare.Run:
    """The run with the scores at ``place``; a fold has 25 recordings of 100, and half of the others train."""
    metrics: dict[str, Any] = {row: {"accuracy": {"scores": scores[place]}} for row, scores in SCORES.items()}
    metrics |= {"n_train": [38] * 4, "n_test": [25] * 4}
    facts = {"pretrain.n_steps": 1000}
    return compare.Run(Path(f"run{place}"), 42 + place, facts, {"drums": 0.5}, {"drums": metrics})


def finish(folder: Path, cfg: Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the results of a run below a folder, as the stages make them."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    runs, folds, probe = source_files(DRUMS, cfg), fold_files(cfg), probe_file(cfg)
    latent, card, summary = latent_file(cfg), Path("results/tasks/drums/card.json"), Path("results/summary/drums")
    aggregate.run(cfg, card, folds, probe, Path("results/metrics/drums.json"), summary)
    runs += [path.with_name("run.json") for path in [*folds, probe, latent, summary / "run.json"]]
    table.run(cfg, [card], Path("results/metrics"), latent, LOSS, runs, Path("results"))
    return folder / "results"


@pytest.fixture
def cfg() -> Config:
    """The paper's parameters with one task, of which a tenth trains."""
    found = profile.load("paper")
    tasks = {"drums": {"clip_s": 0.96, "train_share": 0.1}}
    return params.parse(found.model_dump(mode="json") | {"tasks": tasks}, "params.yaml")


def test_pooled_over_folds_and_seeds_and_paired_within_them() -> None:
    frame = compare.table([a_run(0), a_run(1)]).set_index("row")
    assert list(frame.index) == [*TITLES, *(f"{a} - {b}" for a, b in compare.PAIRS)]
    assert set(frame["n_folds"]) == {4}
    assert set(frame["n_seeds"]) == {2}
    assert set(frame["train_share"]) == {0.5}
    knn, gain = frame.loc["probe_knn"], frame.loc["pretrained - scratch"]
    assert (knn["mean"], knn["std"]) == (0.45, pytest.approx(math.sqrt(6 / 100), abs=1e-6))
    assert math.isnan(knn["p_t"])
    differences = np.array([0.1, 0.2, 0.0, 0.1, 0.2, 0.1, 0.1, 0.1])
    assert (gain["mean"], gain["std"]) == (pytest.approx(0.1125), pytest.approx(differences.std(ddof=1), abs=1e-6))
    assert gain["test_to_train"] == pytest.approx(25 / 75)
    of_folds = np.array([0.15, 0.15, 0.05, 0.1])
    assert gain[list(significance.Tests._fields)].tolist() == list(significance.tests(of_folds, gain["test_to_train"]))
    assert gain["p_corrected"] > gain["p_t"]
    constant = frame.loc["probe_linear - probe_random"]
    assert (constant["mean"], constant["std"]) == (0.1, 0.0)
    assert math.isnan(constant["p_corrected"])
    assert frame.loc["probe_linear - logmel_stats"]["mean"] == pytest.approx(-0.0125)


def test_a_seed_that_says_the_same_again_makes_no_difference_more_certain() -> None:
    once, thrice = (
        compare.table([replace(a_run(0), seed=seed) for seed in range(n_seeds)]).set_index("row") for n_seeds in (1, 3)
    )
    tests = list(significance.Tests._fields)
    pd.testing.assert_frame_equal(thrice[tests], once[tests])


def test_the_seeds_of_a_split_are_what_its_tests_are_about() -> None:
    runs = [
        replace(a_run(0), seed=place, metrics={"drums": of_a_split([each + 0.1 * place**2, each])})
        for place, each in enumerate((0.5, 0.6, 0.5))
    ]
    gain = compare.table(runs).set_index("row").loc["pretrained - scratch"]
    assert (gain["n_folds"], gain["n_seeds"]) == (1, 3)
    assert gain["p_t"] == pytest.approx(significance.tests(np.array([0.0, 0.1, 0.4]), 0.25).p_t)


def of_a_split(scores: list[float]) -> dict[str, Any]:
    """The figures of a run with one split: those of the pre-trained encoder, and those of all other rows."""
    found: dict[str, Any] = {row: {"accuracy": {"scores": [scores[row != "pretrained"]]}} for row in TITLES}
    return found | {"n_train": [80], "n_test": [20]}


def test_a_share_of_the_training_split_counts_as_the_whole() -> None:
    split = replace(a_run(0), metrics={"drums": a_run(0).metrics["drums"] | {"n_train": [40], "n_test": [20]}})
    assert set(compare.table([split])["test_to_train"]) == {20 / 80}


def with_steps(place: int, n_steps: object) -> compare.Run:
    return replace(a_run(place), facts=a_run(place).facts | {"pretrain.n_steps": n_steps})


def test_groups_along_a_parameter_are_in_order_and_hold_their_own_seeds() -> None:
    runs = [with_steps(0, 1000), with_steps(0, 250), with_steps(1, 1000), with_steps(1, 500)]
    compare.check(runs, "pretrain.n_steps")
    found = compare.groups(runs, "pretrain.n_steps")
    assert [(value, [run.seed for run in pooled]) for value, pooled in found] == [
        (250, [42]),
        (500, [43]),
        (1000, [42, 43]),
    ]
    words = [with_steps(0, "b"), with_steps(0, "a"), with_steps(1, "b")]
    assert [(value, len(pooled)) for value, pooled in compare.groups(words, "pretrain.n_steps")] == [("b", 2), ("a", 1)]
    lists = [with_steps(0, [1, 2]), with_steps(0, [1])]
    compare.check(lists, "pretrain.n_steps")
    assert len(compare.groups(lists, "pretrain.n_steps")) == 2


def test_along_a_parameter_all_else_is_held_equal() -> None:
    other = replace(with_steps(1, 250), facts={"pretrain.n_steps": 250, "probe.knn_k": 3})
    with pytest.raises(AudiopgError, match=r"has probe.knn_k = 3, .* only the seed and pretrain.n_steps may differ$"):
        compare.check([with_steps(0, 1000), other], "pretrain.n_steps")
    with pytest.raises(AudiopgError, match=r"^run0: has seed = 42, as run0 has; each run needs its own$"):
        compare.check([with_steps(0, 250), with_steps(0, 1000), with_steps(0, 250)], "pretrain.n_steps")
    with pytest.raises(AudiopgError, match=r"^run0: has no parameter pretrain.steps$"):
        compare.check([with_steps(0, 250)], "pretrain.steps")


@pytest.mark.slow
def test_curves_show_each_figure_over_the_parameter(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []
    for n_steps in (4000, 100, 1000):
        pretrain = cfg.pretrain.model_copy(update={"n_steps": n_steps})
        folders.append(finish(tmp_path / str(n_steps), cfg.model_copy(update={"pretrain": pretrain}), monkeypatch))
    drawn: list[Any] = []
    monkeypatch.setattr(curves, "save", lambda figure, path: drawn.append((figure, path)))
    shown = compare.run(folders, tmp_path / "t.csv", None, "pretrain.n_steps", tmp_path / "t.png")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert list(rows[0]) == ["pretrain.n_steps", *compare.COLUMNS]
    assert list(dict.fromkeys(row["pretrain.n_steps"] for row in rows)) == ["100", "1000", "4000"]
    assert shown.splitlines()[0].split("|")[1].strip() == "pretrain.n_steps"
    assert shown.splitlines()[2].split("|")[1].strip() == "100"
    ((figure, path),) = drawn
    (panel,) = figure.axes
    assert (path, panel.get_xscale(), panel.get_title()) == (tmp_path / "t.png", "log", "drums")
    lines = {container.get_label(): container.lines[0] for container in panel.containers}
    assert list(lines) == [TITLES[row] for row in curves.DRAWN]
    means = {(row["pretrain.n_steps"], row["row"]): float(row["mean"]) for row in rows}
    for row in curves.DRAWN:
        assert list(lines[TITLES[row]].get_xdata()) == [100, 1000, 4000]
        expected = [means[n_steps, row] for n_steps in ("100", "1000", "4000")]
        assert list(lines[TITLES[row]].get_ydata()) == pytest.approx(expected)


@pytest.mark.parametrize("values", [["b", "a"], [[0.9, 0.95], [0.9, 0.999]]])
def test_what_is_no_number_is_drawn_in_the_order_given(
    values: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [compare.table([with_steps(0, value)]) for value in values]
    for frame, value in zip(frames, values, strict=True):
        frame.insert(0, "key", [value] * len(frame))
    drawn: list[Any] = []
    monkeypatch.setattr(curves, "save", lambda figure, _: drawn.append(figure))
    curves.draw(pd.concat(frames), "key", tmp_path / "t.png")
    (panel,) = drawn[0].axes
    assert [label.get_text() for label in panel.get_xticklabels()] == [str(value) for value in values]
    assert list(panel.containers[0].lines[0].get_xdata()) == [0, 1]


@pytest.mark.parametrize(
    "places",
    [("table.csv", None, None), (None, "latent/claims.md", None), (None, None, "pretraining.png")],
)
def test_nothing_is_written_into_what_is_compared(places: tuple[str | None, ...], tmp_path: Path) -> None:
    out, page, curve = (place and tmp_path / "run" / ".." / "run" / place for place in places)
    with pytest.raises(AudiopgError, match="is inside .*run, which is compared; choose a place outside"):
        compare.run([tmp_path / "run"], out, page, None, curve)


def test_a_curve_needs_a_parameter(tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match="name it with --along"):
        compare.run([tmp_path / "run"], None, None, None, tmp_path / "t.png")


def test_for_the_eye() -> None:
    lines = compare.markdown(compare.table([a_run(0), a_run(1)]), [42, 43]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| drums")]
    figure = ["drums", "0.5", "k-NN probe", "accuracy", "0.450 ± 0.245", "4", "2", "–", "–", "–", "–"]
    assert figure in cells
    (gain,) = [row for row in cells if row[2] == "pre-trained − scratch"]  # noqa: RUF001  (a minus)
    assert gain[4:8] == ["+0.113 ± 0.064", "4", "2", "0.018"]
    assert gain[-1] == "0.333"
    assert compare._p(0.0004) == "< 0.001"
    assert lines[-1] == "Seeds: 42, 43."


@pytest.mark.slow
def test_from_finished_runs_and_from_copies_of_what_is_needed(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish(tmp_path / "a", cfg, monkeypatch)
    second = finish(tmp_path / "b", cfg.model_copy(update={"seed": 7}), monkeypatch)
    copy = tmp_path / "copy"
    (copy / "metrics").mkdir(parents=True)
    for file in ("run.json", "metrics/drums.json"):
        (copy / file).write_bytes((second / file).read_bytes())
    files = ["--out", tmp_path / "table.csv", "--markdown", tmp_path / "table.md"]
    shown = subprocess.run([AUDIOPG, "compare", first, copy, *files], capture_output=True, text=True, check=True).stdout
    assert shown == (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "Seeds: 42, 7." in shown
    rows = {row["row"]: row for row in csv.DictReader((tmp_path / "table.csv").read_text().splitlines())}
    assert (rows["pretrained"]["mean"], rows["pretrained - scratch"]["mean"]) == ("0.525", "0.3")
    assert (rows["scratch"]["train_share"], rows["scratch"]["n_folds"], rows["scratch"]["n_seeds"]) == ("0.1", "4", "2")
    ratio = sum(fold / (10 - fold) for fold in (1, 2, 3, 4)) / 4  # so many recordings have the folds made up here
    assert float(rows["scratch"]["test_to_train"]) == pytest.approx(ratio, rel=1e-5)


@pytest.mark.slow
def test_runs_that_differ_in_more_than_the_seed_are_refused(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish(tmp_path / "a", cfg, monkeypatch)
    other = cfg.model_copy(update={"seed": 7, "probe": cfg.probe.model_copy(update={"knn_k": 3})})
    second = finish(tmp_path / "b", other, monkeypatch)
    shown = subprocess.run([AUDIOPG, "compare", first, second], capture_output=True, text=True, check=False)
    message = f"audiopg: {second}: has probe.knn_k = 3, but {first} has 5; only the seed may differ\n"
    assert (shown.returncode, shown.stderr) == (2, message)
    with pytest.raises(AudiopgError, match=rf"^{first}: has seed = 42, as {first} has; each run needs its own$"):
        compare.run([first, first], None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pretrain.n_steps", 7), ("stages.finetune drums.device", "cuda"), ("inputs.results/tasks/drums/card.json", "b")],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_key_that_only_one_run_has_is_a_difference(key: str, value: object, swapped: bool) -> None:
    changed = replace(a_run(1), facts=a_run(1).facts | {key: value})  # type: ignore[operator]
    with pytest.raises(AudiopgError, match=f"has {key} = .*; only the seed may differ"):
        compare.check([changed, a_run(0)] if swapped else [a_run(0), changed])
    compare.check([a_run(0), a_run(1)])


def test_code_device_and_recordings_are_among_what_must_agree(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = compare.Run.read(finish(tmp_path / "a", cfg, monkeypatch)).facts
    assert {"stages.pretrain.code", "stages.finetune drums.device", "stages.probe drums.versions.torch"} <= set(facts)
    assert {"inputs.results/tasks/drums/card.json", "inputs.results/tasks/drums/prepare-run.json"} <= set(facts)
    assert facts["tasks.drums.train_share"] == 0.1
    assert "seed" not in facts
    assert not [key for key in facts if "metrics" in key or "encoder.safetensors" in key]


def test_files_that_are_no_run_of_this_version_are_named(
    cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finish(tmp_path / "a", cfg, monkeypatch)
    with pytest.raises(AudiopgError, match=r"no/run\.json: no such file"):
        compare.run([tmp_path / "no"], None, None)
    card = storage.read_json(folder / "run.json")
    file = folder / "metrics" / "drums.json"
    right = file.read_text()
    file.write_text(right.replace("0.51", "0.99"))
    with pytest.raises(AudiopgError, match=r"metrics/drums\.json: is not what .*/run\.json describes$"):
        compare.run([folder], None, None)
    file.write_text(right)
    for former in ({key: value for key, value in card.items() if key != "stages"}, card | {"stage": "finetune"}):
        storage.write_json(folder / "run.json", former)
        with pytest.raises(AudiopgError, match=r"run\.json: not the run card of a results table of this version"):
            compare.run([folder], None, None)


@pytest.mark.slow
def test_more_than_nine_folds_keep_their_order(cfg: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    many = replace(DRUMS, sizes=(4,) * 11)
    source_files(many, cfg)
    folds = fold_files(cfg, many)
    path = Path("results/metrics/drums.json")
    for order in (folds, sorted(folds), folds[::-1]):
        aggregate.run(cfg, Path("results/tasks/drums/card.json"), order, probe_file(cfg, many), path, Path("results/s"))
        found = storage.read_json(path)
        assert found["n_test"] == list(range(1, 12))
        assert found["n_train"] == list(range(99, 88, -1))
        assert found["pretrained"]["accuracy"]["scores"] == pytest.approx([0.5 + fold / 100 for fold in range(1, 12)])


SMALL = ROOT / "docs/results/small"
PUBLISHED = {
    "compared": (["seed42", "seed43"], None),
    "few/compared": (["few/seed42", "few/seed43"], None),
    "scaling/scaling": (
        ["scaling/steps500", "scaling/steps1000", "few/seed42", "scaling/steps4000"],
        "pretrain.n_steps",
    ),
}


def test_published_runs_are_whole() -> None:
    """Scores are those that the run card describes, and so is the table beside them."""
    published = sorted(SMALL.rglob("run.json"))
    assert published
    for card in published:
        run = compare.Run.read(card.parent)
        assert set(run.metrics) == {path.stem for path in (card.parent / "metrics").iterdir()}
        outputs = storage.read_json(card)["outputs"]
        assert storage.file_digest(card.with_name("table.csv")) == outputs["results/table.csv"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_comparisons_are_those_of_the_published_runs(name: str, tmp_path: Path) -> None:
    folders, along = PUBLISHED[name]
    page = compare.run([SMALL / folder for folder in folders], tmp_path / "found.csv", None, along)
    assert (SMALL / name).with_suffix(".csv").read_bytes() == (tmp_path / "found.csv").read_bytes()
    assert (SMALL / name).with_suffix(".md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(("option", "place"), [("out", 1), ("markdown", 2), ("picture", 4)])
def test_no_file_of_another_kind_is_replaced(option: str, place: int, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1")
    arguments: list[Any] = [[], None, None, "seed", None]
    arguments[place] = tmp_path / "params.yaml"
    with pytest.raises(AudiopgError, match=f"--{option}: a name that ends in .* is needed, found"):
        compare.run(*arguments)
    assert (tmp_path / "params.yaml").read_text() == "seed: 1"
