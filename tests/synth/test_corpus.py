"""The corpus as a library: the same number is the same clip, however it is asked for."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.places import ROOT
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import audiopg
from audiopg import config
from audiopg.synth.clip_physics import ClipPhysics
from audiopg.synth.corpus import Corpus
from audiopg.synth.world import World

N_CLIPS = 40


@pytest.fixture(scope="module")
def corpus(short_world: config.Synth) -> Corpus:
    return audiopg.corpus(short_world, seed=42, n_clips=N_CLIPS)


@pytest.fixture(scope="module")
def waveforms(short_world: config.Synth) -> torch.Tensor:
    """What the corpus has to give, from below."""
    return World(short_world, 42).play(range(N_CLIPS))


def assert_same(physics: ClipPhysics, other: ClipPhysics) -> None:
    assert list(physics) == list(other)
    for name, values in physics.items():
        torch.testing.assert_close(values, other[name], rtol=0, atol=0, equal_nan=True, msg=name)


def test_a_clip_is_that_of_the_world(corpus: Corpus, waveforms: torch.Tensor) -> None:
    for index in (0, 7, N_CLIPS - 1, np.int64(3), torch.tensor(5)):
        audio, physics = corpus[index]
        assert torch.equal(audio, waveforms[int(index)])
        assert physics["index"].item() == int(index)
        assert physics["f0_hz"].shape == (3,)
    assert torch.equal(corpus[-1][0], waveforms[-1])


def test_slices_are_those_of_a_list(corpus: Corpus, waveforms: torch.Tensor) -> None:
    for which in (slice(0, 5), slice(30, None), slice(5, 2), slice(-3, None), slice(20, 2, -6), slice(35, 99)):
        audio, physics = corpus[which]
        assert torch.equal(audio, waveforms[torch.arange(N_CLIPS).numpy()[which].copy()])
        assert physics["index"].tolist() == list(range(N_CLIPS))[which]
        assert len(audio) == len(physics["event_onset_s"])


def test_the_corpus_has_an_end(corpus: Corpus) -> None:
    assert len(corpus) == N_CLIPS
    assert len(list(audiopg.corpus(corpus.synth, n_clips=3))) == 3
    assert len(audiopg.corpus("paper")) == 1_000_000


@pytest.mark.parametrize(("batch_size", "start", "stop"), [(1, 30, None), (7, 0, None), (40, 0, None), (8, 3, 21)])
def test_batches_hold_each_clip_once(
    corpus: Corpus, waveforms: torch.Tensor, batch_size: int, start: int, stop: int | None
) -> None:
    found = list(corpus.batches(batch_size, start, stop))
    assert torch.equal(torch.cat([audio for audio, _ in found]), waveforms[start:stop])
    indices = [index for _, physics in found for index in physics["index"].tolist()]
    assert indices == list(range(N_CLIPS))[start:stop]
    assert all(len(audio) == batch_size for audio, _ in found[:-1])


def test_length_and_preset_can_be_named() -> None:
    from audiopg.config import profile  # noqa: PLC0415

    synth = profile.load("paper", "world").synth.model_copy(update={"clip_s": 2.56})
    assert torch.equal(audiopg.corpus("world", seed=3, clip_s=2.56)[5][0], World(synth, 3).play([5])[0])
    assert audiopg.corpus("paper", clip_s=3).synth.clip_s == 3


def test_twins_share_what_sounds(short_world: config.Synth) -> None:
    corpus = audiopg.corpus(short_world, twins=True)
    audio, physics = corpus[0:40]
    assert physics["identity"].tolist() == [index // 2 for index in range(40)]
    for name in ("source", "f0_hz", "event_duration_s", "formant_1_hz"):
        torch.testing.assert_close(physics[name][::2], physics[name][1::2], rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(audio[::2], audio[1::2])
    assert torch.equal(audio, World(short_world.with_identities(2), 0).play(range(40)))


def test_a_section_keeps_its_identities(short_world: config.Synth) -> None:
    assert audiopg.corpus(short_world.with_identities(4))[0:8][1]["identity"].tolist() == [0] * 4 + [1] * 4


def test_a_loader_gives_the_same_clips(corpus: Corpus, waveforms: torch.Tensor) -> None:
    order = [5, 3, 38, 0, 0, 17, 21]
    for audio, physics in DataLoader(corpus, batch_sampler=[order]):
        assert torch.equal(audio, waveforms[order])
        assert isinstance(physics, ClipPhysics)
        assert physics["index"].tolist() == order
        assert_same(physics, corpus.physics(World(corpus.synth, 42).score(order)))
    plain = list(DataLoader(corpus, batch_size=16))
    assert torch.equal(torch.cat([audio for audio, _ in plain]), waveforms)


def test_a_loader_renders_a_batch_at_once(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    play = Corpus._play

    def counted(self: Corpus, numbers: list[int]) -> tuple[torch.Tensor, ClipPhysics]:
        calls.append(len(numbers))
        return play(self, numbers)

    monkeypatch.setattr(Corpus, "_play", counted)
    list(DataLoader(corpus, batch_size=16))
    assert calls == [16, 16, 8]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_the_same_clips_in_any_order(corpus: Corpus, waveforms: torch.Tensor, start: str) -> None:
    sampler = BatchSampler(RandomSampler(corpus, generator=torch.Generator().manual_seed(1)), 8, drop_last=False)
    loader = DataLoader(corpus, batch_sampler=sampler, num_workers=2, multiprocessing_context=start)
    seen = []
    for audio, physics in loader:
        order = physics["index"].tolist()
        assert torch.equal(audio, waveforms[order])
        seen += order
    assert seen != sorted(seen)
    assert sorted(seen) == list(range(N_CLIPS))


def test_a_corpus_can_be_pickled(corpus: Corpus, waveforms: torch.Tensor) -> None:
    copy = pickle.loads(pickle.dumps(corpus))
    assert torch.equal(copy[3][0], waveforms[3])
    assert copy.names == corpus.names
    assert len(pickle.dumps(corpus)) < 100_000


def test_a_score_renders_to_its_clip(corpus: Corpus, waveforms: torch.Tensor) -> None:
    assert torch.equal(corpus.render(corpus.score(7)), waveforms[7:8])
    assert torch.equal(corpus.render(corpus.score([7, 3])), waveforms[[7, 3]])
    assert torch.equal(corpus.render(corpus.score(slice(2, 5))), waveforms[2:5])
    assert f"audiopg-2/42/{7:06d}" in str(corpus.score(7))


def test_an_edit_is_heard(short_paper: config.Synth) -> None:
    """The spectrum's strongest line moves to the new fundamental; the other way of editing gives the same bits."""
    corpus = audiopg.corpus(short_paper)
    table = corpus.physics(corpus.score(range(200)))
    plain = (table["source"][:, 0] == corpus.sources.index("harmonic")) & table["transient_onset_s"].isnan()
    index = plain.nonzero()[0].item()
    edited = corpus.score(index).edit(f0_hz=500.0, decay_exponent=6.0, partial_detune=1.0, cutoff_hz=7000.0)
    spectrum = torch.fft.rfft(corpus.render(edited)[0]).abs()
    assert spectrum.argmax().item() * 16000 / 20480 == pytest.approx(500, abs=4)
    assert not torch.equal(corpus.render(edited)[0], corpus[index][0])
    voice = replace(edited.voices[0], f0_hz=np.array([250.0]))
    by_hand = replace(edited, voices=(voice,))
    assert torch.equal(corpus.render(by_hand), corpus.render(edited.edit(f0_hz=250.0)))


def test_an_event_outside_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match=r"clip 7: voice 0, event_onset_s, event 0: 2 s, .* clip of 1.28 s; choose"):
        corpus.render(corpus.score(7).edit(event_onset_s=2.0))


def test_a_vector_renders_to_the_same_bits(preset: config.Synth) -> None:
    corpus = audiopg.corpus(preset, seed=42)
    audio, _ = corpus[0:60]
    vectors = corpus.vector(corpus.score(range(60)))
    assert vectors.shape == (60, len(corpus.names))
    assert vectors.dtype == np.float64
    assert torch.equal(corpus.render(corpus.from_vector(vectors)), audio)
    for row in (0, 59):
        assert torch.equal(corpus.render(corpus.from_vector(vectors[row].tolist())), audio[row : row + 1])
    np.testing.assert_array_equal(corpus.vector(corpus.from_vector(vectors)), vectors)


def test_voices_beyond_their_number_are_not_in_a_vector(corpus: Corpus) -> None:
    vector = corpus.vector(corpus.score(range(40)))
    vector[:, corpus.names.index("n_voices")] = 1
    for score in (corpus.from_vector(vector), corpus.score(range(40)).edit(n_voices=1)):
        assert (score.voices[1].source == -1).all()
        assert np.isnan(score.voices[1].f0_hz).all()


def test_the_keys_of_a_vector_make_its_noise(corpus: Corpus, waveforms: torch.Tensor) -> None:
    vector = corpus.vector(corpus.score(7))
    vector[0, corpus.names.index("noise_floor_key")] += 1
    assert not torch.equal(corpus.render(corpus.from_vector(vector))[0], waveforms[7])


def test_a_number_of_a_vector_can_be_changed_by_name(corpus: Corpus) -> None:
    vector = corpus.vector(corpus.score(7))
    vector[0, corpus.names.index("voice0/f0_hz")] = 440.0
    assert torch.equal(
        corpus.render(corpus.from_vector(vector)), corpus.render(corpus.score(7).edit(voice=0, f0_hz=440))
    )


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda _: audiopg.corpus("wrld"), "unknown preset 'wrld'; known: paper, world"),
        (lambda _: audiopg.corpus("quick"), "unknown preset 'quick'"),
        (
            lambda _: audiopg.corpus("world", clip_s=2.4),
            "clip_s: 2.4 is not allowed; allowed: .* from 2.5, for 5 events",
        ),
        (lambda _: audiopg.corpus("world", clip_s="long"), "clip_s: 'long' is not allowed"),  # type: ignore[arg-type]
        (lambda _: audiopg.corpus("world", clip_s=float("nan")), "clip_s: nan is not allowed"),
        (lambda _: audiopg.corpus("world", seed=-1), "seed: -1 is not allowed; allowed: a whole number from 0"),
        (lambda _: audiopg.corpus("world", seed=1.5), "seed: 1.5 is not allowed"),  # type: ignore[arg-type]
        (lambda _: audiopg.corpus("world", n_clips=0), "n_clips: 0 is not allowed; allowed: a whole number from 1"),
        (lambda _: audiopg.corpus("world", device="gpu"), "device 'gpu' cannot be used here; take 'cpu'"),
        (lambda _: audiopg.corpus("world", device="meta"), "device 'meta' cannot be used here; take 'cpu' or 'cuda'"),
        (lambda corpus: corpus[40], "index 40: the corpus has clips 0 to 39; a larger n_clips gives more"),
        (lambda corpus: corpus[-41], "index -41: the corpus has clips 0 to 39"),
        (lambda corpus: corpus["a"], "index 'a': whole numbers and slices of them are allowed"),
        (lambda corpus: corpus[1.0], "index 1.0: whole numbers"),
        (lambda corpus: corpus.score(99), "index 99: the corpus has"),
        (lambda corpus: corpus.score([0, 99]), r"index \[0, 99\]: the corpus has"),
        (lambda corpus: corpus.batches(0), "batch_size: 0 is not allowed; allowed: a whole number from 1"),
        (lambda corpus: corpus.batches(8, start=41), "start: 41 is not allowed; allowed: a whole number from 0 to 40"),
        (lambda corpus: corpus.stream(8, stop=41), "stop: 41 is not allowed; allowed: a whole number from 0 to 40"),
        (lambda corpus: corpus.from_vector([1.0, 2.0]), r"a vector of shape \(2,\); allowed"),
        (
            lambda corpus: corpus.from_vector(corpus.vector(corpus.score(0)) + 0.5),
            "index: 0.5; a whole number is needed",
        ),
        (lambda corpus: corpus.from_vector(corpus.vector(corpus.score(0)) * np.nan), "index: nan; a whole number"),
    ],
)
def test_mistakes_are_one_line(corpus: Corpus, act: Callable[[Corpus], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        act(corpus)
    assert "\n" not in str(error.value)


def test_a_key_beyond_32_bits_is_refused(corpus: Corpus) -> None:
    vector = corpus.vector(corpus.score(0))
    vector[0, corpus.names.index("noise_floor_key")] = 2.0**31
    with pytest.raises(ValueError, match="noise_floor_key: 2147483648"):
        corpus.from_vector(vector)


def test_an_index_beyond_the_end_is_also_an_index_error(corpus: Corpus) -> None:
    with pytest.raises(IndexError):
        corpus[40]


def test_another_device_renders_the_same_within_the_renderers_tolerance(
    corpus: Corpus, waveforms: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batched renderer, which every device but the CPU uses."""
    from audiopg.synth.batched import player  # noqa: PLC0415
    from audiopg.synth.compiled import player as compiled  # noqa: PLC0415

    monkeypatch.setattr(compiled, "render", lambda playlist, _: player.render(playlist, torch.device("cpu")).numpy())
    audio, _ = corpus[0:5]
    torch.testing.assert_close(audio, waveforms[:5], rtol=0, atol=1e-4)


def test_the_package_is_light_until_it_is_used() -> None:
    code = (
        "import sys, json, audiopg\n"
        "names = dir(audiopg)\n"
        "heavy = [name for name in ('torch', 'numpy', 'numba', 'pandas') if name in sys.modules]\n"
        "first = audiopg.corpus is audiopg.corpus and 'torch' in sys.modules\n"
        "print(json.dumps([names, heavy, first, audiopg.AudioEncoder.__name__, hasattr(audiopg, 'korpus')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    names, heavy, first, encoder, unknown = json.loads(done.stdout)
    assert {"AudioEncoder", "__version__", "corpus"} <= set(names)
    assert heavy == []
    assert first
    assert encoder == "AudioEncoder"
    assert not unknown
