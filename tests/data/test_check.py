"""All recordings that cannot be used are found, with the reason, and left out on record only."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from audiopg.cli import app
from audiopg.config import profile
from audiopg.data import check
from audiopg.provenance import watchdog

RATE_HZ = 16000


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with twelve recordings, of which three cannot be used."""
    for label in ("cat", "dog"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(6):
            samples = np.sin(np.arange(4000) * (0.01 + 0.001 * number) + (label == "cat"))
            soundfile.write(tmp_path / "sounds" / label / f"{number}.wav", samples, RATE_HZ)
    (tmp_path / "sounds/cat/1.wav").write_bytes((tmp_path / "sounds/cat/1.wav").read_bytes()[:4000])
    (tmp_path / "sounds/cat/4.wav").write_text("<html>")
    # its header is that of any other: only decoding finds it
    soundfile.write(tmp_path / "sounds/dog/2.wav", np.full(4000, np.nan), RATE_HZ, subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(watchdog, "follow", lambda: None)
    return tmp_path


def audiopg(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command in this process and return its exit code."""
    monkeypatch.setattr("sys.argv", ["audiopg", *arguments])
    with pytest.raises(SystemExit) as stop:
        app.main()
    return int(stop.value.code or 0)


def test_all_that_cannot_be_used_is_found(project: Path) -> None:
    paths = [f"{label}/{number}.wav" for label in ("cat", "dog") for number in range(6)]
    found = check.unusable(project / "sounds", [*paths, "cat/9.wav"], RATE_HZ, "x")
    assert list(found) == ["cat/1.wav", "cat/4.wav", "dog/2.wav", "cat/9.wav"]
    assert "not finite" in found["dog/2.wav"]
    assert all(str(project / "sounds" / path) in reason for path, reason in found.items())


def test_a_list_is_checked_and_its_task_goes_on_without(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audiopg(monkeypatch, "list", "sounds", "--out", "mine.csv", "--check") == 2
    assert len((project / "mine.csv").read_text().splitlines()) == 13  # nothing is left out in silence
    shown = capsys.readouterr()
    assert "audiopg: 3 recordings cannot be used" in shown.err
    # the task is described, checked, and gets the lines that are printed
    text = profile.text("test")
    own = "  mine: {manifest: mine.csv, audio_root: sounds, protocol: 3-fold}\n"
    (project / "params.yaml").write_text(text.replace("  drums:", f"{own}  drums:", 1))
    assert audiopg(monkeypatch, "check", "mine") == 2
    shown = capsys.readouterr()
    assert "audiopg: 3 recordings cannot be used" in shown.err
    lines = yaml.safe_load(shown.out.partition("params.yaml:")[2])
    assert lines == {"tasks": {"mine": {"leave_out": ["cat/1.wav", "cat/4.wav", "dog/2.wav"]}}}
    # what is left out already stays in the lines
    some = own.replace("3-fold", "3-fold, leave_out: [cat/4.wav]")
    (project / "params.yaml").write_text(text.replace("  drums:", f"{some}  drums:", 1))
    assert audiopg(monkeypatch, "check", "mine") == 2
    assert yaml.safe_load(capsys.readouterr().out.partition("params.yaml:")[2]) == lines
    less = own.replace("3-fold", f"3-fold, leave_out: {lines['tasks']['mine']['leave_out']}")
    (project / "params.yaml").write_text(text.replace("  drums:", f"{less}  drums:", 1))
    assert audiopg(monkeypatch, "check", "mine") == 0
    assert capsys.readouterr().out == "mine: all recordings can be used\n"


@pytest.mark.parametrize(("command", "name"), [(["list", "sounds"], "z.csv"), (["profile", "quick"], "z.yaml")])
def test_a_recording_of_any_name_is_not_replaced(
    command: list[str], name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = (project / "sounds/cat/0.wav").read_bytes()
    (project / name).write_bytes(sound)
    assert audiopg(monkeypatch, *command, "--out", name) == 2
    assert f"{name}: is a recording; choose another name" in capsys.readouterr().err
    assert (project / name).read_bytes() == sound
