"""Envelopes, events and transients against what the score says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from audiopg import config, rng
from audiopg.synth.envelopes import adsr
from audiopg.synth.events import add_transients, place, play_events
from audiopg.synth.parameters import Score, draw

RATE = 16000


@pytest.fixture(scope="module")
def two_events(quick: config.Synth) -> Score:
    """Score of one clip of 1.28 s with two flat events of 0.2 s at 0.1 s and at 0.6 s."""
    count = config.Range(min=2, max=2, scale="integer")
    score = draw(quick.model_copy(update={"events": quick.events.model_copy(update={"count": count})}), 7, [3])
    return replace(
        score,
        event_onset_s=np.array([[0.1, 0.6]]),
        event_duration_s=np.array([[0.2, 0.2]]),
        event_source_start_s=np.array([[0.0, 0.5]]),
        event_level_db=np.array([[0.0, -12.0]]),
        event_attack_s=np.array([[0.02, 0.02]]),
        event_decay_s=np.array([[0.04, 0.04]]),
        event_sustain_level=np.array([[0.5, 0.5]]),
        event_release_s=np.array([[0.14, 0.14]]),
        transient_onset_s=np.array([0.9]),
        transient_duration_s=np.array([0.05]),
        transient_gain=np.array([1.5]),
    )


def play(score: Score, source: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    source = np.ones((1, 20480), dtype=np.float32) if source is None else source
    placement = place(score, 20480, RATE)
    mix: NDArray[np.float32] = play_events(torch.from_numpy(source), score, placement, RATE)[0].numpy()
    return mix


def test_the_envelope_passes_its_break_points() -> None:
    time_s = torch.tensor([0, 0.05, 0.1, 0.2, 0.3, 0.65, 1.0])
    stages = {"attack_s": 0.1, "decay_s": 0.2, "sustain_level": 0.6, "release_s": 0.7, "duration_s": 1.0}
    np.testing.assert_allclose(adsr(time_s, **stages).numpy(), [0, 0.5, 1, 0.8, 0.6, 0.3, 0], atol=1e-6)


def test_a_short_release_holds_the_sustain_level_before() -> None:
    time_s = torch.tensor([0.3, 0.5, 0.8, 0.9])
    stages = {"attack_s": 0.1, "decay_s": 0.2, "sustain_level": 0.6, "release_s": 0.2, "duration_s": 1.0}
    np.testing.assert_allclose(adsr(time_s, **stages).numpy(), [0.6, 0.6, 0.6, 0.3], atol=1e-6)


def test_envelopes_are_drawn_for_all_events_at_once() -> None:
    sustain_level = torch.tensor([[0.2, 0.9, 1.0], [0.5, 0.0, 0.6]])[..., None]
    time_s = torch.arange(100) / 100
    stages = {"attack_s": 0.1, "decay_s": 0.2, "release_s": 0.7, "duration_s": 1.0}
    together = adsr(time_s, sustain_level=sustain_level, **stages)
    assert together.shape == (2, 3, 100)
    torch.testing.assert_close(together[1, 2], adsr(time_s, sustain_level=0.6, **stages))


def test_events_begin_and_end_where_the_score_says(two_events: Score) -> None:
    heard = np.flatnonzero(play(two_events))
    # An event's first sample has amplitude 0.
    expected = np.concatenate([np.arange(1601, 4800), np.arange(9601, 12800)])
    np.testing.assert_array_equal(heard, expected)


def test_events_have_their_envelope_and_level(two_events: Score) -> None:
    mix = play(two_events)
    at = 1600 + np.array([160, 320, 640, 960, 2080])
    np.testing.assert_allclose(mix[at], [0.5, 1, 0.75, 0.5, 0.25], atol=1e-5)
    np.testing.assert_allclose(mix[9600:12800], 10 ** (-12 / 20) * mix[1600:4800], atol=1e-6)


def test_events_read_their_own_part_of_the_source(two_events: Score) -> None:
    source = np.random.default_rng(0).standard_normal((1, 20480)).astype(np.float32)
    flat, mix = play(two_events), play(two_events, source)
    np.testing.assert_allclose(mix[1600:4800], flat[1600:4800] * source[0, :3200], atol=1e-6)
    np.testing.assert_allclose(mix[9600:12800], flat[9600:12800] * source[0, 8000:11200], atol=1e-6)


def test_overlapping_events_add_up(two_events: Score) -> None:
    alone = [play(replace(two_events, event_level_db=np.array([level]))) for level in ([0, -np.inf], [-np.inf, -12])]
    moved = replace(two_events, event_onset_s=np.array([[0.1, 0.15]]))
    expected = alone[0] + np.roll(alone[1], round((0.15 - 0.6) * RATE))
    np.testing.assert_allclose(play(moved), expected, atol=1e-6)


def test_events_beyond_their_number_are_not_played(two_events: Score) -> None:
    one = replace(two_events, n_events=np.array([1]))
    assert np.flatnonzero(play(one)).max() == 4799


def test_drawn_times_are_whole_samples(quick: config.Synth) -> None:
    score = draw(quick, 42, range(500))
    placement = place(score, 20480, RATE)
    exists = placement.length > 0
    np.testing.assert_array_equal(exists, np.arange(4) < score.n_events[:, None])
    np.testing.assert_array_equal(placement.onset[exists] / RATE, score.event_onset_s[exists])
    np.testing.assert_array_equal(placement.length[exists] / RATE, score.event_duration_s[exists])
    np.testing.assert_array_equal(placement.source_start[exists] / RATE, score.event_source_start_s[exists])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_onset_s": np.array([[0.1, 1.2]])}, "clip 3: event at samples 19200 to 22400 of 20480"),
        ({"event_source_start_s": np.array([[-0.1, 0.0]])}, "clip 3: source segment at samples -1600 to 1600 of 20480"),
        ({"transient_onset_s": np.array([1.25])}, "clip 3: transient at samples 20000 to 20800 of 20480"),
    ],
)
def test_what_lies_outside_the_clip_is_an_error(two_events: Score, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place(replace(two_events, **change), 20480, RATE)


def test_the_transient_is_white_noise_at_its_place(two_events: Score) -> None:
    mix = torch.zeros(1, 20480)
    add_transients(mix, two_events, place(two_events, 20480, RATE))
    key = two_events.transient_key
    expected = rng.hashed_uniform(key, np.arange(800, dtype=np.int32)) / 2**23 - 1
    np.testing.assert_allclose(mix[0, 14400:15200], 1.5 * expected, atol=1e-6)
    mix[0, 14400:15200] = 0
    assert not mix.any()


def test_a_clip_without_a_transient_gets_none(two_events: Score) -> None:
    none = replace(two_events, transient_onset_s=np.array([np.nan]), transient_duration_s=np.array([np.nan]))
    mix = torch.zeros(1, 20480)
    add_transients(mix, none, place(none, 20480, RATE))
    assert not mix.any()
