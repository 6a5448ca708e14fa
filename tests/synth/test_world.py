"""The corpus as a whole: the same index is the same clip, whatever is around it."""

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.places import ROOT, TESTS
from support.sounds import short

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.synth.score import CORPUS
from audiopg.synth.world import World

GOLDEN = json.loads((TESTS / "golden" / "synth.json").read_text(encoding="utf-8"))
# No clip's mean is further from 0. Measured over 3000 and 1000 clips: 0.056 and 0.009. It is brown noise (in short
# clips a burst is a twelfth of the clip) and trains of grains, whose dying sines do not add up to 0: 0.02 for engines.
NO_DC, NO_DC_LONG = 0.08, 0.02


def assert_sound(clips: torch.Tensor, n_clips: int, n_samples: int, no_dc: float) -> None:
    assert clips.shape == (n_clips, n_samples)
    assert clips.dtype == torch.float32
    assert clips.isfinite().all()
    assert (clips.abs().amax(dim=1) == 1).all()
    assert clips.double().mean(dim=1).abs().max() < no_dc


def test_clips_are_finite_with_a_peak_of_1_and_a_mean_of_0(preset: config.Synth) -> None:
    assert_sound(World(preset, 42).play(range(600)), 600, 20_480, NO_DC)


@pytest.mark.parametrize("name", ["paper", "world"])
def test_long_clips_are_finite_with_a_peak_of_1_and_a_mean_of_0(name: str, request: pytest.FixtureRequest) -> None:
    assert_sound(World(request.getfixturevalue(name), 42).play(range(150)), 150, 163_840, NO_DC_LONG)


@pytest.mark.parametrize("f0_hz", [(1.0, 30.0), (4000.0, 7999.99)], ids=["low", "up to Nyquist"])
def test_fundamentals_from_1_hz_to_nyquist_can_be_played(f0_hz: tuple[float, float], world: config.Synth) -> None:
    data = short(world, 0.64).model_dump()
    for source in data["sources"].values():
        source["f0_hz"] = {"min": f0_hz[0], "max": f0_hz[1], "scale": "log"}
    clips = World(config.Synth.model_validate(data), 42).play(range(200))
    assert clips.isfinite().all()
    assert (clips.abs().amax(dim=1) == 1).all()


def test_a_clip_is_the_same_in_every_batch(preset: config.Synth) -> None:
    world = World(preset, 42)
    clips = world.play(range(70))
    order = np.random.default_rng(0).permutation(70).tolist()
    assert torch.equal(world.play(order), clips[order])
    for first, last in ((0, 1), (3, 10), (10, 37), (37, 70)):
        assert torch.equal(world.play(range(first, last)), clips[first:last])
    assert torch.equal(world.play([5, 5, 0]), clips[[5, 5, 0]])


def test_a_clip_is_the_same_for_every_number_of_threads(preset: config.Synth, n_threads: int) -> None:
    assert n_threads > 0
    clips = []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        clips.append(World(preset, 42).play(range(50)))
    assert torch.equal(clips[0], clips[1])
    assert torch.equal(clips[0], clips[2])


@pytest.mark.slow
def test_a_clip_is_the_same_in_every_process(preset: config.Synth) -> None:
    """Fresh ones, with other hashes of strings, other numbers of threads, and after other work, and this one."""
    code = (
        "import hashlib, sys, torch; from audiopg.config import Synth; from audiopg.synth.world import World\n"
        "torch.set_num_threads(int(sys.argv[1]))\n"
        "world = World(Synth.model_validate_json(sys.stdin.read()), 42)\n"
        "world.play(range(int(sys.argv[2])))\n"
        "print(hashlib.sha256(world.play([3, 1 << 40, 0]).numpy().tobytes()).hexdigest())"
    )
    clips = [
        subprocess.run(
            [sys.executable, "-c", code, *arguments],
            input=preset.model_dump_json(),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
        for arguments in (("1", "0"), ("3", "20"))
    ]
    here = hashlib.sha256(World(preset, 42).play([3, 1 << 40, 0]).numpy().tobytes()).hexdigest()
    assert [clip.strip() for clip in clips] == [here, here]


def test_clips_differ_by_index_and_seed(preset: config.Synth) -> None:
    clips = torch.cat([World(preset, seed).play([0, 1, 1 << 32, 1 << 40]) for seed in (42, 43)])
    correlations = np.corrcoef(clips.numpy())[~np.eye(8, dtype=bool)]
    assert np.abs(correlations).max() < 0.2


def test_nothing_is_drawn_from_global_generators(preset: config.Synth) -> None:
    def states() -> list[Any]:
        return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002

    before = states()
    World(preset, 42).play(range(10))
    assert states() == before


def test_what_is_not_asked_for_is_not_heard(preset: config.Synth) -> None:
    world = World(preset, 42)
    score = world.score(range(20))
    empty = replace(
        score,
        n_voices=np.zeros(20, dtype=np.int64),
        transient_onset_s=np.full(20, np.nan),
        noise_floor_amplitude=np.zeros(20),
    )
    assert not world.render(empty).any()
    assert world.render(score).any(dim=1).all()


def test_some_rows_of_a_score_are_played_as_they_are_in_all(preset: config.Synth) -> None:
    world = World(preset, 42)
    score = world.score(range(20))
    rows = np.array([3, 17, 4])
    assert torch.equal(world.render(score.rows(rows)), world.render(score)[rows.tolist()])


def test_a_voice_of_a_score_can_be_heard_alone(short_world: config.Synth) -> None:
    """The clip of several voices, without noise and peak, is the sum of its voices."""
    world = World(short_world, 42)
    score = world.score(range(60))
    score = score.rows(np.flatnonzero((score.n_voices == 2) & np.isfinite(score.cutoff_hz))[:5])
    score = replace(score, noise_floor_amplitude=np.zeros(5), transient_onset_s=np.full(5, np.nan))
    nothing = np.full(5, -1)
    together = world.render(score).double().numpy()
    alone = [
        world.render(replace(score, voices=voices)).double().numpy()
        for voices in (
            (score.voices[0], replace(score.voices[1], source=nothing)),
            (replace(score.voices[0], source=nothing), score.voices[1]),
        )
    ]
    for clip, first, second in zip(together, *alone, strict=True):
        parts = np.stack([first, second], axis=1)
        weights, residual, *_ = np.linalg.lstsq(parts, clip, rcond=None)
        assert (weights > 0).all()
        assert residual[0] < 1e-6 * (clip**2).sum()


def test_mistakes_in_the_params_are_found_before_the_first_clip(preset: config.Synth) -> None:
    sources = {"puls": preset.sources["pulse"]}
    with pytest.raises(AudiopgError, match=r"synth\.sources\.puls: unknown primitive 'puls'; did you mean 'pulse'\?"):
        World(preset.model_copy(update={"sources": sources}), 42)


@pytest.mark.parametrize(
    ("part", "clips"), [(part, clips) for part in GOLDEN["presets"] for clips in part["clips"]], ids=lambda _: ""
)
def test_the_corpus_sounds_as_it_always_did(part: dict[str, Any], clips: dict[str, Any]) -> None:
    """A difference here means that the corpus needs a new version (see tests/golden/synth.py)."""
    assert GOLDEN["corpus"] == CORPUS
    world = World(config.Synth.model_validate(part["synth"]), clips["seed"])
    score = world.score(clips["indices"])
    for name, values in clips["score"].items():
        number, _, column = name.rpartition(".")
        found = getattr(score.voices[int(number)] if number else score, column)
        expected = np.array([[float(value) for value in row] for row in values])
        np.testing.assert_allclose(found.reshape(len(found), -1), expected, rtol=1e-10, err_msg=name)
    waveforms = world.render(score).double()
    np.testing.assert_allclose(waveforms[:, clips["samples"]].numpy(), clips["waveform"], atol=2e-5)
    np.testing.assert_allclose(waveforms.square().mean(dim=1).sqrt().numpy(), clips["rms"], atol=1e-5)


@pytest.mark.gpu
def test_a_gpu_plays_the_same_corpus(preset: config.Synth) -> None:
    on_gpu = World(preset, 42, "cuda").play(range(100))
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), World(preset, 42).play(range(100)), atol=1e-4, rtol=0)
