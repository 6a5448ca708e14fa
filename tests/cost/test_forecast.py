"""A forecast from measured rates against sums by hand, and files that are no rehearsal of these parameters."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audiopg.config import Config, profile
from audiopg.cost import estimate, flops, forecast, measured
from audiopg.cost.speed import Speed
from audiopg.errors import AudiopgError
from audiopg.models.readout import usual_layers

AUDIOPG = Path(sys.executable).with_name("audiopg")


def parts(cfg: Config) -> dict[str, Any]:
    """Round figures, each of which can be told from the others in a sum."""
    found: dict[str, Any] = {
        "machine": {"device": "cpu float32"},
        "start": {"start_s": 5.0},
        "pretrain": {"step_s": 0.5, "first_steps_s": 2.0, "waiting": 0.25},
        "save": {"copy_gb_per_s": 2.0, "write_gb_per_s": 0.5},
        "latent": {"n_clips": 300, "corpora_s": 6.0},
    }
    for task in cfg.tasks:
        found[f"finetune {task}"] = {"step_s": 0.125, "first_steps_s": 1.0, "windows_per_s": 100.0}
        found[f"embed {task}"] = {"windows_per_s": 40.0}
        found[f"regression {task}"] = {"n_recordings": 100, "linear_s": 0.25, "nearest_s": 0.0625}
    return found


def write(path: Path, cfg: Config, **changes: Any) -> Path:
    path.write_text(json.dumps({"shapes": measured.shapes(cfg), "parts": parts(cfg) | changes}))
    return path


def stages(cfg: Config, path: Path, **changes: Any) -> dict[tuple[str, str], forecast.Stage]:
    found = forecast.stages(cfg, measured.read(write(path / "rehearsal.json", cfg, **changes), cfg))
    return {(stage.stage, stage.task): stage for stage in found}


def pretrain(cfg: Config, **changes: Any) -> Config:
    return cfg.model_copy(update={"pretrain": cfg.pretrain.model_copy(update=changes)})


def test_pretraining_by_hand(tiny: Config, tmp_path: Path) -> None:
    cfg = pretrain(tiny, n_steps=1000, save_every_min=2)
    stage = stages(cfg, tmp_path)["pretrain", ""]
    weights = estimate.rows(cfg, Speed(1, 1))[0].n_parameters
    assert (stage.start_s, stage.train_s) == (5 + 2, 500)
    kept = weights + flops.parameters(cfg).encoder
    # three copies in 500 s, after 480 s no more, the writes beside the training; and the weights at the end
    assert stage.save_s == pytest.approx(12e-9 * weights * 3 / 2 + 4e-9 * kept / 0.5)
    assert stage.written_bytes == 3 * 12 * weights + 4 * kept
    assert stage.time_s == pytest.approx(507 + stage.save_s)
    timed = pretrain(tiny, n_steps=None, budget_min=3.0)
    assert stages(timed, tmp_path)["pretrain", ""].train_s == 180


def test_a_write_longer_than_the_time_between_two_saves_makes_the_training_wait(tiny: Config, tmp_path: Path) -> None:
    cfg = pretrain(tiny, n_steps=240, save_every_min=0.5)
    quick, slow = (
        stages(cfg, tmp_path, save={"copy_gb_per_s": 1e9, "write_gb_per_s": rate})["pretrain", ""].save_s
        for rate in (1e9, 1e-4)
    )
    weights = estimate.rows(cfg, Speed(1, 1))[0].n_parameters
    write_s = 12e-9 * weights / 1e-4
    assert write_s > 30
    kept = weights + flops.parameters(cfg).encoder
    assert slow - quick == pytest.approx(3 * (write_s - 30) + 4e-9 * kept / 1e-4, rel=1e-6)


def test_fine_tuning_by_hand(tiny: Config, tmp_path: Path) -> None:
    found = stages(tiny, tmp_path)
    row = next(row for row in estimate.rows(tiny, Speed(1, 1)) if (row.stage, row.task) == ("scratch", "drums"))
    stage = found["scratch", "drums"]
    assert stage == forecast.Stage(
        "scratch",
        "drums",
        4,
        start_s=4 * 6,
        train_s=row.clips_trained / 64 * 0.125,
        evaluate_s=row.clips_evaluated / 100,
    )
    assert found["finetune", "drums"].time_s == stage.time_s
    every_s = stage.train_s / 4 / 3.5  # of the 4 folds, each with three and a half times as long
    averaged = tiny.finetune.optimizer.model_copy(update={"ema_decay": 0.9})
    recipe = tiny.finetune.model_copy(update={"save_every_min": every_s / 60, "optimizer": averaged})
    saving = stages(tiny.model_copy(update={"finetune": recipe}), tmp_path)["scratch", "drums"]
    assert saving.written_bytes == 4 * 2 * 16 * row.n_parameters
    assert saving.save_s == pytest.approx(saving.written_bytes / 1e9 / 2)


def test_a_probe_by_hand(tiny: Config, tmp_path: Path) -> None:
    n_used, n_layers = 190 * 3 / 4, len(usual_layers(tiny.encoder.shape.depth))
    card = estimate.find("drums", tiny.task("drums")).card
    n_used = card.n_clips * 3 / 4
    n_features = 5 * 8 * tiny.encoder.shape.width
    assert n_used < n_features
    few, many = (n**2 * n_features + 6 * n**3 for n in (100, n_used))
    stage = stages(tiny, tmp_path)["probe", "drums"]
    assert stage.evaluate_s == 4 * card.n_clips / 40
    of_a_run = 0.25 * (4 * n_layers + 1) + 0.0625 * n_layers
    assert stage.analyse_s == pytest.approx(4 * of_a_run * many / few)


def test_the_latent_analysis_grows_with_its_corpora(tiny: Config, tmp_path: Path) -> None:
    assert len(tiny.latent.corpora) == 8
    for n_threads, in_turn in ((2, 1 + 4), (7, 1 + 1)):
        latent = tiny.latent.model_copy(update={"n_clips": 1200, "n_threads": n_threads})
        stage = stages(tiny.model_copy(update={"latent": latent}), tmp_path)["latent", ""]
        assert stage.analyse_s == in_turn * 4 * 6


def test_the_table_adds_up_times_and_what_is_written(tiny: Config, tmp_path: Path) -> None:
    rates = measured.read(write(tmp_path / "rehearsal.json", tiny), tiny)
    head, _, *lines = (line for line in forecast.table(tiny, rates).splitlines() if line.startswith("|"))
    last = dict(zip(*([cell.strip() for cell in line.split("|")] for line in (head, lines[-1])), strict=True))
    data = forecast.data(tiny, "test", rates)
    assert data["written_bytes"] == sum(stage["written_bytes"] for stage in data["stages"]) > 0
    assert last["written GB"] == f"{data['written_bytes'] / 1e9:.2f}"
    assert last["time"] == forecast.time_text(data["time_s"])
    assert len(lines) == len(data["stages"]) + 1


def test_numbers_of_steps_and_epochs_do_not_make_a_new_rehearsal(tiny: Config, tmp_path: Path) -> None:
    path = write(tmp_path / "rehearsal.json", tiny)
    longer = pretrain(tiny, n_steps=10_000, save_every_min=1.0)
    assert measured.read(path, longer).device == "cpu float32"


def test_other_shapes_make_one(tiny: Config, tmp_path: Path) -> None:
    path = write(tmp_path / "rehearsal.json", tiny)
    for other, name in (
        (pretrain(tiny, batch_size=32), "pretrain.batch_size"),
        (tiny.model_copy(update={"encoder": profile.load("paper").encoder}), "encoder"),
        (
            tiny.model_copy(update={"tasks": {"drums": tiny.tasks["drums"].model_copy(update={"clip_s": 0.64})}}),
            "tasks",
        ),
    ):
        with pytest.raises(AudiopgError, match=rf"was measured with another {name}.*run `audiopg rehearse` again"):
            measured.read(path, other)


@pytest.mark.parametrize("text", ["{}", '{"shapes": 1, "parts": {}}', '{"shapes": {}, "parts": {"machine": {}}}'])
def test_a_file_that_is_no_rehearsal(tiny: Config, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AudiopgError, match=r"x\.json: is no rehearsal"):
        measured.read(tmp_path / "x.json", tiny)


@pytest.mark.parametrize(
    ("part", "figures", "message"),
    [
        ("pretrain", {}, "'pretrain' has no number 'step_s'"),
        ("pretrain", {"step_s": "fast"}, "'pretrain' has no number 'step_s'"),
        ("pretrain", {"step_s": float("nan")}, "'pretrain' has no number 'step_s'"),
        ("save", {"copy_gb_per_s": 0.0, "write_gb_per_s": 1.0}, "'save' has a rate of 0 as 'copy_gb_per_s'"),
        ("latent", {}, "'latent' has no number 'n_clips'"),
    ],
)
def test_a_figure_that_is_missing(
    tiny: Config, tmp_path: Path, part: str, figures: dict[str, Any], message: str
) -> None:
    with pytest.raises(AudiopgError, match=message):
        stages(tiny, tmp_path, **{part: figures})


def test_the_command_takes_the_file(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("test"))
    write(tmp_path / "rehearsal.json", tiny)
    command = [AUDIOPG, "cost", "--rehearsal=rehearsal.json"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Measured on cpu float32; pre-training waits for its clips 25% of the time.")
    assert forecast.LEFT_OUT in shown
    given = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    data = json.loads(given)
    assert data["time_s"] == pytest.approx(sum(stage.time_s for stage in stages(tiny, tmp_path).values()))
    wrong = subprocess.run([*command, "--profile=paper"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
