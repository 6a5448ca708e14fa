"""The corpus as a library: the same clips as the world plays, in any way they are asked for."""

import pickle
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import audiopg
from audiopg.config import profile
from audiopg.synth.corpus import Corpus, corpus
from audiopg.synth.world import World


@pytest.fixture(scope="module")
def clips() -> Corpus:
    return corpus("world", seed=3, n_clips=20)


def same(
    found: tuple[torch.Tensor, dict[str, torch.Tensor]], wanted: tuple[torch.Tensor, dict[str, torch.Tensor]]
) -> None:
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=0)
    assert found[1].keys() == wanted[1].keys()
    for name, values in found[1].items():
        torch.testing.assert_close(values, wanted[1][name], rtol=0, atol=0, equal_nan=True)


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, audiopg; assert 'corpus' in dir(audiopg); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert audiopg.corpus is corpus


def test_clips_are_those_of_the_world(clips: Corpus) -> None:
    section = profile.load("paper", "world").synth.model_copy(update={"clip_s": 2.56})
    assert torch.equal(clips[4:9][0], World(section, 3).play(range(4, 9)))
    assert len(clips) == 20
    assert clips[-1][0].shape == (40_960,)


def test_a_clip_is_the_same_in_every_company(clips: Corpus) -> None:
    waveforms, physics = clips[0:6]
    for row, item in enumerate(clips.__getitems__([5, 0, 3])):
        index = [5, 0, 3][row]
        same(item, (waveforms[index], {name: values[index] for name, values in physics.items()}))
        same(item, clips[index])


def test_physics_are_the_numbers_of_the_score(clips: Corpus) -> None:
    _, physics = clips[0:8]
    score = clips.score(range(8))
    for number, voice in enumerate(score.voices):
        np.testing.assert_array_equal(physics["f0_hz"][:, number], voice.f0_hz.astype(np.float32))
        np.testing.assert_array_equal(physics["event_onset_s"][:, number], voice.event_onset_s.astype(np.float32))
        for row in np.flatnonzero(voice.source >= 0):
            source = clips.sources[physics["source"][row, number]]
            for name, column in voice.parameters[source].items():
                found = physics[name][row, number].numpy().ravel()
                np.testing.assert_array_equal(found[: column[row].size], np.ravel(column[row]).astype(np.float32))
                assert np.isnan(found[column[row].size :]).all()


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_data_loader_with_workers_gives_the_same_clips(clips: Corpus, context: str) -> None:
    loader = DataLoader(clips, batch_size=6, num_workers=2, multiprocessing_context=context)
    for number, batch in enumerate(loader):
        same(tuple(batch), clips[6 * number : 6 * number + 6])
    stream = DataLoader(clips.stream(6), batch_size=None, num_workers=2, multiprocessing_context=context)
    assert sorted(index for _, physics in stream for index in physics["index"].tolist()) == list(range(20))


@pytest.mark.parametrize("n_ranks", [1, 3])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_and_ranks_share_the_batches(
    clips: Corpus, n_ranks: int, n_workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr("audiopg.synth.corpus._is_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: n_ranks)
    for rank in range(n_ranks):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        for number in range(n_workers):
            worker = type("Worker", (), {"id": number, "num_workers": n_workers})
            monkeypatch.setattr("audiopg.synth.corpus.get_worker_info", lambda worker=worker: worker)
            found += [index for _, physics in clips.stream(3, start=2) for index in physics["index"].tolist()]
    assert sorted(found) == list(range(2, 20))


def test_batches_follow_each_other_to_the_end(clips: Corpus) -> None:
    found = list(clips.batches(8, start=4))
    assert [len(audio) for audio, _ in found] == [8, 8]
    same(found[1], clips[12:20])
    assert len(clips.stream(7)) == 3


def test_every_number_of_a_score_comes_back(clips: Corpus) -> None:
    score = clips.score(range(12))
    vector = clips.vector(score)
    assert vector.shape == (12, len(clips.names))
    assert len(set(clips.names)) == len(clips.names)
    np.testing.assert_array_equal(vector[:, clips.names.index("voice_1.f0_hz")], score.voices[1].f0_hz)
    again = clips.from_vector(vector.tolist())
    assert torch.equal(clips.render(again), clips[0:12][0])
    np.testing.assert_array_equal(clips.vector(again), vector)


def test_an_edit_changes_what_is_named_and_is_heard(clips: Corpus) -> None:
    score = next(found for found in map(clips.score, range(20)) if found.voices[0].n_events[0] > 1)
    edited = score.edited(voice=0, f0_hz=440.0).edited(voice=0, event=1, level_db=-7.0).edited(cutoff_hz=900.0)
    assert edited.voices[0].f0_hz == 440
    assert edited.voices[0].event_level_db[0, 1] == -7
    assert edited.cutoff_hz == 900
    changed = clips.vector(edited) != clips.vector(score)
    names = {clips.names[number] for number in np.flatnonzero(changed & ~np.isnan(clips.vector(score)))}
    assert names == {"cutoff_hz", "voice_0.f0_hz", "voice_0.event_level_db[1]"}
    assert not torch.equal(clips.render(edited), clips.render(score))


def test_an_edit_reaches_the_parameters_of_the_source(clips: Corpus) -> None:
    score = clips.score(0)
    source = score.sources[score.voices[0].source[0]]
    name = next(name for name, column in score.voices[0].parameters[source].items() if column.ndim == 1)
    edited = score.edited(voice=0, **{name: 0.25})
    assert edited.voices[0].parameters[source][name] == 0.25


def test_a_score_prints_as_tables(clips: Corpus) -> None:
    text = str(clips.score(1))
    for word in ("clips\n", "voices\n", "events\n", "f0_hz", "onset_s", "noise_floor_amplitude"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) < 200


def test_a_section_and_twins(clips: Corpus) -> None:
    section = profile.load("small").synth
    mine = corpus(section, clip_s=None, clips_per_identity=2, n_clips=4)
    assert mine[0][0].shape == (20_480,)
    assert mine[0:4][1]["identity"].tolist() == [0, 0, 1, 1]
    assert clips[0:4][1]["identity"].tolist() == [0, 1, 2, 3]
    assert "4 clips of 1.28 s at 16000 Hz, seed 0" in repr(mine)
    assert torch.equal(pickle.loads(pickle.dumps(mine))[2][0], mine[2][0])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda _: corpus("wrld"), "unknown preset 'wrld'; known: paper, world"),
        (lambda _: corpus(clip_s=1.0), r"must fit into clip_s = 1; change it, or give a section of your own"),
        (lambda _: corpus(clip_s=float("nan")), "clip_s: Input should be a finite number"),
        (lambda _: corpus(seed=-1), "seed: a whole number from 0 is needed, found -1"),
        (lambda _: corpus(n_clips=0), "n_clips: a whole number from 1 is needed, found 0"),
        (lambda clips: clips[20], "clip 20: the corpus has 20; open it with a larger n_clips"),
        (lambda clips: clips.score([3, -21]), "clip -21: the corpus has 20"),
        (lambda clips: next(clips.batches(0)), "batch_size: a whole number from 1 is needed, found 0"),
        (lambda clips: clips.stream(4, start=20), "start: a whole number from 0 is needed, found 20"),
        (lambda clips: clips.from_vector([1.0]), r"vector: shape \(B, \d+\) is needed, found \(1,\)"),
        (
            lambda clips: clips.score(0).edited(cutof_hz=3),
            "cutof_hz: a clip has no such value; did you mean 'cutoff_hz'",
        ),
        (lambda clips: clips.score(0).edited(voice=3, f0_hz=3), r"voice 3: the clips have \d, counted from 0"),
        (
            lambda clips: clips.score(0).edited(voice=0, event=5, level_db=3),
            r"event 5: the voice has \d, counted from 0",
        ),
        (
            lambda clips: clips.score(np.flatnonzero(clips[0:20][1]["room_size_m"].isnan()).tolist()).edited(
                room_size_m=9
            ),
            "room_rt60_s: missing in a clip that has none; give room_size_m, room_rt60_s, room_treble_damping",
        ),
        (lambda clips: clips.score(0).edited(voice=0, pitch=3), "pitch: .* has no such value"),
        (
            lambda clips: clips.render(clips.score(0).edited(voice=0, event=0, onset_s=9.0)),
            r"clip 0: event at samples 144000 to \d+ of 40960",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(clips: Corpus, wrong: Callable[[Corpus], object], reason: str) -> None:
    with pytest.raises((ValueError, IndexError), match=reason) as caught:
        wrong(clips)
    assert "\n" not in str(caught.value)
