"""The corpus as a whole: the same index is the same clip, whatever is around it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from audiopg import config, rng
from audiopg.errors import AudiopgError
from audiopg.synth.world import World

GOLDEN = Path(__file__).parents[1] / "golden" / "synth.json"


@pytest.fixture(scope="module")
def world(quick: config.Synth) -> World:
    pulse = quick.sources["pulse"].model_copy(update={"parameters": {"shape": config.Choice(choices=[0, 1, 2])}})
    return World(quick.model_copy(update={"sources": {**quick.sources, "pulse": pulse}}), 42)


@pytest.fixture
def n_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_waveforms_are_finite_with_a_peak_of_1(world: World) -> None:
    clips = world.play(range(100))
    assert clips.shape == (100, 20480)
    assert clips.dtype == torch.float32
    assert clips.isfinite().all()
    assert (clips.abs().amax(dim=1) == 1).all()


def test_a_clip_is_the_same_in_every_batch(world: World) -> None:
    clips = world.play(range(70))
    order = np.random.default_rng(0).permutation(70).tolist()
    assert torch.equal(world.play(order), clips[order])
    for first, last in ((0, 1), (3, 10), (10, 37), (37, 70)):
        assert torch.equal(world.play(range(first, last)), clips[first:last])


def test_a_long_clip_is_the_same_in_every_batch(paper: config.Synth) -> None:
    world = World(paper, 42)
    clips = world.play(range(7))
    for index in range(7):
        assert torch.equal(world.play([index])[0], clips[index])


def test_a_clip_is_the_same_for_every_number_of_threads(world: World, paper: config.Synth, n_threads: int) -> None:
    assert n_threads > 0
    for corpus, n_clips in ((world, 30), (World(paper, 42), 4)):
        clips = []
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            clips.append(corpus.play(range(n_clips)))
        assert torch.equal(clips[0], clips[1])
        assert torch.equal(clips[0], clips[2])


def test_clips_differ_by_index_and_seed(world: World) -> None:
    clips = world.play([0, 1, 1 << 40])
    assert not torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])
    assert not torch.equal(clips, World(world.synth, 43).play([0, 1, 1 << 40]))


def test_rendering_draws_nothing_from_the_global_generators(world: World) -> None:
    state = torch.get_rng_state()
    world.play(range(3))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_score_can_be_edited(world: World) -> None:
    score = world.score(range(20))
    silent = replace(
        score,
        n_events=np.zeros(20, dtype=np.int64),
        transient_onset_s=np.full(20, np.nan),
        noise_floor_amplitude=np.zeros(20),
    )
    assert not world.render(silent).any()


def test_the_noise_floor_is_not_damped(world: World) -> None:
    """White where the events are silent: the power above 4 kHz is half of all."""
    score = world.score(range(20))
    score = replace(score, n_events=np.zeros(20, dtype=np.int64), transient_onset_s=np.full(20, np.nan))
    power = world.render(score).double().numpy()
    power = np.abs(np.fft.rfft(power)) ** 2
    np.testing.assert_allclose(power[:, 5120:].sum(axis=1) / power.sum(axis=1), 0.5, atol=0.05)


def test_the_whole_clip_follows_its_formula(quick: config.Synth) -> None:
    """One event of one FM source, with low-pass and noise, against plain NumPy and SciPy."""
    world = World(quick, 42)
    score = world.score(range(200))
    row = np.flatnonzero((score.source == 1) & (score.n_events == 1) & np.isfinite(score.cutoff_hz))[:1]
    score = replace(score.rows(row), transient_onset_s=np.array([np.nan]))
    onset, n, start = (
        round(x[0, 0] * 16000) for x in (score.event_onset_s, score.event_duration_s, score.event_source_start_s)
    )
    t = np.arange(20480) / 16000
    fm = {name: value[0] for name, value in score.parameters["fm"].items()}
    f0_hz = score.f0_hz[0]
    modulator = fm["modulation_index"] * np.sin(2 * np.pi * fm["modulator_ratio"] * f0_hz * t)
    source = np.sin(2 * np.pi * f0_hz * t + modulator)
    attack_s, decay_s, release_s = (x[0, 0] for x in (score.event_attack_s, score.event_decay_s, score.event_release_s))
    corners_s = np.cumsum([0, attack_s, decay_s, release_s])
    envelope = np.interp(t[:n], corners_s, [0, 1, score.event_sustain_level[0, 0], 0])
    mix = np.zeros(20480)
    mix[onset : onset + n] = envelope * source[start : start + n] * 10 ** (score.event_level_db[0, 0] / 20)
    omega = 2 * np.pi * score.cutoff_hz[0] / 16000
    alpha, cos = np.sin(omega) / np.sqrt(2), np.cos(omega)
    mix = lfilter([(1 - cos) / 2, 1 - cos, (1 - cos) / 2], [1 + alpha, -2 * cos, 1 - alpha], mix)
    noise = rng.hashed_uniform(score.noise_floor_key, np.arange(20480, dtype=np.int32)) / 2**23 - 1
    mix += score.noise_floor_amplitude[0] * noise
    np.testing.assert_allclose(world.render(score)[0].numpy(), mix / np.abs(mix).max(), atol=1e-5)


def test_mistakes_in_the_params_are_found_before_the_first_clip(quick: config.Synth) -> None:
    sources = {"puls": quick.sources["pulse"]}
    with pytest.raises(AudiopgError, match=r"synth\.sources\.puls: unknown source; did you mean 'pulse'\?"):
        World(quick.model_copy(update={"sources": sources}), 42)


def test_the_corpus_sounds_as_it_always_did() -> None:
    """A difference here means that the corpus needs a new version (see tests/golden/synth.py)."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    world = World(config.Synth.model_validate(golden["synth"]), golden["seed"])
    score = world.score(golden["indices"])
    for name, values in golden["score"].items():
        # null, which stands for NaN in the file, becomes NaN again as a float.
        np.testing.assert_allclose(getattr(score, name), np.array(values, dtype=np.float64), rtol=1e-12, err_msg=name)
    clips = world.render(score).double()
    np.testing.assert_allclose(clips[:, golden["samples"]].numpy(), golden["waveform"], atol=1e-5)
    np.testing.assert_allclose(clips.square().mean(dim=1).sqrt().numpy(), golden["rms"], atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_plays_the_same_clips(world: World) -> None:
    on_gpu = World(world.synth, 42, "cuda").play(range(100))
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), world.play(range(100)), atol=1e-4, rtol=0)
