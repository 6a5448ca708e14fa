"""From a card to a folder of verified recordings: brought once, mended in part, never half."""

import csv
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import soundfile
from support.miniatures import MINIATURES, TOP_FOLDERS
from support.packing import tarred, volumes, zipped
from support.places import TESTS
from support.servers import Fault, Server

from audiopg import storage
from audiopg.config import profile
from audiopg.data import prepare
from audiopg.errors import AudiopgError
from audiopg.fetch import plan as plan_module
from audiopg.fetch import record
from audiopg.fetch import store as module
from audiopg.fetch.archives import listing_digest
from audiopg.fetch.plan import plan
from audiopg.fetch.store import archive_path, check, fetch
from audiopg.tasks import registry
from audiopg.tasks.registry import TASKS
from audiopg.tasks.task import Archive, Download, Task

# how the official archives are packed
PACKED = {"esc50": "zip", "urbansound8k": "tar.gz", "fsd50k": "split", "speech_commands": "tar.gz"}


@dataclass(frozen=True)
class Published:
    """A miniature as its authors would have published it."""

    task: Task
    tree: Path
    paths: list[str]
    """Of the archives on the server."""


def md5(data: bytes) -> str:
    return "md5:" + hashlib.md5(data).hexdigest()


@pytest.fixture(params=list(MINIATURES))
def published(request: pytest.FixtureRequest, server: Server, tmp_path: Path, data_folder: Path) -> Published:
    """Each of the four large data sets in turn, in miniature, in archives of the true kind, on a server."""
    assert not data_folder.exists()
    return publish(request.param, server, tmp_path)


def publish(name: str, server: Server, tmp_path: Path) -> Published:
    tree = tmp_path / "published"
    task = MINIATURES[name](tree)
    files: dict[str, bytes] = {}
    if PACKED[name] == "split":  # one archive for each folder, the audio in volumes
        for folder in sorted(tree.iterdir()):
            archive = zipped(folder, f"{folder.name}/")
            if folder.name.endswith("audio"):
                packed = volumes(archive, len(archive) // 3, tmp_path, folder.name)
                files |= {path.name: path.read_bytes() for path in packed}
            else:
                files[f"{folder.name}.zip"] = archive
    else:
        files[f"{name}.{PACKED[name]}"] = zipped(tree) if PACKED[name] == "zip" else tarred(tree)
    source = task.source
    assert isinstance(source, Download)
    archives = [Archive(server.put(f"/{file}", data), len(data), digest=md5(data)) for file, data in files.items()]
    if name == "esc50":  # whose archive is packed anew now and then
        listed = md5((tree / "ESC-50" / "meta" / "esc50.csv").read_bytes())
        archives = [replace(archives[0], digest="", member_digests={"meta/esc50.csv": listed})]
    download = replace(source, archives=tuple(archives), n_bytes=1_000_000)
    return Published(replace(task, source=download), tree / TOP_FOLDERS.get(name, ""), [f"/{file}" for file in files])


def source_bytes(published: Published) -> int:
    source = published.task.source
    assert isinstance(source, Download)
    return sum(archive.n_bytes for archive in source.archives) + source.n_bytes


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "contents.csv"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_everything_arrives_and_is_as_published(published: Published, server: Server, data_folder: Path) -> None:
    root = fetch(published.task)
    assert root == data_folder / published.task.card.name
    assert contents(root) == contents(published.tree)
    published.task.make_manifest(root).check(published.task.card, root)
    assert sorted(server.log) == sorted((path, "") for path in published.paths)
    receipt = list(csv.DictReader((root / "contents.csv").read_text().splitlines()))
    assert {row["path"]: row["sha256"] for row in receipt} == {
        path: hashlib.sha256(data).hexdigest() for path, data in contents(root).items()
    }
    assert not [path for path in data_folder.rglob("*.part*")]


def test_the_second_time_nothing_is_asked_for(
    published: Published, server: Server, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fetch(published.task)
    server.log.clear()
    shutil.rmtree(data_folder / "downloads")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(module, "_alone", lambda _: pytest.fail("waits for others, though all is here"))
    assert fetch(published.task) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert server.log == []


FAULTS = {
    "cut": [Fault(cut_after=700)],
    "busy": [Fault(status=503), Fault(status=429)],
    "range ignored": [Fault(cut_after=700), Fault(ignores_range=True)],
    "length too long": [Fault(length_off_by=50)],
    "stall": [Fault(stall_after=700)],
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_faults_that_pass_change_nothing(fault: str, published: Published, server: Server) -> None:
    server.faults[published.paths[0]] = list(FAULTS[fault])
    root = fetch(published.task)
    assert contents(root) == contents(published.tree)


@pytest.mark.parametrize("fault", [Fault(wrong_bytes=True), Fault(length_off_by=-50), Fault(status=503)])
def test_faults_that_stay_are_one_error_and_leave_no_folder(
    fault: Fault, published: Published, server: Server, data_folder: Path
) -> None:
    server.faults[published.paths[-1]] = [fault] * 9
    with pytest.raises(AudiopgError, match="could not be downloaded") as caught:
        fetch(published.task)
    assert "\n" not in str(caught.value)
    assert not (data_folder / published.task.card.name).exists()
    # what came whole is not loaded again
    server.log.clear()
    server.faults.clear()
    assert contents(fetch(published.task)) == contents(published.tree)
    assert {path for path, _ in server.log} == {published.paths[-1]}


def test_licence_and_citation_are_shown_when_something_is_brought_or_checked(
    published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    card = published.task.card
    line = f"{card.name}: {card.title}, {card.url}; licence: {card.licence}; cite: {card.citation}\n"
    for step, n_times in ((check, 1), (fetch, 0), (check, 1)):
        step(published.task)
        assert capsys.readouterr().err.count(line) == n_times


def test_a_member_that_would_replace_the_receipt_is_refused(server: Server, tmp_path: Path, data_folder: Path) -> None:
    made = publish("speech_commands", server, tmp_path)
    (made.tree / "contents.csv").write_text("path,sha256,archive\n")
    data = tarred(made.tree)
    archive = Archive(server.put(made.paths[0], data), len(data), digest=md5(data))
    task = replace(made.task, source=replace(made.task.source, archives=(archive,)))  # type: ignore[type-var]
    with pytest.raises(AudiopgError, match=r"speech_commands\.tar\.gz: member contents\.csv has the name of the list"):
        fetch(task)
    assert not (data_folder / "speech_commands").exists()


def test_a_wrong_list_in_a_right_zip_is_refused(server: Server, tmp_path: Path, data_folder: Path) -> None:
    made = publish("esc50", server, tmp_path)
    path = made.tree / "meta" / "esc50.csv"
    path.write_text(path.read_text().replace("dog", "cat"))
    server.put("/esc50.zip", zipped(made.tree.parent))
    with pytest.raises(AudiopgError, match=r"md5 of meta/esc50\.csv is \w{12}…, expected \w{12}…"):
        fetch(made.task)
    assert list(data_folder.rglob("*.zip")) == []


def test_too_small_a_disk_is_found_out_before_the_first_byte(
    published: Published, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = source_bytes(published)
    monkeypatch.setattr(module, "free_bytes", lambda: needed - 1)
    with pytest.raises(AudiopgError, match=r"needs 0\.0 GB under .*, 0\.0 GB are free; set AUDIOPG_DATA to a folder"):
        fetch(published.task)
    assert server.log == []
    monkeypatch.setattr(module, "free_bytes", lambda: needed)
    fetch(published.task)


def test_mending_asks_for_room_too(
    published: Published, server: Server, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fetch(published.task)
    shutil.rmtree(data_folder / "downloads")
    sorted(root.rglob("*.wav"))[0].unlink()
    server.log.clear()
    monkeypatch.setattr(module, "free_bytes", lambda: 100)
    with pytest.raises(AudiopgError, match=r"needs 0\.0 GB under .*, 0\.0 GB are free"):
        check(published.task)
    assert server.log == []


def test_what_is_damaged_is_named_and_alone_brought_again(
    published: Published, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fetch(published.task)
    clips = sorted(path for path in root.rglob("*.wav") if "background" not in path.as_posix())
    damaged, missing = clips[0], clips[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    missing.unlink()
    files = [path for path in root.rglob("*") if path.is_file() and path != damaged]
    others = {path: path.stat().st_mtime_ns for path in files}
    server.log.clear()
    capsys.readouterr()
    check(published.task)
    said = capsys.readouterr().err
    assert f"{damaged}: damaged" in said
    assert f"{missing}: missing" in said
    assert "2 of them fetched again" in said
    assert contents(root) == contents(published.tree)
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert server.log == []  # the archives are still here
    check(published.task)
    assert "0 of them fetched again" in capsys.readouterr().err


def test_archives_are_fetched_again_only_when_something_has_to_be_taken_from_them(
    published: Published, server: Server, data_folder: Path
) -> None:
    root = fetch(published.task)
    shutil.rmtree(data_folder / "downloads")
    server.log.clear()
    check(published.task)
    assert server.log == []
    clip = sorted(root.rglob("*.wav"))[0]
    clip.unlink()
    check(published.task)
    assert contents(root) == contents(published.tree)
    volumes_of_it = [path for path in published.paths if Path(path).stem == clip.parent.name] or published.paths
    assert sorted(path for path, _ in server.log) == sorted(volumes_of_it)


def test_a_damaged_archive_is_named_and_fetched_again(
    published: Published, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(published.task)
    source = published.task.source
    assert isinstance(source, Download)
    path = archive_path(source.archives[0])
    path.write_bytes(path.read_bytes()[:-9])
    server.log.clear()
    check(published.task)
    assert f"{path}: damaged" in capsys.readouterr().err
    assert server.log == [(published.paths[0], "")]


def known_as(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of a task find the one that was published here."""
    monkeypatch.setattr(registry, "find", lambda *_: published.task)


def test_a_manifest_is_made_of_nothing_but_what_was_fetched(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, name = profile.load("paper"), published.task.card.name
    known_as(published, monkeypatch)
    root, source = fetch(published.task), tmp_path / "source.json"
    record.run(config, name, source)
    prepare.run(config, name, source, tmp_path / "before.csv", tmp_path / "card.json")
    for path in [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "contents.csv"]:
        data = path.read_bytes()
        for harmed in (data[:-1] + bytes([data[-1] ^ 1]), None):
            path.unlink()
            if harmed:
                path.write_bytes(harmed)
            with pytest.raises(AudiopgError) as caught:
                prepare.run(config, name, source, tmp_path / "after.csv", tmp_path / "card.json")
            if path.suffix == ".wav":
                assert str(caught.value).startswith(f"{path}: {'is not as it was' if harmed else 'missing'}")
                assert "`audiopg fetch --check" in str(caught.value)
            path.unlink(missing_ok=True)
            path.write_bytes(data)
    prepare.run(config, name, source, tmp_path / "after.csv", tmp_path / "card.json")
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
    storage.write_text(root / "contents.csv", "path,sha256,archive\n")
    with pytest.raises(AudiopgError, match=rf"\.wav: is not in contents\.csv \(\d+ such files\); delete {root} and"):
        prepare.run(config, name, source, tmp_path / "after.csv", tmp_path / "card.json")


def test_a_half_unpacked_folder_is_begun_anew(published: Published, data_folder: Path) -> None:
    left = data_folder / f".{published.task.card.name}.part"
    left.mkdir(parents=True)
    (left / "half.wav").write_bytes(b"half")
    assert contents(fetch(published.task)) == contents(published.tree)
    assert not left.exists()


def test_a_folder_of_somebody_else_is_left_alone(published: Published, data_folder: Path) -> None:
    theirs = data_folder / published.task.card.name / "mine.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(AudiopgError, match=r"exists without contents\.csv, so audiopg did not fetch it"):
        fetch(published.task)
    assert theirs.read_text() == "mine"


def test_the_record_is_the_same_wherever_the_archives_came_from(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(published, monkeypatch)
    record.run(profile.load("paper"), published.task.card.name, tmp_path / "a.json")
    found = storage.read_json(tmp_path / "a.json")
    card = published.task.card
    assert (found["licence"], found["citation"], found["url"]) == (card.licence, card.citation, card.url)
    digests = [(path, hashlib.sha256(data).hexdigest()) for path, data in contents(published.tree).items()]
    assert found["audio_digest"] == listing_digest(digests)


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from support.miniatures import MINIATURES
from audiopg.fetch.store import fetch
from audiopg.tasks.task import Archive
task = MINIATURES["speech_commands"](Path(sys.argv[4]))
archive = Archive(sys.argv[2], 1, digest=sys.argv[3])
fetch(replace(task, source=replace(task.source, archives=(archive,), n_bytes=1)))
"""


def test_two_processes_fetch_once(server: Server, tmp_path: Path, data_folder: Path) -> None:
    made = publish("speech_commands", server, tmp_path)
    source = made.task.source
    assert isinstance(source, Download)
    server.piece_s = 0.005
    archive = source.archives[0]
    tests = str(TESTS)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, tests, archive.url, archive.digest, str(tmp_path / f"tree{number}")],
            env={**os.environ, "NO_PROXY": "127.0.0.1"},
        )
        for number in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(server.log) == 1
    assert contents(data_folder / "speech_commands") == contents(made.tree)


def test_the_plan_lists_what_is_to_be_fetched_and_needs_no_network(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(profile.text("paper"))
    run = subprocess.run(
        [Path(sys.executable).parent / "audiopg", "fetch", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "AUDIOPG_MIRROR": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("| to be fetched") == 14
    assert "https://zenodo.org/records/4060432/files/FSD50K.dev_audio.z03" in run.stdout
    assert "3.22 GB" in run.stdout
    archives = sum(archive.n_bytes for name in PACKED for archive in TASKS[name].source.archives)  # type: ignore[union-attr]
    assert f"{archives / 1e9:.2f} GB" in run.stdout
    assert 33e9 < archives < 35e9
    assert not data_folder.exists()
    for name in PACKED:
        assert f"{name}: {TASKS[name].card.licence}; cite" in run.stdout


def test_the_plan_knows_what_is_here(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    features = profile.load("paper").features
    assert "to be fetched" in plan([published.task], features)
    needed = int(source_bytes(published) + published.task.source.hours * 3600 * 100 * 128 * 4)  # type: ignore[union-attr]
    for free, short in ((needed - 1_000_000, True), (needed + 1_000_000, False)):
        monkeypatch.setattr(plan_module, "free_bytes", lambda free=free: free)
        assert ("not enough free space: 1.0 MB more are needed" in plan([published.task], features)) == short
    fetch(published.task)
    after = plan([published.task], features)
    assert "to be fetched" not in after
    assert after.count("| downloaded") == len(published.paths)
    still = [line for line in after.splitlines() if "still to be" in line]
    assert [line.split("|")[2].strip() for line in still] == ["0.0 MB", "0.0 MB"]


@pytest.mark.parametrize(
    ("name", "n_audio", "rate_hz"), [("esc10", 400, 44_100), ("speech_commands_mini", 4_890, 16_000)]
)
@pytest.mark.usefixtures("data_folder")
def test_the_real_archives(
    name: str, n_audio: int, rate_hz: int, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOPG_MIRROR", str(mirror))
    root = fetch(TASKS[name])
    audio = [path for path in root.rglob("*") if path.suffix in {".ogg", ".wav"}]
    assert len(audio) == n_audio
    assert soundfile.info(audio[0]).samplerate == rate_hz
    digests = [(path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in audio]
    lines = (line.split() for line in (mirror / "DIGESTS.txt").read_text().splitlines())
    stated = {fields[0]: fields[1] for fields in lines if fields[0] != "#"}
    source = TASKS[name].source
    assert isinstance(source, Download)
    assert listing_digest(digests) == stated[name] == source.archives[0].audio_digest
