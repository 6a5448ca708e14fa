"""The benchmark of the forecast: how it reads a run's times."""

import base64
import json
from pathlib import Path

import forecast
import pytest

from audiopg.errors import AudiopgError


def write(project: Path, path: str, rule: str, took_s: float) -> None:
    folder = project / ".snakemake" / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    name = base64.b64encode(path.encode()).decode()
    text = json.dumps({"rule": rule, "starttime": 1000.0, "endtime": 1000.0 + took_s})
    (folder / name).write_text(text)


def test_jobs_of_a_stage_are_added_up_once_each(tmp_path: Path) -> None:
    for init, fold, took_s in (("pretrained", 1, 1), ("pretrained", 2, 2), ("scratch", 1, 4)):
        for file in ("run.json", "metrics.json"):
            write(tmp_path, f"results/finetune/drums/{init}/fold{fold}/{file}", "finetune", took_s)
    write(tmp_path, "results/pretrain/run.json", "pretrain", 8)
    write(tmp_path, "results/probe/drums/run.json", "probe", 16)
    assert forecast.took(forecast.jobs(tmp_path)) == {
        ("finetune", "drums"): 3,
        ("scratch", "drums"): 4,
        ("pretrain", ""): 8,
        ("probe", "drums"): 16,
    }


def test_a_project_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudiopgError, match=r"no times of jobs; run `snakemake --cores 1`"):
        forecast.jobs(tmp_path)
