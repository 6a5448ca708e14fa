"""The instruments: their folds against the soundfont's own tables, and their rendering."""

import itertools
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiopg.audio import decode, soundfont
from audiopg.audio.packages import package_folder
from audiopg.audio.soundfont import FOLDS, Note
from audiopg.errors import AudiopgError
from audiopg.tasks import instruments

# Operators of a soundfont's generators.
INSTRUMENT, KEY_RANGE, SAMPLE = 41, 43, 53


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a RIFF file, at any depth."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        body = data[at + 8 : at + 8 + size]
        if data[at : at + 4] in (b"RIFF", b"LIST"):
            yield from chunks(body[4:])
        else:
            yield data[at : at + 4], body
        at += 8 + size + size % 2


class Soundfont:
    """As much of a soundfont's tables as tells which recordings a program plays at a pitch."""

    def __init__(self, path: Path) -> None:
        """Read the tables."""
        tables = dict(chunks(path.read_bytes()))
        formats = {b"phdr": "<20xHHHIII", b"inst": "<20xH", b"pbag": "<HH", b"ibag": "<HH", b"pgen": "<HH"}
        formats |= {b"igen": "<HH", b"shdr": "<20xIIIIIBbHH"}
        self.tables = {name: list(struct.iter_unpack(form, tables[name])) for name, form in formats.items()}

    def zones(self, kind: str, first_bag: int, last_bag: int, target: int, pitch: int) -> Iterator[int]:
        """Yield the targets of the zones whose key range holds the pitch."""
        bags, generators = self.tables[f"{kind}bag".encode()], self.tables[f"{kind}gen".encode()]
        common: dict[int, int] = {}
        for bag in range(first_bag, last_bag):
            zone = common | {op: amount for op, amount in generators[bags[bag][0] : bags[bag + 1][0]]}
            if target not in zone:
                common = zone
            elif zone.get(KEY_RANGE, 0x7F00) & 0xFF <= pitch <= zone.get(KEY_RANGE, 0x7F00) >> 8:
                yield zone[target]

    def recordings(self, program: int, pitch: int) -> set[tuple[int, int]]:
        """Return the recordings, as their first and last sample in the file."""
        presets, inst, samples = self.tables[b"phdr"], self.tables[b"inst"], self.tables[b"shdr"]
        number = next(n for n, preset in enumerate(presets) if preset[:2] == (program, 0))
        found = set()
        for one in self.zones("p", presets[number][2], presets[number + 1][2], INSTRUMENT, pitch):
            for sample in self.zones("i", inst[one][0], inst[one + 1][0], SAMPLE, pitch):
                found.add((samples[sample][0], samples[sample][1]))
        return found


@pytest.fixture(scope="module")
def played() -> dict[int, set[tuple[int, int]]]:
    """Recordings that each program plays in the task."""
    tables = Soundfont(package_folder("pretty_midi", "instruments") / soundfont.SOUNDFONT)
    recordings: dict[int, set[tuple[int, int]]] = {program: set() for program in range(80)}
    for note in instruments.notes():
        recordings[note.program] |= tables.recordings(note.program, note.pitch)
    return recordings


def test_no_recording_is_in_two_folds(played: dict[int, set[tuple[int, int]]]) -> None:
    assert all(played.values())
    for one, two in itertools.combinations(FOLDS, 2):
        for a, b in itertools.product(one, two):
            for (begin, end), (other_begin, other_end) in itertools.product(played[a], played[b]):
                assert end <= other_begin or other_end <= begin, f"programs {a} and {b} share a recording"


def test_programs_with_the_same_recordings_are_all_listed(played: dict[int, set[tuple[int, int]]]) -> None:
    sets = [{program} for program in played]
    for a, b in itertools.combinations(played, 2):
        if played[a] & played[b]:
            joined = [one for one in sets if one & {a, b}]
            sets = [one for one in sets if one not in joined] + [set().union(*joined)]
    assert sorted(tuple(sorted(one)) for one in sets if len(one) > 1) == sorted(soundfont.SHARED_RECORDINGS)


def test_folds_hold_each_program_once_and_each_family() -> None:
    assert sorted(itertools.chain(*FOLDS)) == list(range(80))
    assert [len(fold) for fold in FOLDS] == [20] * 4
    assert all({program // 8 for program in fold} == set(range(10)) for fold in FOLDS)


def test_notes() -> None:
    notes = list(instruments.notes())
    assert len(set(notes)) == 800
    assert Counter(note.family for note in notes) == dict.fromkeys(soundfont.FAMILIES, 80)
    assert Note(0, 60, 100).file_name == "000-p060-v100.flac"
    assert [Note(program, 60, 100).family for program in (7, 8, 39, 40, 79)] == [
        "piano",
        "chromatic percussion",
        "bass",
        "strings",
        "pipe",
    ]


@pytest.mark.parametrize(("program", "pitch"), [(40, 67), (56, 58), (71, 60), (73, 64), (0, 60)])
def test_notes_have_the_pitch_of_their_name(data_dir: Path, program: int, pitch: int) -> None:
    root = instruments.locate(data_dir)
    waveform = decode.read(root / Note(program, pitch, 100).file_name, 44_100)[8_000:30_000].astype(np.float64)
    f0_hz = 440 * 2 ** ((pitch - 69) / 12)
    correlation = np.correlate(waveform, waveform[:8_000], mode="valid")
    period = 44_100 / f0_hz
    # Half an octave around the expected period; a wrong sample rate or a note off by one moves the peak.
    first = round(period * 0.7)
    lag = first + int(np.argmax(correlation[first : round(period * 1.4)]))
    assert lag == pytest.approx(period, rel=0.02)


def test_clips_are_16_bit_mono_and_end_in_silence(data_dir: Path) -> None:
    root = instruments.locate(data_dir)
    for program in range(0, 80, 8):
        file = next(root.glob(f"{program:03d}-*.flac"))
        info = soundfile.info(file)
        assert (info.channels, info.subtype, info.frames) == (1, "PCM_16", 66_150)
        samples = decode.read(file, 44_100)
        assert samples[-1] == 0
        assert np.abs(samples[:44_100]).max() > 10 * np.abs(samples[-20:]).max()


def test_velocity_is_kept_in_the_level(data_dir: Path) -> None:
    root = instruments.locate(data_dir)
    for program in range(80):
        pitch = instruments.PITCHES[Note(program, 0, 0).family][2]
        soft, hard = (
            np.abs(decode.read(root / Note(program, pitch, velocity).file_name, 44_100)).max()
            for velocity in instruments.VELOCITIES
        )
        assert hard > 1.2 * soft, program


@pytest.mark.parametrize("level", [0.0, 1e-4, 1.5])
def test_silent_and_clipped_notes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: float) -> None:
    waveform = np.full(100, level, dtype=np.float32)
    monkeypatch.setattr(instruments, "play", lambda *_: waveform)
    with pytest.raises(AudiopgError, match=r"Note\(program=0, pitch=36, velocity=60\) has peak level"):
        instruments.locate(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_note_above_the_range_of_its_program_is_silent() -> None:
    assert np.abs(soundfont.play(soundfont.open_synth(), Note(78, 80, 100))).max() == 0


def test_a_note_does_not_depend_on_the_one_before() -> None:
    used = soundfont.open_synth()
    soundfont.play(used, Note(50, 67, 100))
    fresh = soundfont.play(soundfont.open_synth(), Note(0, 60, 100))
    np.testing.assert_array_equal(soundfont.play(used, Note(0, 60, 100)), fresh)


def test_interrupted_rendering_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_played = 0

    def interrupted(*_: Any) -> np.ndarray:
        nonlocal n_played
        n_played += 1
        if n_played == 3:
            raise KeyboardInterrupt
        return np.full(100, 0.5, dtype=np.float32)

    monkeypatch.setattr(instruments, "play", interrupted)
    with pytest.raises(KeyboardInterrupt):
        instruments.locate(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rendered_folder_is_used_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = instruments.locate(data_dir)
    monkeypatch.setattr(instruments, "render", lambda _: pytest.fail("rendered again"))
    assert instruments.locate(data_dir) == root


def test_folder_with_other_settings_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instruments.locate(data_dir)
    monkeypatch.setattr(instruments, "HELD_S", 0.9)
    with pytest.raises(AudiopgError, match=r"^instruments: .* was rendered with other settings; delete the folder"):
        instruments.locate(data_dir)


def test_another_soundfont_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfont, "SOUNDFONT_SHA256", "0" * 64)
    with pytest.raises(AudiopgError, match=r"is not the soundfont of pretty_midi"):
        instruments.locate(tmp_path)


def test_missing_note_is_named(tmp_path: Path) -> None:
    for note in itertools.islice(instruments.notes(), 799):
        (tmp_path / note.file_name).touch()
    with pytest.raises(AudiopgError) as caught:
        instruments.make_manifest(tmp_path)
    assert str(caught.value) == (
        f"instruments: expected 800 clips, found 799 under {tmp_path} (missing 079-p076-v100.flac); "
        "delete the folder to render it again"
    )
