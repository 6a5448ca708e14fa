"""The states of a run while it lasts: two, whole, of this run."""

import threading
from pathlib import Path

import pytest
import torch
from support.regression import CPU, EveryFive, Line, loss_of, training
from torch import Tensor

from audiopg import tensors
from audiopg.errors import AudiopgError
from audiopg.train import checkpoints as module
from audiopg.train.checkpoints import Checkpoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "resume"


def state(step: int) -> dict[str, Tensor]:
    return {"at": torch.tensor(step), "losses": torch.arange(step, dtype=torch.float64)}


def filled(folder: Path, run: str = "run") -> Checkpoints:
    """Three states were written."""
    checkpoints = Checkpoints(folder, run, 5)
    for step in (5, 10, 15):
        checkpoints.save(step, state(step), {"elapsed_s": f"{step}"})
    checkpoints.finish()
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def step_of(checkpoints: Checkpoints) -> int | None:
    found = checkpoints.newest()
    return None if found is None else int(found[0]["at"])


def flip(path: Path) -> None:
    """Change the last byte, which is one of a tensor."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def rename(path: Path) -> None:
    """Change a letter of a tensor's name."""
    path.write_bytes(path.read_bytes().replace(b'"losses"', b'"lossez"'))


def forget(path: Path) -> None:
    """Change a digit of the text header."""
    path.write_bytes(path.read_bytes().replace(b'elapsed_s\\": \\"15', b'elapsed_s\\": \\"25'))


def unbalance(path: Path) -> None:
    """Leave a header that is no JSON."""
    path.write_bytes(path.read_bytes().replace(b'{\\"crc32', b'[\\"crc32'))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def test_the_last_two_are_kept(folder: Path) -> None:
    filled(folder)
    assert names(folder) == ["000000010.safetensors", "000000015.safetensors"]
    found = Checkpoints(folder, "run", 5).newest()
    assert found is not None
    assert torch.equal(found[0]["losses"], state(15)["losses"])
    assert found[1]["elapsed_s"] == "15"


@pytest.mark.parametrize("damage", [flip, cut, empty, rename, forget, unbalance])
def test_a_damaged_one_falls_back_to_the_one_before(
    damage: object, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(folder)
    path = folder / "000000015.safetensors"
    whole = path.read_bytes()
    damage(path)  # type: ignore[operator]
    assert path.read_bytes() != whole
    checkpoints = Checkpoints(folder, "run", 5)
    assert step_of(checkpoints) == 10
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "000000015.safetensors: damaged checkpoint; going back to 000000010.safetensors" in shown
    checkpoints.save(15, state(15), {})
    checkpoints.finish()
    assert names(folder) == ["000000010.safetensors", "000000015.safetensors"]
    assert step_of(Checkpoints(folder, "run", 5)) == 15


def test_damaged_ones_alone_are_an_error(folder: Path) -> None:
    filled(folder)
    for path in folder.iterdir():
        flip(path)
    message = r"000000015\.safetensors: damaged checkpoint \(wrong checksum\); delete it and run again"
    with pytest.raises(AudiopgError, match=message):
        Checkpoints(folder, "run", 5).newest()


def test_the_state_of_another_run_is_not_continued(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(folder, "one")
    checkpoints = Checkpoints(folder, "two", 5)
    assert checkpoints.newest() is None
    assert "belongs to other parameters or other code; starting from the first step" in capsys.readouterr().err
    checkpoints.save(5, state(5), {})
    checkpoints.finish()
    assert names(folder) == ["000000005.safetensors"]
    assert step_of(Checkpoints(folder, "two", 5)) == 5


def test_an_older_state_of_this_run_is_found_behind_a_later_one_of_another(folder: Path) -> None:
    """As after a kill between writing the first state and removing those of the other run."""
    filled(folder, "one")
    kept = folder / "000000005.safetensors"
    with Checkpoints(folder.with_name("other"), "two", 5) as other:
        other.save(5, state(5), {})
    (folder.with_name("other") / kept.name).rename(kept)
    assert step_of(Checkpoints(folder, "two", 5)) == 5


def test_clearing_leaves_what_is_not_its_own(folder: Path) -> None:
    checkpoints = filled(folder)
    (folder / ".000000020.7.part.safetensors").touch()
    (folder / ".tmpA1b2c3").touch()
    checkpoints.clear()
    assert not folder.exists()
    checkpoints = filled(folder)
    (folder / "notes.txt").touch()
    checkpoints.clear()
    assert names(folder) == ["notes.txt"]


def test_a_state_is_due_after_its_time_and_not_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(folder, "run", 600)
    found = []
    for passed_s in (0, 599, 2, 597, 3):
        now[0] += passed_s
        found.append(checkpoints.due())
        if found[-1]:
            checkpoints.save(5, state(5), {})
    checkpoints.finish()
    assert found == [False, False, True, False, True]


def test_a_state_is_the_one_at_the_time_of_saving_and_one_is_written_at_a_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows changes the weights while they are written."""
    going, first, begun, write = threading.Event(), threading.Event(), [], tensors.write

    def slow(path: Path, *given: object) -> None:
        begun.append(path.name)
        first.set()
        assert going.wait(10)
        write(path, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(module.tensors, "write", slow)
    weights = torch.zeros(3)
    with Checkpoints(folder, "run", 0) as checkpoints:
        checkpoints.save(1, {"weights": weights}, {})
        weights.fill_(1.0)
        second = threading.Thread(target=checkpoints.save, args=(2, {"weights": weights}, {}))
        second.start()
        assert first.wait(10)
        second.join(0.2)
        assert second.is_alive()
        assert begun == ["000000001.safetensors"]
        going.set()
        second.join(10)
    assert [tensors.read(folder / name)[0]["weights"].tolist() for name in names(folder)] == [[0] * 3, [1] * 3]


def test_a_state_that_cannot_be_written_ends_the_run(folder: Path) -> None:
    folder.write_text("a file in its place")
    run = training(40)
    with pytest.raises(AudiopgError, match="resume"):
        run.fit(Line(), loss_of, CPU, "x", Checkpoints(folder, "run", 0))
    assert run.step < 40


def test_a_run_keeps_two_and_continues_from_the_older_where_the_newer_is_damaged(folder: Path) -> None:
    whole, first, second = training(22), training(22), training(22)
    whole.fit(Line(), loss_of, CPU, "whole")
    with pytest.raises(RuntimeError):
        first.fit(Line(), loss_of, CPU, "first", EveryFive(folder, "run", 0), after_step=fail_at(19))
    assert names(folder) == ["000000010.safetensors", "000000015.safetensors"]
    cut(folder / "000000015.safetensors")
    data = Line()
    second.fit(data, loss_of, CPU, "second", EveryFive(folder, "run", 0))
    assert data.seen[0][0] == 10
    assert second.losses == whole.losses


def fail_at(last: int) -> object:
    def fail(step: int) -> None:
        if step == last:
            raise RuntimeError

    return fail
