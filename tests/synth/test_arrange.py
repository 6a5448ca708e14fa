"""From score to samples: events, transients and noise floors by themselves, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import plain
import pytest
from scipy.stats import kstest
from support.sounds import RATE, Floats, bare, both

from audiopg import config, rng
from audiopg.synth.arrange import arrange
from audiopg.synth.parameters import draw
from audiopg.synth.score import Score
from audiopg.synth.sources.primitive import Grid

GRID = Grid(20_480, RATE)


def hum(**changes: Any) -> Score:
    """Score of one clip: two events of 0.2 s of a sine, at 0.1 s and 0.6 s, the second 12 dB weaker."""
    score = bare("pulse", [5000.0], {"shape": 1}, GRID)
    events = {
        "n_events": np.array([2]),
        "event_onset_s": np.array([[0.1, 0.6]]),
        "event_duration_s": np.array([[0.2, 0.2]]),
        "event_source_start_s": np.array([[0.0, 0.5]]),
        "event_level_db": np.array([[0.0, -12.0]]),
        "event_attack_s": np.array([[0.02, 0.02]]),
        "event_decay_s": np.array([[0.04, 0.04]]),
        "event_sustain_level": np.array([[0.5, 0.5]]),
        "event_release_s": np.array([[0.14, 0.14]]),
    }
    of_events = {name: value for name, value in changes.items() if name.startswith(("event", "level", "n_e", "source"))}
    others = {name: value for name, value in changes.items() if name not in of_events}
    return replace(score, voices=(replace(score.voices[0], **(events | of_events)),), **others)


def silent(**changes: Any) -> Score:
    return hum(n_events=np.array([0]), **changes)


def played(score: Score) -> Floats:
    """Play one clip; both renderers agree."""
    compiled, by_torch = both(arrange(score, GRID))
    np.testing.assert_allclose(compiled, by_torch, atol=1e-5)
    return compiled[0]


def unit_noise(key: int, n: int) -> Floats:
    hashed: Floats = rng.hashed_uniform(np.array([key], dtype=np.int32), np.arange(n, dtype=np.int32)) / 2**23 - 1
    return hashed


def test_events_begin_and_end_where_the_score_says() -> None:
    heard = np.flatnonzero(played(hum()))
    # an event's first sample has amplitude 0, and a sine whose phase is 0 at the beginning of the source too
    assert heard[0] == 1601
    assert heard[heard < 9000][-1] in (4798, 4799)
    assert heard[heard > 5000][0] in (9601, 9602)
    assert heard[-1] in (12_798, 12_799)
    assert not ((heard > 4799) & (heard < 9601)).any()


def test_events_have_their_envelope_level_and_part_of_the_source() -> None:
    found = played(hum())
    t = np.arange(3200) / RATE
    envelope = np.interp(t, [0, 0.02, 0.06], [0, 1, 0.5]) * np.minimum((0.2 - t) / 0.14, 1)
    tone = np.sin(2 * np.pi * 5000 * np.arange(20_480) / RATE)
    expected = np.zeros(20_480)
    expected[1600:4800] = envelope * tone[:3200]
    expected[9600:12_800] = 10 ** (-12 / 20) * envelope * tone[8000:11_200]
    np.testing.assert_allclose(found, expected / np.abs(expected).max(), atol=1e-5)


def test_levels_of_voice_and_event_add_up() -> None:
    """The noise floor is the measure."""
    floor = {"noise_floor_amplitude": np.array([0.5])}
    louder = played(hum(level_db=np.array([0.0]), **floor))
    softer = played(hum(level_db=np.array([-6.0]), event_level_db=np.array([[6.0, -6.0]]), **floor))
    np.testing.assert_allclose(softer, louder, atol=1e-6)


def test_overlapping_events_add_up() -> None:
    floor = {"noise_floor_amplitude": np.array([100.0])}  # so loud that the peak is hardly moved
    onset = np.array([[0.1, 0.15]])
    level = [np.array([[0, -np.inf]]), np.array([[-np.inf, -12]]), np.array([[0, -12.0]])]
    first, second, together, noise = (
        played(score)
        for score in (
            *(hum(event_onset_s=onset, event_level_db=level, **floor) for level in level),
            silent(**floor),
        )
    )

    # each clip has its own peak: compare what is left without the noise
    def bare_events(clip: Floats) -> Floats:
        scale = clip[:1000] @ noise[:1000] / (noise[:1000] @ noise[:1000])
        return clip / scale - noise

    np.testing.assert_allclose(bare_events(together), bare_events(first) + bare_events(second), atol=1e-5)


def test_events_beyond_their_number_are_not_played() -> None:
    assert np.flatnonzero(played(hum(n_events=np.array([1])))).max() < 4800


@pytest.mark.parametrize(
    "change", [{"n_voices": np.array([0])}, {"source": np.array([-1])}, {"n_events": np.array([0])}]
)
def test_voices_that_a_score_takes_away_are_silent(change: dict[str, Any]) -> None:
    assert not played(hum(**change)).any()


def test_a_transient_without_an_onset_is_none() -> None:
    burst = {"transient_duration_s": np.array([0.05]), "transient_gain": np.array([1.0])}
    score = silent(transient_colour=np.array([0.0]), **burst)
    assert not played(score).any()
    assert played(replace(score, transient_onset_s=np.array([0.5]))).any()


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_a_transient_is_noise_of_its_colour_at_its_place(colour: int) -> None:
    score = silent(
        transient_onset_s=np.array([0.9]),
        transient_duration_s=np.array([0.05]),
        transient_gain=np.array([1.5]),
        transient_colour=np.array([float(colour)]),
        transient_key=np.array([123], dtype=np.int32),
    )
    clip = played(score)
    burst = clip[14_400:15_200]
    if colour == 0:
        expected = unit_noise(123, 800)
        np.testing.assert_allclose(burst, expected / np.abs(expected).max(), atol=1e-6)
    else:
        assert np.corrcoef(burst[1:], burst[:-1])[0, 1] > (0.5, 0.95)[colour - 1]
    assert np.abs(burst).max() == 1
    clip[14_400:15_200] = 0
    assert not clip.any()


def test_a_transient_has_its_gain() -> None:
    """Against a second one of the same key, in a clip with a noise floor of known amplitude."""
    score = silent(
        transient_onset_s=np.array([0.9]),
        transient_duration_s=np.array([0.05]),
        transient_gain=np.array([1.5]),
        transient_colour=np.array([0.0]),
        transient_key=np.array([123], dtype=np.int32),
        noise_floor_amplitude=np.array([0.3]),
        noise_floor_key=np.array([7], dtype=np.int32),
    )
    expected = 0.3 * unit_noise(7, 20_480)
    expected[14_400:15_200] += 1.5 * unit_noise(123, 800)
    np.testing.assert_allclose(played(score), expected / np.abs(expected).max(), atol=1e-6)


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_the_noise_floor_has_the_ratio_to_the_sound_that_the_score_says(colour: int) -> None:
    """Its power is a third of its amplitude's square, whatever its colour; the sine's is half of one."""
    grid = Grid(163_840, RATE)
    score = bare("harmonic", [1000.0] * 8, ONE_PARTIAL, grid)
    score = replace(
        score,
        noise_floor_amplitude=np.full(8, 0.02),
        noise_floor_colour=np.full(8, float(colour)),
        noise_floor_key=np.arange(8, dtype=np.int32),
    )
    ratios = []
    for clip in both(arrange(score, grid))[0][:, 1600:-240]:
        sine = np.exp(2j * np.pi * 1000 * np.arange(len(clip)) / RATE)
        amplitude = 2 * np.abs(clip @ sine) / len(clip)
        noise_power = (clip**2).mean() - amplitude**2 / 2
        ratios.append(amplitude**2 / 2 / noise_power)
    expected_db = 10 * np.log10(0.5 / (0.02**2 / 3))
    assert 10 * np.log10(np.mean(ratios)) == pytest.approx(expected_db, abs=0.3)


ONE_PARTIAL = {
    "n_partials": 1,
    "decay_exponent": 1.0,
    "partial_gain": np.ones((1, 1)),
    "partial_detune": np.ones((1, 1)),
    "partial_phase": np.zeros((1, 1)),
}


def test_the_white_noise_floor_is_white_and_uniform() -> None:
    grid = Grid(100_000, RATE)
    score = replace(
        bare("pulse", [440.0] * 3, {"shape": 0}, grid),
        n_voices=np.zeros(3, dtype=np.int64),
        noise_floor_amplitude=np.full(3, 0.01),
        noise_floor_key=np.array([1, 2, 3], dtype=np.int32),
    )
    clips = both(arrange(score, grid))[0]
    for clip in clips:
        assert kstest(clip[::5], "uniform", args=(-1, 2)).pvalue > 0.001
    power = np.abs(np.fft.rfft(clips[0])[1:50_000]) ** 2 / 100_000
    # the periodogram of white noise is exponentially distributed around the variance, in every band
    assert kstest(power, "expon", args=(0, 1 / 3)).pvalue > 0.01
    np.testing.assert_allclose(power[:49_900].reshape(100, -1).mean(axis=1), 1 / 3, rtol=0.2)
    assert np.abs(np.corrcoef(clips)[~np.eye(3, dtype=bool)]).max() < 0.01


def test_the_noise_floor_is_not_damped_nor_cut_by_the_microphone() -> None:
    score = silent(
        noise_floor_amplitude=np.array([0.01]),
        cutoff_hz=np.array([200.0]),
        microphone_low_hz=np.array([300.0]),
        microphone_high_hz=np.array([3000.0]),
    )
    power = np.abs(np.fft.rfft(played(score))) ** 2
    assert power[5120:].sum() / power.sum() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("change", "pass_hz", "stop_hz"),
    [
        ({"cutoff_hz": np.array([1000.0])}, 200, 6000),
        ({"microphone_high_hz": np.array([3000.0])}, 500, 7000),
        ({"microphone_low_hz": np.array([300.0])}, 2000, 50),
    ],
    ids=["damping", "microphone's top", "microphone's bottom"],
)
def test_damping_and_microphone_filter_events_and_transients(
    change: dict[str, Any], pass_hz: int, stop_hz: int
) -> None:
    """A transient as long as the clip is the white noise to be filtered."""
    wide = silent(
        transient_onset_s=np.array([0.0]),
        transient_duration_s=np.array([1.28]),
        transient_gain=np.array([1.0]),
        transient_colour=np.array([0.0]),
    )
    before, after = (np.abs(np.fft.rfft(played(score))) ** 2 for score in (wide, replace(wide, **change)))
    ratio = [
        (after[hz * 128 // 100 - 60 :][:120].sum() / before[hz * 128 // 100 - 60 :][:120].sum())
        for hz in (pass_hz, stop_hz)
    ]
    assert ratio[0] / ratio[1] > 50


def test_filters_come_after_the_room_and_one_after_another() -> None:
    """All three together are the product of their responses."""
    wide = silent(
        transient_onset_s=np.array([0.0]),
        transient_duration_s=np.array([1 / RATE]),
        transient_gain=np.array([1.0]),
        transient_colour=np.array([0.0]),
    )
    changes = {
        "cutoff_hz": np.array([1000.0]),
        "microphone_low_hz": np.array([100.0]),
        "microphone_high_hz": np.array([3000.0]),
    }
    product, together = np.ones(10_241), played(replace(wide, **changes))
    for name, value in changes.items():
        product = product * np.abs(np.fft.rfft(played(replace(wide, **{name: value}))))
    ratio = np.abs(np.fft.rfft(together))[200:5000] / product[200:5000]
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)


@pytest.mark.parametrize("edges", [(0.0, 2000.0), (0.0, 4000.0), (4000.0, np.inf), (2000.0, np.inf)])
def test_a_microphone_may_have_one_edge_anywhere(edges: tuple[float, float]) -> None:
    score = replace(hum(), microphone_low_hz=np.array([edges[0]]), microphone_high_hz=np.array([edges[1]]))
    expected = plain.render(score, GRID.n_samples, RATE)[0]
    np.testing.assert_allclose(played(score), expected, atol=1e-5)


def test_a_microphone_that_nothing_passes_is_an_error() -> None:
    empty = silent(microphone_low_hz=np.array([3000.0]), microphone_high_hz=np.array([3000.0]))
    with pytest.raises(ValueError, match=r"clip \d+: nothing passes a microphone from 3000 to 3000 Hz"):
        played(empty)


def test_the_peak_is_1_and_silence_stays_silence() -> None:
    assert np.abs(played(hum())).max() == 1
    assert not played(silent()).any()


def test_drawn_times_are_whole_samples_inside_the_clip(preset: config.Synth) -> None:
    score = draw(preset, 42, range(300))
    events = arrange(score, GRID).events
    assert (events.onset >= 0).all()
    assert (events.onset + events.length <= 20_480).all()
    assert (events.start + events.length <= 20_480).all()
    assert (np.diff(events.clip) >= 0).all()
    times = [
        np.concatenate([getattr(voice, f"event_{name}").ravel() for voice in score.voices])
        for name in ("onset_s", "duration_s", "source_start_s")
    ]
    for time_s, samples in zip(times, (events.onset, events.length, events.start), strict=True):
        drawn = time_s[~np.isnan(time_s)]
        np.testing.assert_array_equal(np.rint(drawn * RATE) / RATE, drawn)
        np.testing.assert_array_equal(np.sort(drawn), np.sort(samples) / RATE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_onset_s": np.array([[0.1, 1.2]])}, "clip 3: event at samples 19200 to 22400 of 20480"),
        ({"event_onset_s": np.array([[0.1, 17_281 / RATE]])}, "clip 3: event at samples 17281 to 20481 of 20480"),
        ({"event_onset_s": np.array([[-0.1, 0.6]])}, "clip 3: event at samples -1600 to 1600 of 20480"),
        ({"event_duration_s": np.array([[0.1, -0.1]])}, "clip 3: event at samples 9600 to 8000 of 20480"),
        ({"event_source_start_s": np.array([[-0.1, 0.0]])}, "clip 3: source segment at samples -1600 to 1600 of 20480"),
        ({"event_source_start_s": np.array([[0.0, 1.2]])}, "clip 3: source segment at samples 19200 to 22400 of 20480"),
        (
            {"transient_onset_s": np.array([1.25]), "transient_duration_s": np.array([0.05])},
            "clip 3: transient at samples 20000 to 20800 of 20480",
        ),
    ],
)
def test_what_lies_outside_the_clip_is_an_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arrange(hum(index=np.array([3]), **change), GRID)


def test_an_event_may_fill_the_clip_to_its_last_sample() -> None:
    clip = played(hum(event_onset_s=np.array([[0.1, 1.08]]), event_source_start_s=np.array([[0.0, 1.08]])))
    assert np.flatnonzero(clip)[-1] >= 20_478


def test_stages_of_an_envelope_may_take_no_time() -> None:
    at_once = {f"event_{stage}_s": np.zeros((1, 2)) for stage in ("attack", "decay", "release")}
    clip = played(hum(event_sustain_level=np.ones((1, 2)), **at_once))
    tone = np.sin(2 * np.pi * 5000 * np.arange(1, 3200) / RATE)
    np.testing.assert_allclose(clip[1601:4800], tone / np.abs(tone).max(), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"level_db": np.array([-3.0]), "noise_floor_amplitude": np.array([0.1])},
        {"event_attack_s": np.array([[0.1, 0.1]])},
        {"event_decay_s": np.array([[0.01, 0.01]])},
        {"event_sustain_level": np.array([[0.9, 0.9]])},
        {"event_release_s": np.array([[0.05, 0.05]])},
        {"event_source_start_s": np.array([[0.0101, 0.5]])},
        {"cutoff_hz": np.array([500.0])},
        {"room_size_m": np.array([5.0]), "room_rt60_s": np.array([0.5])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_edit_of_a_score_is_heard(change: dict[str, Any]) -> None:
    dry = {"room_treble_damping": np.array([0.1]), "room_places": np.full((1, 6), 0.4) + np.arange(6) / 10}
    floor = {"noise_floor_amplitude": np.array([0.1])}
    before, after = (played(hum(**(floor | dry | edit))) for edit in ({}, change))
    assert np.abs(before - after).max() > 0.01
