"""Physics of clips as tensors by name."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate, default_convert

from audiopg import config
from audiopg.synth.clip_physics import ClipPhysics, read
from audiopg.synth.world import World


@pytest.fixture
def physics(short_world: config.Synth) -> ClipPhysics:
    return read(World(short_world, 42).score(range(60)))


def test_numbers_are_those_of_the_score(short_world: config.Synth, physics: ClipPhysics) -> None:
    score = World(short_world, 42).score(range(60))
    for number, voice in enumerate(score.voices):
        np.testing.assert_array_equal(physics["f0_hz"][:, number], voice.f0_hz.astype(np.float32))
        np.testing.assert_array_equal(physics["source"][:, number], voice.source)
        np.testing.assert_array_equal(physics["event_attack_s"][:, number], voice.event_attack_s.astype(np.float32))
    np.testing.assert_array_equal(physics["room_rt60_s"], score.room_rt60_s.astype(np.float32))
    assert physics["index"].tolist() == list(range(60))


def test_what_is_not_there_is_nan(short_world: config.Synth, physics: ClipPhysics) -> None:
    score = World(short_world, 42).score(range(60))
    assert torch.equal(physics["cutoff_hz"].isnan(), torch.from_numpy(np.isinf(score.cutoff_hz)))
    assert torch.equal(physics["microphone_low_hz"].isnan(), torch.from_numpy(score.microphone_low_hz == 0))
    assert torch.equal(physics["f0_hz"].isnan(), physics["source"] == -1)
    exists = torch.arange(physics["event_onset_s"].shape[2]) < physics["n_events"][:, :, None]
    assert torch.equal(~physics["event_onset_s"].isnan(), exists)
    assert not any(values.isinf().any() for values in physics.values())
    assert not any("key" in name for name in physics)


def test_types_and_shapes(physics: ClipPhysics) -> None:
    whole = {name for name, values in physics.items() if values.dtype == torch.int64}
    assert whole == {"index", "identity", "n_voices", "source", "n_events"}
    assert {values.dtype for name, values in physics.items() if name not in whole} == {torch.float32}
    assert physics["f0_hz"].shape == (60, 3)
    assert physics["event_onset_s"].shape == (60, 3, 5)


def test_rows_make_the_batch_again(physics: ClipPhysics) -> None:
    joined = default_collate(physics.rows())
    assert isinstance(joined, ClipPhysics)
    assert list(joined) == list(physics)
    for name, values in physics.items():
        torch.testing.assert_close(joined[name], values, rtol=0, atol=0, equal_nan=True)
    assert isinstance(default_convert(physics), ClipPhysics)


def test_the_text_shows_what_a_clip_has(physics: ClipPhysics) -> None:
    row = physics.rows()[0]
    lines = {line.split()[0]: line for line in repr(row).splitlines()}
    assert f"{row['noise_floor_amplitude']:.6g}" in lines["noise_floor_amplitude"]
    assert set(lines) == {name for name, values in row.items() if not values.isnan().all()}
    assert "60, 3, 5" in repr(physics)


def test_a_misspelt_name_says_what_is_near(physics: ClipPhysics) -> None:
    with pytest.raises(KeyError, match="no quantity 'f0_hertz'; did you mean 'f0_hz'"):
        physics["f0_hertz"]
    assert "f0_hertz" not in physics


def test_it_goes_to_another_device(physics: ClipPhysics) -> None:
    assert {values.device.type for values in physics.to("meta").values()} == {"meta"}
