"""Somebody's own recordings: from a list to a checked manifest, and each thing that is wrong with a list."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.tasks import own, registry
from audiopg.tasks.manifest import Manifest

SINGLE = "path,labels\n" + "".join(f"{label}/{number}.wav,{label}\n" for label in ("cat", "dog") for number in range(6))
SPLITS = ["train", "train", "train", "val", "test", "test"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve recordings in two folders."""
    for label in ("cat", "dog"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(6):
            samples = np.full(800 * (number + 1), (0.1 if label == "cat" else 0.2) + number / 100)
            soundfile.write(tmp_path / "sounds" / label / f"{number}.wav", samples, 8000)
    return tmp_path


def section(folder: Path, text: str, protocol: str) -> config.Task:
    (folder / "mine.csv").write_text(text)
    values = {"clip_s": 0.32, "manifest": str(folder / "mine.csv"), "audio_root": str(folder / "sounds")}
    return config.Task.model_validate(values | {"protocol": protocol})


def manifest(folder: Path, text: str, protocol: str) -> Manifest:
    """The manifest of a list, made and checked as the stage does it."""
    task = registry.find("mine", section(folder, text, protocol))
    assert callable(task.source)
    root = task.source(folder / "data")
    made = task.make_manifest(root)
    made.check(task.card, root)
    return made


def leaving_out(folder: Path, *paths: str) -> config.Task:
    return config.Task.model_validate(section(folder, SINGLE, "3-fold").model_dump() | {"leave_out": list(paths)})


def test_what_is_left_out_is_neither_listed_nor_read_and_another_task(folder: Path) -> None:
    (folder / "sounds/cat/3.wav").write_bytes(b"RIFF")
    whole, less = section(folder, SINGLE, "3-fold"), leaving_out(folder, "./cat/3.wav")
    with pytest.raises(AudiopgError, match=r"3\.wav: .*; `audiopg check mine` lists all recordings"):
        manifest(folder, SINGLE, "3-fold")
    task = registry.find("mine", less)
    made = task.make_manifest(folder / "sounds")
    assert len(made) == task.card.n_clips == 11
    assert "cat/3.wav" not in made.paths
    assert own.paths(less) == made.paths
    assert own.digest(less) != own.digest(whole)
    (folder / "sounds/cat/3.wav").write_bytes((folder / "sounds/cat/2.wav").read_bytes() + b"\0\0")
    folds = {row.path: row.fold for row in manifest(folder, SINGLE, "3-fold").rows}
    assert {row.path: row.fold for row in made.rows}.items() <= folds.items()


@pytest.mark.parametrize(
    ("paths", "problem"),
    [
        (["cat/9.wav"], "tasks.mine.leave_out: cat/9.wav is not in"),
        ([f"{label}/{number}.wav" for label in ("cat", "dog") for number in range(6)], "leaves out all 12 recordings"),
    ],
)
def test_what_is_left_out_must_be_listed_and_something_must_stay(paths: list[str], problem: str, folder: Path) -> None:
    with pytest.raises(AudiopgError, match=problem):
        registry.find("mine", leaving_out(folder, *paths))


def test_a_list_that_is_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(
        AudiopgError, match=r"pipe\.csv: not a readable list of recordings \(a folder, pipe or device\)"
    ):
        own.read(folder / "pipe.csv")


def test_a_class_that_one_fold_holds_alone_is_found_before_any_recording_is_read(folder: Path) -> None:
    text = SINGLE.replace("labels\n", "labels,fold\n")
    lines = [f"{line},{number % 3 + 1}" if number else line for number, line in enumerate(text.splitlines())]
    lines = [line.replace(",cat,", ",owl,") if line.startswith("cat/0") else line for line in lines]
    with pytest.raises(AudiopgError, match="class 'owl' has no clip in the training part of fold"):
        registry.find("mine", section(folder, "\n".join(lines), "3-fold"))


def test_nothing_is_left_out_of_a_published_protocol() -> None:
    with pytest.raises(ValueError, match="a published protocol stays whole"):
        config.Task.model_validate({"clip_s": 5.12, "leave_out": ["1-100032-A-0.wav"]})


def test_a_list_of_paths_and_labels_is_enough(folder: Path) -> None:
    made = manifest(folder, SINGLE, "3-fold")
    assert made.class_names == ("cat", "dog")
    assert made.rows[1].duration_s == 0.2
    assert len({row.sha256 for row in made.rows}) == 12
    assert Counter((row.labels[0], row.fold) for row in made.rows) == {
        (label, fold): 2 for label in ("cat", "dog") for fold in (1, 2, 3)
    }
    card = registry.find("mine", section(folder, SINGLE, "3-fold")).card
    assert (card.name, card.metric, card.sizes, card.n_classes, card.licence) == (
        "mine",
        "accuracy",
        (4, 4, 4),
        2,
        "not stated",
    )


def test_groups_stay_in_one_fold(folder: Path) -> None:
    lines = SINGLE.splitlines()
    text = "\n".join([lines[0] + ",group", *(f"{line},g{number % 3}" for number, line in enumerate(lines[1:]))])
    made = manifest(folder, text, "3-fold")
    assert len({(row.group, row.fold) for row in made.rows}) == 3


def test_listed_folds_are_taken_as_they_are(folder: Path) -> None:
    lines = SINGLE.splitlines()
    text = "\n".join([lines[0] + ",fold", *(f"{line},{number % 3 + 1}" for number, line in enumerate(lines[1:]))])
    assert manifest(folder, text, "3-fold").parts.tolist() == [1, 2, 3] * 4


def test_splits_and_several_labels(folder: Path) -> None:
    lines = SINGLE.replace("cat\n", "cat|animal\n").splitlines()
    text = "\n".join([lines[0] + ",split", *(f"{line},{SPLITS[n % 6]}" for n, line in enumerate(lines[1:]))])
    made = manifest(folder, text, "split")
    assert made.parts.tolist() == SPLITS * 2
    assert made.class_names == ("animal", "cat", "dog")
    assert made.targets[0].tolist() == [1, 1, 0]
    card = registry.find("mine", section(folder, text, "split")).card
    assert (card.metric, card.protocol, card.n_folds, card.sizes) == ("mAP", "split", 1, (6, 2, 4))


def test_blanks_around_labels_and_other_spellings_of_a_path_change_nothing(folder: Path) -> None:
    lines = SINGLE.replace("cat\n", "cat|animal\n")
    other = lines.replace("cat|animal", " cat | animal").replace("dog/1.wav", "./dog/../dog//1.wav")
    assert other != lines
    assert manifest(folder, other, "3-fold") == manifest(folder, lines, "3-fold")


@pytest.mark.parametrize("how", ["copy", "symlink"])
def test_one_recording_under_two_names_is_not_dealt_to_two_folds(folder: Path, how: str) -> None:
    first, second = folder / "sounds/cat/0.wav", folder / "sounds/cat/1.wav"
    second.unlink()
    second.symlink_to(first) if how == "symlink" else second.write_bytes(first.read_bytes())
    with pytest.raises(AudiopgError) as caught:
        manifest(folder, SINGLE, "3-fold")
    assert str(caught.value) == (
        "mine: cat/0.wav and cat/1.wav are the same recording in 1 and in 2; remove one, or give both the same group"
    )
    lines = SINGLE.splitlines()
    together = "\n".join([lines[0] + ",group", lines[1] + ",twins", lines[2] + ",twins", *lines[3:]])
    assert len({row.fold for row in manifest(folder, together, "3-fold").rows if row.group == "twins"}) == 1


def test_labels_that_look_equal_are_one_class(folder: Path) -> None:
    """In one character, and as macOS writes it: in a letter and an accent."""
    lines = SINGLE.replace("cat\n", "caf\u00e9\n")
    mixed = lines.replace("0.wav,caf\u00e9", "0.wav,cafe\u0301")
    assert mixed != lines
    assert manifest(folder, mixed, "3-fold") == manifest(folder, lines, "3-fold")
    assert manifest(folder, mixed, "3-fold").class_names == ("caf\u00e9", "dog")


def test_groups_that_look_equal_are_one_group(folder: Path) -> None:
    lines = SINGLE.splitlines()
    names = ("caf\u00e9", "cafe\u0301", "b", "c")
    text = "\n".join([lines[0] + ",group", *(f"{line},{names[number % 4]}" for number, line in enumerate(lines[1:]))])
    assert len({row.group for row in manifest(folder, text, "3-fold").rows}) == 3


def test_a_list_in_another_encoding_says_so(folder: Path) -> None:
    wrong = section(folder, SINGLE, "3-fold")
    (folder / "mine.csv").write_text(SINGLE, encoding="utf-16")
    with pytest.raises(AudiopgError, match=r"mine\.csv: not a readable list of recordings \(.*\); save it as UTF-8"):
        registry.find("mine", wrong)


def test_the_order_of_lines_and_a_byte_order_mark_change_nothing(folder: Path) -> None:
    lines = SINGLE.splitlines()
    turned = "\ufeff" + "\n".join([lines[0], *reversed(lines[1:])])
    assert manifest(folder, turned, "3-fold") == manifest(folder, SINGLE, "3-fold")


@pytest.mark.parametrize(
    ("text", "protocol", "message"),
    [
        (
            "path\na.wav\n",
            "3-fold",
            "mine.csv: column 'labels' is missing, found: 'path'; needed: path, labels; possible: fold",
        ),
        (
            "path,label\na.wav,x\n",
            "3-fold",
            "mine.csv: column 'labels' is missing, found: 'path', 'label'; rename 'label' to 'labels'; needed: path",
        ),
        ("path, labels\na.wav, x\n", "3-fold", "found: 'path', ' labels'; rename ' labels' to 'labels'; needed"),
        ("file,labels\na.wav,x\n", "3-fold", "column 'path' is missing, found: 'file', 'labels'; needed"),
        (
            "path;labels\na.wav;x\n",
            "3-fold",
            "found: 'path;labels'; semicolons seem to separate the columns, use commas; needed: path, labels",
        ),
        ("path\tlabels\na.wav\tx\n", "3-fold", r"found: 'path\tlabels'; tabs seem to separate the columns, use"),
        ("path labels\na.wav x\n", "3-fold", "found: 'path labels'; blanks seem to separate the columns, use commas;"),
        ("PATH,Labels\na.wav,x\n", "3-fold", "found: 'PATH', 'Labels'; rename 'PATH' to 'path'; needed"),
        ("x/0.wav,a\n", "3-fold", "found: 'x/0.wav', 'a'; the first line has to name the columns; needed"),
        ("", "3-fold", "column 'path' is missing, the first line is empty; needed: path, labels"),
        ("\npath,labels\na.wav,x\n", "3-fold", "column 'path' is missing, the first line is empty; needed"),
        ("path,labels\na.wav,x\0y\n", "3-fold", r"mine.csv:2: labels: 'x\x00y' has the control character '\x00' in it"),
        (
            "path,labels\na.wav,fish\nb.wav,\ufb01sh\n",
            "3-fold",
            r"mine.csv: the labels 'fish' and '\ufb01sh' look alike; write only one of them",
        ),
        ("path,labels\na.wav,x\nb.wav,x\u200b\n", "3-fold", r"the labels 'x' and 'x\u200b' look alike; write only one"),
        ("path,labels,path\na.wav,x,b.wav\n", "3-fold", "mine.csv: column 'path' is there 2 times; needed: path"),
        ("path,labels,fold,fold\na.wav,x,1,2\n", "3-fold", "mine.csv: column 'fold' is there 2 times; needed: path"),
        (f'path,labels,"{"x" * 200_000}\n', "3-fold", "mine.csv:1: field larger than field limit"),
        ("path,labels,wrong\na.wav,x,y\n", "3-fold", "mine.csv: unknown column 'wrong'"),
        ("path,labels\n", "3-fold", "mine.csv: lists no recordings"),
        ("path,labels\na.wav,\n", "3-fold", "mine.csv:2: labels: is empty"),
        ("path,labels\na.wav,x|\n", "3-fold", "mine.csv:2: labels: 'x|' has an empty or a repeated label"),
        ("path,labels\na.wav,x\nb.wav,x|y | x\n", "3-fold", "mine.csv:3: labels: 'x|y | x' has an empty or a repeated"),
        ("path,labels\na.wav,rain, heavy\n", "3-fold", "mine.csv:2: more cells than columns ( heavy); a cell with a"),
        ('path,labels\na.wav,x\n"b.wav,y\nc.wav,x\n', "3-fold", "mine.csv:4: a cell goes over several lines; is a"),
        ('path,"labels\na.wav,x\n', "3-fold", r"mine.csv: column 'labels' is missing"),
        ('path,labels,"\na.wav,x\n', "3-fold", r"mine.csv: unknown column '\na.wav,x\n'"),
        (f'path,labels\n"a.wav,x{"x" * 200_000}\n', "3-fold", "mine.csv:1: field larger than field limit"),
        ("path,labels\na.wav,x\nb.wav,y\n./a.wav,x\n", "3-fold", "mine.csv:4: path: a.wav is listed already"),
        ("path,labels\nb/../a.wav,x\na.wav,y\n", "3-fold", "mine.csv:3: path: a.wav is listed already"),
        (
            "path,labels\na.wav,x\nb.wav,x\nc.wav,x\n",
            "3-fold",
            "mine.csv: all recordings are of class 'x'; at least",
        ),
        ("path,labels\na.wav,x\nb.wav,y\n", "3-fold", "mine.csv: 3 folds need as many groups of recordings, found 2"),
        ("path,labels,fold\na.wav,x,1\nb.wav,x,4\n", "3-fold", "protocol '3-fold' needs folds 1 to 3, found 1, 4"),
        ("path,labels,fold\na.wav,x,1\nb.wav,x,\n", "3-fold", "protocol '3-fold' needs folds 1 to 3, found none, 1"),
        ("path,labels,split\na.wav,x,train\nb.wav,x,val\n", "split", "mine.csv: no row has split 'test'"),
        ("path,labels\na.wav,x\n", "split", "mine.csv: no row has split 'train'; protocol 'split' needs one of train"),
    ],
)
def test_a_wrong_list_is_named(folder: Path, text: str, protocol: str, message: str) -> None:
    with pytest.raises(AudiopgError) as caught:
        registry.find("mine", section(folder, text, protocol))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(folder: Path) -> None:
    (folder / "sounds/dog/3.wav").unlink()
    with pytest.raises(AudiopgError, match=r"sounds/dog/3\.wav: no such audio file"):
        manifest(folder, SINGLE, "3-fold")
    (folder / "sounds/dog/3.wav").write_bytes(b"")
    with pytest.raises(AudiopgError, match=r"sounds/dog/3\.wav: cannot be decoded \(empty file\)"):
        manifest(folder, SINGLE, "3-fold")
    wrong = section(folder, SINGLE, "3-fold").model_copy(update={"audio_root": str(folder / "nowhere")})
    source = registry.find("mine", wrong).source
    assert callable(source)
    with pytest.raises(AudiopgError, match=r"tasks\.mine\.audio_root: .*nowhere is not a folder"):
        source(folder)
    absent = wrong.model_copy(update={"manifest": str(folder / "no.csv")})
    with pytest.raises(AudiopgError, match=r"no\.csv: not a readable list of recordings"):
        registry.find("mine", absent)


def test_a_registered_name_is_not_for_own_recordings(folder: Path) -> None:
    with pytest.raises(AudiopgError, match=r"tasks\.drums: is the name of a registered task"):
        registry.find("drums", section(folder, SINGLE, "3-fold"))
    with pytest.raises(AudiopgError, match="unknown task 'mine'; known: "):
        registry.find("mine", config.Task(clip_s=1))


def test_the_digest_follows_what_decides_on_the_recordings(folder: Path) -> None:
    first = section(folder, SINGLE, "3-fold")
    digests = {
        own.digest(first),
        own.digest(first.model_copy(update={"protocol": "4-fold"})),
        own.digest(first.model_copy(update={"audio_root": "elsewhere"})),
        own.digest(section(folder, SINGLE + "x.wav,cat\n", "3-fold")),
    }
    assert len(digests) == 4
    again = section(folder, SINGLE, "3-fold")
    assert own.digest(again.model_copy(update={"clip_s": 1.0, "finetune": {"n_epochs": 3}})) in digests
    assert own.digest(config.Task(clip_s=1)) == ""


def test_a_folder_is_listed_by_its_subfolders(folder: Path) -> None:
    (folder / "sounds/dog/notes.txt").write_text("not audio")
    assert own.scan(folder / "sounds") == SINGLE
    (folder / "sounds/stray.wav").touch()
    with pytest.raises(AudiopgError, match=r"sounds: stray\.wav lies in no folder named after its class"):
        own.scan(folder / "sounds")
    with pytest.raises(AudiopgError, match="nowhere: no such folder"):
        own.scan(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(AudiopgError, match="empty: no audio files in it"):
        own.scan(folder / "empty")


def test_what_a_list_leaves_out_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sounds/dog/notes.txt").write_text("not audio")
    (folder / "sounds/dog/._0.wav").write_text("not audio")
    (folder / "sounds/bat").mkdir()
    (folder / "sounds/bat/0.m4a").touch()
    assert own.scan(folder / "sounds") == SINGLE
    assert capsys.readouterr().err == (
        f"audiopg: {folder / 'sounds'}: 12 recordings; left out: 1 .m4a, 1 .txt, 1 hidden, 1 without recordings"
        " (folders); convert .m4a, to FLAC for example\n"
    )


def test_a_class_behind_a_link_is_listed(folder: Path) -> None:
    (folder / "sounds/dog").rename(folder / "elsewhere")
    (folder / "sounds/dog").symlink_to("../elsewhere")
    assert own.scan(folder / "sounds") == SINGLE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("low|lo", "low|lo: the name has a bar in it, which separates labels; rename it"),
        (" mid", " mid: the name begins or ends with a blank; rename it"),
        ("mid ", "mid : the name begins or ends with a blank; rename it"),
        (" mid/dog", " mid/dog/0.wav: the name begins or ends with a blank; rename it"),
    ],
)
def test_a_folder_name_that_a_list_would_change_is_refused(folder: Path, name: str, message: str) -> None:
    (folder / "sounds" / name).mkdir(parents=True)
    (folder / "sounds/dog/0.wav").rename(folder / "sounds" / name / "0.wav")
    with pytest.raises(AudiopgError) as caught:
        own.scan(folder / "sounds")
    assert str(caught.value) == f"{folder}/sounds/{message}"


def test_class_folders_that_look_equal_are_one_class(folder: Path) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        (folder / "sounds" / name).mkdir()
        (folder / "sounds/dog/0.wav").replace(folder / "sounds" / name / "0.wav")
        (folder / "sounds/dog/0.wav").write_bytes(b"")
    listed = own.scan(folder / "sounds")
    assert listed.count(",caf\u00e9\n") == 2
    assert "cafe\u0301/0.wav" in listed  # as the disk has it
