"""Clips of one identity: what sounds is the same to the bit, how it is heard is drawn anew."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr

from audiopg import config
from audiopg.synth.parameters import draw
from audiopg.synth.world import World
from tests.support.scores import assert_same

N_IDENTITIES = 2000
HEARD = ("key", "event_onset_s")  # what twins do not share of a voice


def with_identity(synth: config.Synth, n_clips: int, f0_shift: float = 0.0) -> config.Synth:
    """Set how many clips an identity has, and how far their fundamentals lie apart."""
    return synth.model_copy(update={"identity": config.Identity(n_clips=n_clips, f0_shift=f0_shift)})


def test_what_sounds_is_the_same_in_all_clips_of_an_identity(short_world: config.Synth) -> None:
    score = draw(with_identity(short_world, 3), 42, range(300))
    np.testing.assert_array_equal(score.identity, np.repeat(np.arange(100), 3))
    first, second, third = (score.rows(np.arange(start, 300, 3)) for start in range(3))
    for other in (second, third):
        np.testing.assert_array_equal(first.n_voices, other.n_voices)
        for number, voice in enumerate(first.voices):
            sounds = number < first.n_voices
            assert_same(voice, other.voices[number], sounds, but=HEARD)


def test_how_it_is_heard_is_unrelated_between_twins(world: config.Synth) -> None:
    data = world.model_dump()
    for section in ("transient", "room", "damping", "microphone"):
        data[section]["probability"] = 1.0
    data["voices"]["count"]["min"] = 3.0
    data["events"]["level_db"]["min"] = -18.0
    score = draw(with_identity(config.Synth.model_validate(data), 2), 42, range(2 * N_IDENTITIES))
    twins = [score.rows(np.arange(start, len(score), 2)) for start in range(2)]
    heard = [
        field.name for field in fields(score) if field.name.startswith(("transient", "room", "microphone", "noise"))
    ]
    names = [*(name for name in heard if name != "room_places"), "cutoff_hz"]
    pairs = [(name, *(getattr(twin, name) for twin in twins)) for name in names]
    pairs += [(f"place {axis}", *(twin.room_places[:, axis] for twin in twins)) for axis in range(6)]
    for number in range(3):
        voices = [twin.voices[number] for twin in twins]
        pairs.append((f"{number} key", *(voice.key for voice in voices)))
        # as parts of the room that shared lengths leave
        free = [voice.event_onset_s[:, 0] / (world.clip_s - voice.event_duration_s[:, 0]) for voice in voices]
        pairs.append((f"{number} onset", *free))
    for name, one, two in pairs:
        assert abs(spearmanr(one, two).statistic) < 4.5 / np.sqrt(N_IDENTITIES), name


def test_with_one_clip_of_each_identity_it_is_the_corpus_without_identities(short_world: config.Synth) -> None:
    plain = draw(with_identity(short_world, 1), 42, range(50))
    np.testing.assert_array_equal(plain.identity, plain.index)
    twins = draw(with_identity(short_world, 2), 42, range(100)).rows(np.arange(0, 100, 2))
    for number, voice in enumerate(plain.voices):
        assert_same(voice, twins.voices[number], number < plain.n_voices, but=HEARD)


@pytest.mark.parametrize("f0_shift", [0.0, 0.05, 0.5])
def test_a_shifted_fundamental_keeps_its_distribution(short_world: config.Synth, f0_shift: float) -> None:
    """Two clips of an identity differ by the shift at most, and each alone is drawn as ever."""
    source = short_world.sources["string"]
    synth = with_identity(short_world.model_copy(update={"sources": {"string": source}}), 2, f0_shift)
    f0_hz = draw(synth, 42, range(2 * N_IDENTITIES)).voices[0].f0_hz.reshape(-1, 2)
    assert source.f0_hz is not None
    low, high = source.f0_hz.min, source.f0_hz.max
    places = np.log(f0_hz / low) / np.log(high / low)
    for twin in range(2):
        assert kstest(places[:, twin], "uniform").pvalue > 1e-4
    apart = np.abs(places[:, 0] - places[:, 1])
    assert apart.max() <= 2 * f0_shift + 1e-9
    # 2 f0_shift is reached by two shifts in opposite directions; a tenth of it is far from the rule
    assert (f0_shift == 0) == (apart.max() < 0.2 * f0_shift + 1e-12)


def test_twins_sound_different(short_world: config.Synth) -> None:
    clips = World(short_world.with_identities(2), 42).play(range(8))
    for pair in clips.reshape(4, 2, -1).unbind():
        assert np.corrcoef(pair.numpy())[0, 1] < 0.9


def test_an_identity_is_found_by_the_numbers_of_its_clips_in_any_batch(short_world: config.Synth) -> None:
    synth = short_world.with_identities(2)
    far = 2 * (1 << 41)
    both, alone = draw(synth, 42, [far, far + 1]), draw(synth, 42, [far + 1])
    assert_same(both.rows(np.array([1])), alone, np.array([True]))
    assert both.identity.tolist() == [1 << 41] * 2
