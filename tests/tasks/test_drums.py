"""The drums: on a miniature of FoxDot's folders, and what is measured on the real ones."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiopg.audio import decode
from audiopg.errors import AudiopgError
from audiopg.tasks import drums

TABLES = """
raise RuntimeError("this file must not be run")
nonalpha = {"*": "asterix", "+": "plus"}
DESCRIPTIONS = {"h": "Snap", "H": "Clap", "*": "Clap", "+": "Click", "|": "Bell"}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A miniature FoxDot: eight claps in two folders, seven snaps, and what must be left out."""
    monkeypatch.setattr(drums, "KINDS", {"Clap": ("Clap",), "Snap": ("Snap",), "Click": ("Click",)})
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "Buffers.py").write_text(TABLES)
    names = [f"h/upper/{n}.wav" for n in range(5)] + [f"_/asterix/{n}.wav" for n in range(3)]
    names += [f"h/lower/{n}.wav" for n in range(7)] + [f"_/bar/{n}.wav" for n in range(8)]
    names += [f"_loop_/x/{n}.wav" for n in range(8)]
    noise = np.random.default_rng(0)
    for name in names:
        path = tmp_path / "snd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise.uniform(-1, 1, 400), 8000)
    return tmp_path / "snd"


def test_only_described_folders_with_enough_clips_are_kept(root: Path) -> None:
    manifest = drums.make_manifest(root)
    assert {row.labels for row in manifest.rows} == {("Clap",)}
    assert len(manifest) == 8
    assert np.bincount(manifest.parts).tolist() == [0, 2, 2, 2, 2]


def test_identical_files_count_once_and_the_first_path_stays(root: Path) -> None:
    shutil.copy(root / "h/upper/0.wav", root / "h/upper/z.wav")
    assert "h/upper/z.wav" not in drums.make_manifest(root).paths
    shutil.copy(root / "h/lower/0.wav", root / "h/lower/z.wav")
    assert len(drums.make_manifest(root)) == 8, "a copy must not lift the snaps to eight clips"


def test_folds_depend_on_the_contents_alone(root: Path) -> None:
    before = {row.sha256: row.fold for row in drums.make_manifest(root).rows}
    for number, file in enumerate(sorted((root / "h" / "upper").iterdir(), reverse=True)):
        file.rename(file.with_name(f"new {number}.wav"))
    assert {row.sha256: row.fold for row in drums.make_manifest(root).rows} == before


def test_near_copies_stay_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = ("_/asterix/0.wav", "h/upper/0.wav", "h/upper/1.wav")
    monkeypatch.setattr(drums, "NEAR_COPIES", (together,))
    folds = {row.path: row.fold for row in drums.make_manifest(root).rows}
    assert len({folds[path] for path in together}) == 1


def test_each_class_is_spread_over_the_folds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three claps in one fold make the folds uneven; the snaps must not be used to even them out."""
    soundfile.write(root / "h/lower/7.wav", np.linspace(-1, 1, 400), 8000)
    monkeypatch.setattr(drums, "NEAR_COPIES", (("_/asterix/0.wav", "h/upper/0.wav", "h/upper/1.wav"),))
    manifest = drums.make_manifest(root)
    snaps = [row.fold for row in manifest.rows if row.labels == ("Snap",)]
    assert np.bincount(snaps).tolist() == [0, 2, 2, 2, 2]


def test_unreadable_clip_is_an_error(root: Path) -> None:
    (root / "h/upper/2.wav").write_bytes(b"RIFF")
    with pytest.raises(AudiopgError, match=r"h/upper/2\.wav: cannot be decoded"):
        drums.make_manifest(root)


def test_missing_table_is_an_error(root: Path) -> None:
    (root.parent / "lib" / "Buffers.py").write_text("nonalpha = {}\n")
    with pytest.raises(AudiopgError, match=r"^drums: no tables of sample folders in .*; install FoxDot"):
        drums.make_manifest(root)


def test_classes_are_those_of_the_package(data_dir: Path) -> None:
    manifest = drums.make_manifest(drums.locate(data_dir))
    folders = {}
    for row in manifest.rows:
        folders.setdefault(row.labels[0], set()).add(row.path.rpartition("/")[0])
    assert set(folders) == set(drums.KINDS)
    assert folders["clap"] == {"_/asterix", "h/upper"}
    assert folders["kick"] == {"a/upper", "v/lower", "v/upper", "x/lower", "x/upper"}
    assert folders["snare"] == {"d/upper", "i/lower", "i/upper", "o/lower", "o/upper", "u/lower"}


def test_near_copies_are_all_listed(data_dir: Path) -> None:
    """No two groups correlate above 0.9 (normalised, at any lag, first 2 s)."""
    root = drums.locate(data_dir)
    rows = drums.make_manifest(root).rows
    waveforms = [decode.read(root / row.path, 8000)[: 2 * 8000] for row in rows]
    n_fft = 2 ** int(np.ceil(np.log2(2 * max(map(len, waveforms)))))
    spectra = [np.fft.rfft(waveform / np.linalg.norm(waveform), n_fft) for waveform in waveforms]
    found = set()
    for (one, a), (two, b) in itertools.combinations(zip(rows, spectra, strict=True), 2):
        if np.abs(np.fft.irfft(a * b.conj(), n_fft)).max() > 0.9:
            found.add((one.path, two.path))
            assert one.group == two.group
    assert {path for pair in found for path in pair} == {path for group in drums.NEAR_COPIES for path in group}
