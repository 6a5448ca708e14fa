"""The compiled and the batched renderer, against each other and against plain NumPy in float64."""

from dataclasses import replace
from typing import Any

import numpy as np
import plain
import pytest
import torch
from numpy.typing import NDArray
from support.sounds import bare, both, short

from audiopg import config
from audiopg.synth.arrange import arrange
from audiopg.synth.batched import player as batched
from audiopg.synth.compiled import player
from audiopg.synth.parameters import draw
from audiopg.synth.score import Score
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Grid

AGREE = 1e-4  # of full scale: the promise
# Measured over 2000 clips of each preset: 1.2e-5 (pulses at full length), 5e-6 otherwise.


def assert_all_agree(synth: config.Synth, indices: Any, seed: int = 42) -> NDArray[np.float64]:
    """Render with all three players, compare, and return the clips."""
    return assert_score_agrees(draw(synth, seed, indices), Grid(synth.n_samples, synth.sample_rate_hz))


def assert_score_agrees(score: Score, grid: Grid) -> NDArray[np.float64]:
    """As `assert_all_agree`, for a score that may be edited."""
    compiled, by_torch = both(arrange(score, grid))
    by_numpy = plain.render(score, grid.n_samples, grid.sample_rate_hz)
    np.testing.assert_allclose(compiled, by_torch, atol=AGREE, rtol=0)
    np.testing.assert_allclose(compiled, by_numpy, atol=AGREE, rtol=0)
    np.testing.assert_allclose(by_torch, by_numpy, atol=AGREE, rtol=0)
    return compiled


def only(synth: config.Synth, names: list[str], clip_s: float = 1.28, **changes: Any) -> config.Synth:
    """Leave some sources of a preset, shorten it, and play them alone: one voice, no transient, no room."""
    data = synth.model_dump()["sources"]
    alone = {"voices__count": {"min": 1.0, "max": 1.0, "scale": "integer"}, "transient__probability": 0.0}
    return short(synth, clip_s, sources={name: data[name] for name in names}, **(alone | changes))


def names_of(synth: config.Synth, primitive: str) -> list[str]:
    return [name for name, source in synth.sources.items() if (source.primitive or name) == primitive]


def test_the_presets_agree(preset: config.Synth) -> None:
    assert_all_agree(preset, range(60))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "world"])
def test_the_presets_agree_at_full_length(name: str, request: pytest.FixtureRequest) -> None:
    assert_all_agree(request.getfixturevalue(name), range(25))


@pytest.mark.parametrize("primitive", list(PRIMITIVES))
def test_each_primitive_agrees(primitive: str, world: config.Synth) -> None:
    """Whatever is registered must be played by a preset and by the plain player, and sound alike."""
    names = names_of(world, primitive)
    assert names, f"no source of preset 'world' plays '{primitive}'"
    assert_all_agree(only(world, names, room__probability=0.0), range(24))


@pytest.mark.parametrize("primitive", list(PRIMITIVES))
@pytest.mark.parametrize("f0_hz", [(5.0, 20.0), (7000.0, 7999.9)], ids=["lowest", "up to Nyquist"])
def test_each_primitive_agrees_at_the_edges_of_hearing(
    primitive: str, f0_hz: tuple[float, float], world: config.Synth
) -> None:
    names = names_of(world, primitive)
    synth = only(world, names, clip_s=0.4, room__probability=0.0)
    data = synth.model_dump()
    for source in data["sources"].values():
        source["f0_hz"] = {"min": f0_hz[0], "max": f0_hz[1], "scale": "log"}
    clips = assert_all_agree(config.Synth.model_validate(data), range(12))
    assert np.isfinite(clips).all()


def test_struck_sounds_agree_from_anywhere_in_their_decay(world: config.Synth) -> None:
    """A drawn score has them from the blow on; an edited one need not."""
    synth = only(world, ["bar", "string"], room__probability=0.0, noise_floor__amplitude={"min": 0.0, "max": 0.0})
    score = draw(synth, 42, range(20))
    voice = score.voices[0]
    later_s = np.where(np.isnan(voice.event_onset_s), np.nan, np.minimum(0.05, 1.28 - voice.event_duration_s))
    later = replace(score, voices=(replace(voice, event_source_start_s=np.rint(later_s * 16_000) / 16_000),))
    assert_score_agrees(later, Grid(synth.n_samples, 16_000))


def test_impulses_at_the_same_sample_add_up() -> None:
    grid = Grid(163_840, 16_000)
    parameters = {
        "rate_hz": 200.0,
        "regularity": 0.0,
        "level_range_db": 6.0,
        "decay_s": 0.002,
        "n_resonances": 1,
        "resonance_ratio": np.ones((1, 1)),
        "resonance_gain": np.ones((1, 1)),
    }
    score = bare("grains", [3000.0], parameters, grid)
    impulses = arrange(score, grid).excitations.impulse
    assert len(np.unique(impulses)) < len(impulses)
    # not by `assert_score_agrees`, as its envelope is steeper than plain NumPy's
    compiled, by_torch = both(arrange(score, grid))
    np.testing.assert_allclose(compiled, by_torch, atol=1e-5)


def broadest_noise() -> dict[str, Any]:
    """One source, as broad as it may be."""
    always = {"min": 1.0, "max": 1.0}
    parameters: dict[str, Any] = {
        "bandwidth_octaves": {"min": 3.0, "max": 6.0},
        "gust_rate_hz": always,
        "gust_depth": always,
        "gate_rate_hz": always,
        "gate_share": always,
        "motion_phase": {"min": 0.0, "max": 1.0},
    }
    f0_hz = {"min": 1000.0, "max": 7999.0}
    return {"noise": {"weight": 1.0, "primitive": "noise_band", "f0_hz": f0_hz, "parameters": parameters}}


EDGES: dict[str, dict[str, Any]] = {
    "one event": {"events__count": {"min": 1.0, "max": 1.0, "scale": "integer"}},
    "most events": {"events__count": {"min": 8.0, "max": 8.0, "scale": "integer"}},
    "most voices": {"voices__count": {"min": 6.0, "max": 6.0, "scale": "integer"}},
    "small rooms": {"room__probability": 1.0, "room__size_m": {"min": 2.0, "max": 2.0}},
    "large rooms": {"room__probability": 1.0, "room__size_m": {"min": 100.0, "max": 100.0}},
    "short reverberation": {"room__probability": 1.0, "room__rt60_s": {"min": 0.05, "max": 0.06}},
    "long reverberation": {"room__probability": 1.0, "room__rt60_s": {"min": 8.0, "max": 10.0}},
    "dull walls": {"room__probability": 1.0, "room__treble_damping": {"min": 0.5, "max": 0.5}},
    "white": {"transient__colour__choices": [0.0], "noise_floor__colour__choices": [0.0]},
    "pink": {"transient__colour__choices": [1.0], "noise_floor__colour__choices": [1.0]},
    "brown": {"transient__colour__choices": [2.0], "noise_floor__colour__choices": [2.0]},
    "only noise": {"noise_floor__amplitude": {"min": 1000.0, "max": 1000.0}},
    "no noise": {"noise_floor__amplitude": {"min": 0.0, "max": 0.0}},
    "lowest filters": {
        "damping__cutoff_hz": {"min": 20.0, "max": 20.0},
        "microphone__probability": 1.0,
        "microphone__low_hz": {"min": 1.0, "max": 1.0},
    },
    "highest filters": {
        "damping__cutoff_hz": {"min": 7999.0, "max": 7999.0},
        "microphone__probability": 1.0,
        "microphone__low_hz": {"min": 3999.0, "max": 3999.0},
        "microphone__high_hz": {"min": 7999.0, "max": 7999.0},
    },
    "long transients": {"transient__probability": 1.0, "transient__duration_s": {"min": 0.4, "max": 0.4}},
    "events of a sample": {
        "events__duration_s_min": 1e-9,
        "events__count": {"min": 1000.0, "max": 1000.0, "scale": "integer"},
        "voices__count": {"min": 1.0, "max": 1.0, "scale": "integer"},
    },
    "broadest noise": {"sources": broadest_noise()},
    "another rate": {"sample_rate_hz": 44_100},
    "a low rate": {
        "sample_rate_hz": 8000,
        "f0_hz": {"min": 50.0, "max": 2000.0},
        "damping__cutoff_hz": {"min": 200.0, "max": 3900.0},
        "microphone__high_hz": {"min": 2000.0, "max": 3900.0},
    },
}


@pytest.mark.parametrize("edge", EDGES)
def test_the_renderers_agree_at_every_edge(edge: str, world: config.Synth) -> None:
    changes = dict(EDGES[edge])
    if edge == "a low rate":
        data = world.model_dump()["sources"]
        for source in data.values():
            source["f0_hz"] = None
        changes["sources"] = data
    clips = assert_all_agree(short(world, 0.4, **changes), range(16))
    assert np.isfinite(clips).all()
    assert (np.abs(clips).max(axis=1) == 1).all()


@pytest.mark.parametrize("n_samples", [8, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 513, 2047, 2049, 4999])
def test_the_renderers_agree_for_every_length(n_samples: int, world: config.Synth) -> None:
    """Lengths that are and are not multiples of the blocks, and clips shorter than all delays of a room."""
    clips = assert_all_agree(short(world, n_samples / 16_000, room__probability=0.8), range(16))
    assert clips.shape == (16, n_samples)


def test_no_clips_are_no_clips(short_world: config.Synth) -> None:
    grid = Grid(short_world.n_samples, 16_000)
    compiled, by_torch = both(arrange(draw(short_world, 42, []), grid))
    assert compiled.shape == by_torch.shape == (0, 20_480)


def play(synth: config.Synth, indices: Any, renderer: str, n_threads: int = 1) -> torch.Tensor:
    playlist = arrange(draw(synth, 42, indices), Grid(synth.n_samples, synth.sample_rate_hz))
    if renderer == "compiled":
        return torch.from_numpy(player.render(playlist, n_threads))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        return batched.render(playlist, torch.device("cpu"))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("renderer", ["compiled", "batched"])
def test_a_clip_is_the_same_in_every_batch_and_order(renderer: str, preset: config.Synth) -> None:
    n = 60
    clips = play(preset, range(n), renderer)
    order = np.random.default_rng(0).permutation(n).tolist()
    assert torch.equal(play(preset, order, renderer), clips[order])
    for first, last in ((0, 1), (1, 2), (3, 10), (10, 33), (33, 60)):
        assert torch.equal(play(preset, range(first, last), renderer), clips[first:last])


@pytest.mark.parametrize("renderer", ["compiled", "batched"])
def test_a_clip_is_the_same_for_every_number_of_threads(renderer: str, preset: config.Synth) -> None:
    clips = [play(preset, range(40), renderer, n) for n in (1, 2, 3)]
    assert torch.equal(clips[0], clips[1])
    assert torch.equal(clips[0], clips[2])


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["compiled", "batched"])
@pytest.mark.parametrize("name", ["paper", "world"])
def test_a_long_clip_is_the_same_in_every_batch(name: str, renderer: str, request: pytest.FixtureRequest) -> None:
    synth = request.getfixturevalue(name)
    clips = play(synth, range(9), renderer, 2)
    for index in range(9):
        assert torch.equal(play(synth, [index], renderer, 1)[0], clips[index])


@pytest.mark.gpu
def test_a_gpu_plays_the_same_clips(preset: config.Synth) -> None:
    playlist = arrange(draw(preset, 42, range(100)), Grid(preset.n_samples, 16_000))
    on_gpu = batched.render(playlist, torch.device("cuda"))
    assert on_gpu.is_cuda
    np.testing.assert_allclose(on_gpu.cpu().numpy(), player.render(playlist, 1), atol=AGREE, rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "edge", [pytest.param(edge, marks=pytest.mark.slow) if edge == "events of a sample" else edge for edge in EDGES]
)
def test_a_gpu_agrees_at_every_edge(edge: str, world: config.Synth) -> None:
    if edge == "a low rate":
        pytest.skip("the same code as at other rates")
    synth = short(world, 0.4, **EDGES[edge])
    playlist = arrange(draw(synth, 42, range(16)), Grid(synth.n_samples, synth.sample_rate_hz))
    on_gpu = batched.render(playlist, torch.device("cuda")).cpu().numpy()
    np.testing.assert_allclose(on_gpu, player.render(playlist, 1), atol=AGREE, rtol=0)
