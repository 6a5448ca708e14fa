"""The benchmark of synthesis: what it prints, and that its figures agree with each other."""

import json
import subprocess
import sys
from typing import Any

import measure
import pytest
import torch
from support.places import ROOT

from audiopg.errors import AudiopgError
from audiopg.synth.score import CORPUS

QUICK = ("--clip-s=0.64", "--batch-size=4", "--seconds=0")


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "benchmarks" / "measure.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What the command prints as JSON, which is nothing else."""
    done = script("--json", *QUICK)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_names_what_was_measured(measured: dict[str, Any]) -> None:
    assert (measured["preset"], measured["corpus"]) == ("paper", CORPUS)
    assert (measured["clip_s"], measured["batch_size"]) == (0.64, 4)
    assert set(measured["threads"]) == {"1", str(measure.n_cores())}
    assert measured["machine"]["n_cores"] == measure.n_cores()
    assert all(measured["machine"][name] for name in ("platform", "cpu", "vector_instructions"))
    assert measured["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert set(measured["versions"]) == {"python", "numpy", "numba", "torch"}


def test_figures_are_positive_and_ordered(measured: dict[str, Any]) -> None:
    assert measured["first_calls_s"] > 0
    for threads in measured["threads"].values():
        assert threads["n_repeats"] >= measure.MIN_REPEATS
        assert 100 < measured["memory_before_mb"] <= threads["peak_memory_mb"] < 1e5
        assert set(threads["stages"]) == set(measure.STAGES)
        for stage in threads["stages"].values():
            assert 0 < stage["ms_per_clip_min"] <= stage["ms_per_clip"] <= stage["ms_per_clip_max"]


def test_rates_follow_from_the_time_of_a_clip(measured: dict[str, Any]) -> None:
    for threads in measured["threads"].values():
        for name, stage in threads["stages"].items():
            assert threads[f"{name}_ms_per_clip"] == stage["ms_per_clip"]
            assert stage["clips_per_s"] * stage["ms_per_clip"] == pytest.approx(1000)
            assert stage["times_real_time"] == pytest.approx(0.64 * stage["clips_per_s"])
            assert stage["msample_per_s"] == pytest.approx(0.64 * 16000 / 1e6 * stage["clips_per_s"])


def test_the_whole_takes_as_long_as_its_parts() -> None:
    made = measure.prepare("world", 1.28, 8)
    made.warm_up()
    times = made.measure(0.2)
    for synth, logmel, both in zip(times["synth"], times["logmel"], times["synth_and_logmel"], strict=True):
        assert both == pytest.approx(synth + logmel)
    stages = sum(min(times[stage]) for stage in ("draw", "arrange", "render"))
    assert stages / 2 < min(times["synth"]) < 2 * stages


def test_a_short_clip_is_the_preset_on_a_smaller_scale() -> None:
    made = measure.prepare("paper", 1.28, 4)
    score = made.world.score(range(64))
    assert made.world.play(range(4)).shape == (4, 20480)
    assert {voice.n_events.max() for voice in score.voices} == {5}
    duration_s = score.voices[0].event_duration_s
    assert 0.0624 <= duration_s[duration_s > 0].min() < 0.5


def test_edited_parameters_are_checked() -> None:
    def change(values: dict[str, Any]) -> None:
        values["synth"]["events"]["count"]["max"] = 1000

    with pytest.raises(AudiopgError, match=r"preset paper: synth: events\.count\.max"):
        measure.prepare("paper", 10.24, 1, change)


@pytest.mark.slow
def test_table_is_readable() -> None:
    done = script("--preset=world", *QUICK)
    assert done.returncode == 0, done.stderr
    assert f"preset world ({CORPUS}), clips of 0.64 s in batches of 4" in done.stdout
    for label in (*measure.LABELS.values(), "1 thread, median of", "clips/s", "Msample/s", "peak memory"):
        assert label in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset=wrld"], "unknown preset 'wrld'; known: paper, world"),
        (["--clip-s=0.05"], "a clip of 0.05 s is too short: at least 0.1 s are needed, for the transient"),
        (["--clip-s=nan"], "a clip of nan s is too short: at least 0.1 s are needed, for the transient"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    done = script(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{message}\n")
