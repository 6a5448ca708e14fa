"""The search of a folder: what is a recording, what is not, and that nothing is left out in silence."""

import os
from pathlib import Path

import pytest

from audiopg.audio.files import check_names, printable, search
from audiopg.errors import AudiopgError


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in search(folder).recordings]


@pytest.mark.parametrize("suffix", ["aifc", "oga", "snd", "wave", "mp2", "voc", "rf64", "WAV", "Flac"])
def test_suffixes_of_what_can_be_decoded(suffix: str, tmp_path: Path) -> None:
    put(tmp_path, f"a/x.{suffix}", "a/x.txt")
    assert found(tmp_path) == [f"a/x.{suffix}"]


def test_what_is_left_out_is_counted_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "a/1.wav", "a/2.m4a", "a/3.M4A", "a/notes.txt", "a/README", "b/4.wma", "c/5.wav")
    os.mkfifo(tmp_path / "a/pipe.wav")
    search(tmp_path).report()
    assert capsys.readouterr().err == (
        f"audiopg: {tmp_path}: 2 recordings; left out: 2 .m4a, 1 .txt, 1 .wma, 1 not a regular file, 1 without a "
        "suffix, 1 without recordings (folders); convert .m4a and .wma, to FLAC for example\n"
    )


def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "a/1.wav", "a/b/2.wav")
    search(tmp_path).report()
    assert not capsys.readouterr().err


def test_many_kinds_are_summed_up(tmp_path: Path) -> None:
    put(tmp_path, "x.wav", *(f"x.{number}" for number in range(20)))
    assert search(tmp_path).rest.endswith(", 12 others")


def test_a_folder_without_recordings_says_what_is_in_it(tmp_path: Path) -> None:
    put(tmp_path, "1.m4a")
    with pytest.raises(AudiopgError) as caught:
        search(tmp_path).report()
    assert str(caught.value) == (
        f"{tmp_path}: no audio files in it (left out: 1 .m4a; convert .m4a, to FLAC for example)"
    )


def test_what_macos_leaves_and_what_is_hidden_are_no_recordings(tmp_path: Path) -> None:
    put(tmp_path, "a/x.wav", "a/._x.wav", "__MACOSX/a/x.wav", ".git/annex/x.wav")
    assert found(tmp_path) == ["a/x.wav"]
    assert search(tmp_path).left_out == {"hidden": 2, "__MACOSX": 1}


def test_a_hidden_folder_that_is_asked_for_is_searched(tmp_path: Path) -> None:
    put(tmp_path, ".cache/a/x.wav")
    assert found(tmp_path / ".cache") == ["a/x.wav"]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/1.wav", "elsewhere/object", "sounds/a/0.wav")
    (tmp_path / "sounds/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "sounds/a/2.wav").symlink_to("../../elsewhere/object")
    assert found(tmp_path / "sounds") == ["a/0.wav", "a/2.wav", "b/1.wav"]
    (tmp_path / "linked").symlink_to("sounds")
    assert found(tmp_path / "linked") == ["a/0.wav", "a/2.wav", "b/1.wav"]


def test_a_link_to_a_folder_above_it_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "a/0.wav")
    (tmp_path / "a/up").symlink_to("..")
    assert found(tmp_path) == ["a/0.wav"]
    assert search(tmp_path).left_out == {"link to a folder above it": 1}


@pytest.mark.parametrize("name", ["a/1.wav", "robin"])
def test_a_broken_link_is_refused(name: str, tmp_path: Path) -> None:
    put(tmp_path, "a/0.wav")
    (tmp_path / name).symlink_to("../annex/object")
    message = (
        f"{tmp_path / name}: is a link to ../annex/object, which is not there; fetch that file, or remove the link"
    )
    with pytest.raises(AudiopgError) as caught:
        search(tmp_path)
    assert str(caught.value) == message
    (tmp_path / "z.wav").symlink_to("z.wav")  # to itself
    with pytest.raises(AudiopgError) as caught:
        search(tmp_path)
    assert str(caught.value) == f"{message} (2 broken links in {tmp_path})"


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/0.wav", "b/0.wav")
    listed = Path.iterdir

    def refused(path: Path) -> object:
        if path.name == "b":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(AudiopgError, match=r"/b: cannot be read \(Permission denied\)"):
        search(tmp_path)


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        (b"caf\xe9.wav", r"caf\xe9.wav", "is not UTF-8"),
        (b"two\nlines.wav", r"two\nlines.wav", "goes over several lines"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused_before_anything_is_done(
    name: bytes, shown: str, reason: str, tmp_path: Path
) -> None:
    put(tmp_path, "a.wav", "z.wav")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    with pytest.raises(AudiopgError) as caught:
        search(tmp_path)
    expected = f"{tmp_path}/{shown}: this name {reason}; choose another name"
    assert str(caught.value) == expected


def test_names_in_any_script_and_with_odd_signs_are_names() -> None:
    names = [Path(name) for name in ("ü/日本.wav", "a b,c;'\"$x.wav", "back\\slash.wav", "%41.wav")]
    check_names(names)
    assert [printable(name) for name in names] == [str(name) for name in names]
