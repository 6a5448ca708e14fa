"""The score: drawn from the stated distributions, address by address."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, chisquare, kstest, rankdata
from support.sounds import short

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.synth.distributions import check, largest, quantile
from audiopg.synth.parameters import STRUCK_ATTACK_S, STRUCK_RELEASE_S, draw
from audiopg.synth.score import Score, Voice, clip_name
from audiopg.synth.sources import PRIMITIVES
from tests.support.scores import assert_same

N = 10_000
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def levelled(paper: config.Synth, world: config.Synth) -> dict[str, config.Synth]:
    """Both presets at full length, with levels of the events."""
    level_db = config.Range(min=-18, max=0)
    return {
        name: synth.model_copy(update={"events": synth.events.model_copy(update={"level_db": level_db})})
        for name, synth in (("paper", paper), ("world", world))
    }


@pytest.fixture(scope="module", params=["paper", "world"])
def drawn(request: pytest.FixtureRequest, levelled: dict[str, config.Synth]) -> tuple[config.Synth, Score]:
    """A preset and the score of its first ten thousand clips."""
    synth = levelled[request.param]
    return synth, draw(synth, 42, range(N))


def changed(synth: config.Synth, change: dict[str, Any]) -> config.Synth:
    """Copy the section with some sources changed, or left out (None)."""
    sources = {**synth.model_dump()["sources"], **change}
    kept = {name: source for name, source in sources.items() if source is not None}
    return config.Synth.model_validate({**synth.model_dump(), "sources": kept})


def likelihood(values: NDArray[Any], distribution: config.Distribution) -> float:
    """Probability that draws of a distribution fit it no better than these; 0 if one of them is impossible."""
    if isinstance(distribution, config.Choice):
        choices = np.unique(distribution.choices)
        weights = np.array([distribution.choices.count(choice) for choice in choices])
    elif distribution.scale == "integer":
        choices = np.arange(distribution.min, distribution.max + 1)
        weights = np.ones(len(choices))
    else:
        low, high = distribution.min, distribution.max
        if low == high:
            return float((values == low).all())
        if values.min() < low or values.max() > high:
            return 0.0
        if distribution.scale == "log":
            values, low, high = np.log(values), np.log(low), np.log(high)
        return float(kstest(values, "uniform", args=(low, high - low)).pvalue)
    if not np.isin(values, choices).all():
        return 0.0
    if len(choices) == 1:
        return 1.0
    counts = (values[:, None] == choices).sum(axis=0)
    return float(chisquare(counts, len(values) * weights / weights.sum()).pvalue)


def assert_likely(likelihoods: dict[str, float]) -> None:
    """The least likely of all still happens once in a hundred times, however many there are."""
    worst = min(likelihoods, key=lambda name: likelihoods[name])
    assert likelihoods[worst] > 0.01 / len(likelihoods), f"{worst}: {likelihoods[worst]:.2g}"


UNIT = config.Range(min=0, max=1)


def of_voices(score: Score) -> Iterator[tuple[Voice, NDArray[np.bool_]]]:
    for number, voice in enumerate(score.voices):
        yield voice, score.n_voices > number


def test_every_parameter_of_every_source_follows_its_distribution(drawn: tuple[config.Synth, Score]) -> None:
    synth, score = drawn
    likelihoods = {}
    for position, (name, source) in enumerate(synth.sources.items()):
        columns = [("f0_hz", source.f0_hz or synth.f0_hz), *source.parameters.items()]
        for parameter, distribution in columns:
            found = [
                (voice.f0_hz if parameter == "f0_hz" else voice.parameters[name][parameter])[voice.source == position]
                for voice in score.voices
            ]
            values = np.concatenate([column.ravel() for column in found])
            values = values[~np.isnan(values)]
            assert len(values) > 500, f"{name}.{parameter}"
            likelihoods[f"{name}.{parameter}"] = likelihood(values, distribution)
    assert len(likelihoods) == sum(1 + len(source.parameters) for source in synth.sources.values())
    assert_likely(likelihoods)


def test_sources_follow_their_weights(drawn: tuple[config.Synth, Score]) -> None:
    synth, score = drawn
    weights = np.array([source.weight for source in synth.sources.values()])
    likelihoods = {}
    for number, (voice, sounds) in enumerate(of_voices(score)):
        counts = np.bincount(voice.source[sounds], minlength=len(weights))
        likelihoods[f"voice {number}"] = float(chisquare(counts, sounds.sum() * weights / weights.sum()).pvalue)
        assert (voice.source[~sounds] == -1).all()
    assert_likely(likelihoods)


def test_voices_and_events_follow_their_distributions(drawn: tuple[config.Synth, Score]) -> None:
    synth, score = drawn
    likelihoods = {"voices.count": likelihood(score.n_voices, synth.voices.count)}
    struck = np.array([PRIMITIVES[primitive].struck for primitive in score.primitives])
    for number, (voice, sounds) in enumerate(of_voices(score)):
        exists = np.arange(voice.event_onset_s.shape[1]) < voice.n_events[:, None]
        count, duration_s = np.where(sounds, voice.n_events, 1)[:, None], voice.event_duration_s
        shortest_s, longest_s = synth.events.duration_s_min, synth.clip_s / count
        swells = exists & ~struck[voice.source][:, None]
        # on the sample grid there is one more place than samples are free
        free_s = synth.clip_s - duration_s + 1 / synth.sample_rate_hz
        half_s = 0.5 / synth.sample_rate_hz
        events = {
            "level_db": (voice.level_db[sounds], synth.voices.level_db),
            "count": (voice.n_events[sounds], synth.events.count),
            "duration": (((duration_s - shortest_s) / (longest_s - shortest_s))[exists].clip(0, 1), UNIT),
            "onset": (((voice.event_onset_s + half_s) / free_s)[exists], UNIT),
            "source_start": (((voice.event_source_start_s + half_s) / free_s)[swells], UNIT),
            "event_level_db": (voice.event_level_db[exists], synth.events.level_db),
            "attack": ((voice.event_attack_s / duration_s)[swells], synth.events.attack_fraction),
            "decay": ((voice.event_decay_s / duration_s)[swells], synth.events.decay_fraction),
            "sustain": (voice.event_sustain_level[swells], synth.events.sustain_level),
        }
        likelihoods |= {f"voice {number} {name}": likelihood(*event) for name, event in events.items()}
        whole_s = voice.event_attack_s + voice.event_decay_s + voice.event_release_s
        np.testing.assert_allclose(whole_s[swells], duration_s[swells])
    assert_likely(likelihoods)


def test_struck_sounds_begin_with_the_blow(drawn: tuple[config.Synth, Score]) -> None:
    _, score = drawn
    struck = np.array([*(PRIMITIVES[primitive].struck for primitive in score.primitives), False])
    for voice, _ in of_voices(score):
        exists = np.arange(voice.event_onset_s.shape[1]) < voice.n_events[:, None]
        blow = exists & struck[voice.source][:, None]
        assert (voice.event_source_start_s[blow] == 0).all()
        assert (voice.event_attack_s[blow] == STRUCK_ATTACK_S).all()
        assert (voice.event_sustain_level[blow] == 1).all()
        assert (voice.event_release_s[blow] == STRUCK_RELEASE_S).all()


def test_clip_wide_parameters_follow_their_distributions(drawn: tuple[config.Synth, Score]) -> None:
    synth, score = drawn
    n_free = synth.n_samples - np.rint(score.transient_duration_s * synth.sample_rate_hz) + 1
    has = {
        "transient": ~np.isnan(score.transient_onset_s),
        "room": ~np.isnan(score.room_size_m),
        "damping": np.isfinite(score.cutoff_hz),
        "microphone": np.isfinite(score.microphone_high_hz),
    }
    columns: dict[str, tuple[Floats, config.Distribution]] = {
        "transient.duration_s": (score.transient_duration_s, synth.transient.duration_s),
        "transient.onset": ((score.transient_onset_s * synth.sample_rate_hz + 0.5) / n_free, UNIT),
        "transient.gain": (score.transient_gain, synth.transient.gain),
        "transient.colour": (score.transient_colour, synth.transient.colour),
        "room.size_m": (score.room_size_m, synth.room.size_m),
        "room.rt60_s": (score.room_rt60_s, synth.room.rt60_s),
        "room.treble_damping": (score.room_treble_damping, synth.room.treble_damping),
        **{f"room.places {axis}": (score.room_places[:, axis], config.Range(min=0.1, max=0.9)) for axis in range(6)},
        "damping.cutoff_hz": (score.cutoff_hz, synth.damping.cutoff_hz),
        "microphone.low_hz": (score.microphone_low_hz, synth.microphone.low_hz),
        "microphone.high_hz": (score.microphone_high_hz, synth.microphone.high_hz),
        "noise_floor.amplitude": (score.noise_floor_amplitude, synth.noise_floor.amplitude),
        "noise_floor.colour": (score.noise_floor_colour, synth.noise_floor.colour),
    }
    likelihoods = {}
    for name, (values, distribution) in columns.items():
        exists = has.get(name.partition(".")[0], np.full(N, True))
        if exists.any():
            likelihoods[name] = likelihood(values[exists], distribution)
    for name, exists in has.items():
        probability = getattr(synth, name).probability
        likelihoods[f"{name}.probability"] = float(binomtest(int(exists.sum()), N, probability).pvalue)
    assert_likely(likelihoods)
    together = [exists for exists in has.values() if 0 < exists.mean() < 1]
    correlations = np.atleast_2d(np.corrcoef(together))[~np.eye(len(together), dtype=bool)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(N)


def test_every_place_of_a_clip_is_as_likely_for_events_and_transients(paper: config.Synth) -> None:
    """Also the last one: a clip of 8 samples, with events and transients of 2."""
    data = short(paper, 8 / 16_000).model_dump()
    data["events"] |= {"count": {"min": 4.0, "max": 4.0, "scale": "integer"}, "duration_s_min": 2 / 16_000}
    data["transient"] |= {"probability": 1.0, "duration_s": {"min": 2 / 16_000, "max": 2 / 16_000}}
    score = draw(config.Synth.model_validate(data), 42, range(3000))
    voice = score.voices[0]
    for column in (voice.event_onset_s, voice.event_source_start_s, score.transient_onset_s):
        places = np.rint(column.ravel() * 16_000).astype(int)
        counts = np.bincount(places)
        assert len(counts) == 7
        assert chisquare(counts).pvalue > 0.001


def test_an_event_lasts_a_sample_at_least(paper: config.Synth) -> None:
    count = {"min": 5000.0, "max": 5000.0, "scale": "integer"}
    synth = short(paper, events__count=count, events__duration_s_min=1e-9)
    assert draw(synth, 42, range(3)).voices[0].event_duration_s.min() == 1 / 16_000


def test_what_is_drawn_apart_is_unrelated(world: config.Synth) -> None:
    """No two parameters of a clip share a random number: their ranks are uncorrelated, between neighbours too."""
    data = world.model_dump()
    for section in ("transient", "room", "damping", "microphone"):
        data[section]["probability"] = 1.0
    data["voices"]["count"]["min"] = 3.0
    data["events"]["level_db"]["min"] = -18.0
    data["sources"] = {name: data["sources"][name] for name in ("wander", "rain")}
    score = draw(config.Synth.model_validate(data), 42, range(4000))
    columns = {
        field.name: getattr(score, field.name)
        for field in fields(score)
        if isinstance(getattr(score, field.name), np.ndarray)
        and field.name not in ("index", "identity", "n_voices", "room_places")
    }
    columns |= {f"place {axis}": score.room_places[:, axis] for axis in range(6)}
    for number, voice in enumerate(score.voices):
        # in a unit interval each, as durations depend on the numbers of events
        duration_s = voice.event_duration_s[:, 0]
        columns |= {
            f"{number} source": voice.source,
            f"{number} f0": np.where(voice.source == 0, voice.f0_hz, voice.f0_hz / 1e6),
            f"{number} level": voice.level_db,
            f"{number} key": voice.key,
            f"{number} n_events": voice.n_events,
            f"{number} onset": voice.event_onset_s[:, 0] / (10.24 - duration_s),
            f"{number} start": voice.event_source_start_s[:, 0] / (10.24 - duration_s),
            f"{number} event level": voice.event_level_db[:, 0],
            f"{number} attack": voice.event_attack_s[:, 0] / duration_s,
            f"{number} decay": voice.event_decay_s[:, 0] / duration_s,
            f"{number} sustain": voice.event_sustain_level[:, 0],
        }
    constant = [name for name, column in columns.items() if len(np.unique(column)) == 1]
    assert not constant
    related = {frozenset((f"{number} source", f"{number} f0")) for number in range(3)}
    names, ranks = list(columns), np.stack([rankdata(column) for column in columns.values()])
    bound = 4.5 / np.sqrt(4000)
    for other in (ranks, np.roll(ranks, 1, axis=1)):
        correlations = np.corrcoef(ranks, other)[: len(names), len(names) :]
        for first, one in enumerate(names):
            for second, two in enumerate(names):
                same = first == second and other is ranks
                if not same and frozenset((one, two)) not in related:
                    assert abs(correlations[first, second]) < bound, (one, two)


def test_parameters_of_a_source_are_unrelated(drawn: tuple[config.Synth, Score]) -> None:
    """Those of its partials, modes and motions too, with one another and from one partial to the next."""
    _, score = drawn
    for position, name in enumerate(score.sources):
        voice = score.voices[0]
        plays = voice.source == position
        drawn_values = [voice.f0_hz[plays], *(column[plays] for column in voice.parameters[name].values())]
        columns = np.concatenate([column.reshape(plays.sum(), -1) for column in drawn_values], axis=1).T
        # the partials that every clip has, and what is not always the same
        used = [column for column in columns if not np.isnan(column).any() and len(np.unique(column)) > 1]
        correlations = np.corrcoef(np.stack([rankdata(column) for column in used]))
        assert np.abs(correlations[~np.eye(len(used), dtype=bool)]).max() < 5.5 / np.sqrt(plays.sum()), name


def test_voices_of_a_clip_draw_from_streams_of_their_own(world: config.Synth) -> None:
    data = world.model_dump()
    data["voices"]["count"] = {"min": 2.0, "max": 2.0, "scale": "integer"}
    data["sources"] = {"wander": data["sources"]["wander"]}
    first, second = draw(config.Synth.model_validate(data), 42, range(500)).voices
    for name, column in first.parameters["wander"].items():
        if len(np.unique(column)) > 100:
            assert not np.intersect1d(column, second.parameters["wander"][name]).size
    assert not np.intersect1d(first.key, second.key).size


def test_what_has_no_meaning_is_nan(drawn: tuple[config.Synth, Score]) -> None:
    synth, score = drawn
    for voice, sounds in of_voices(score):
        exists = np.arange(int(synth.events.count.max)) < voice.n_events[:, None]
        assert (voice.n_events[~sounds] == 0).all()
        for field in fields(voice):
            if field.name.startswith("event_"):
                np.testing.assert_array_equal(np.isnan(getattr(voice, field.name)), ~exists, err_msg=field.name)
        for name in ("f0_hz", "level_db"):
            np.testing.assert_array_equal(np.isnan(getattr(voice, name)), ~sounds, err_msg=name)
        for position, (name, source) in enumerate(synth.sources.items()):
            plays = voice.source == position
            for parameter, spec in PRIMITIVES[source.primitive or name].parameters.items():
                values = voice.parameters[name][parameter]
                assert np.isnan(values[~plays]).all()
                if isinstance(spec.one_per, str):
                    counts = np.nan_to_num(voice.parameters[name][spec.one_per])[:, None]
                    assert values.shape[1] == largest(source.parameters[spec.one_per])
                    np.testing.assert_array_equal(~np.isnan(values), np.arange(values.shape[1]) < counts)
                else:
                    assert not np.isnan(values[plays]).any()
                    assert values.ndim == (2 if spec.one_per else 1)
    for group in ("transient", "room"):
        columns = [getattr(score, field.name) for field in fields(score) if field.name.startswith(group)]
        missing = [np.isnan(column).reshape(N, -1) for column in columns if column.dtype == np.float64]
        assert all((column == missing[0][:, :1]).all() for column in missing)
    assert ((score.microphone_low_hz == 0) == np.isinf(score.microphone_high_hz)).all()


@pytest.mark.parametrize("gone", ["fm", "harmonic"])
def test_a_source_that_goes_changes_only_the_voices_that_it_plays(preset: config.Synth, gone: str) -> None:
    before = draw(preset, 42, range(300))
    after = draw(changed(preset, {gone: None}), 42, range(300))
    assert_same(replace(before, voices=()), replace(after, voices=()), np.full(300, True))
    for one, other in zip(before.voices, after.voices, strict=True):
        names_before = np.array([*before.sources, ""])[one.source]
        names_after = np.array([*after.sources, ""])[other.source]
        stays = names_before != gone
        assert 0.5 < stays.mean() < 1
        np.testing.assert_array_equal(names_before[stays], names_after[stays])
        assert_same(one, other, stays, but=("source",))


def test_other_ranges_of_one_source_leave_the_others_alone(preset: config.Synth) -> None:
    before = draw(preset, 42, range(300))
    harmonic = preset.model_dump()["sources"]["harmonic"]
    n_columns = int(harmonic["parameters"]["n_partials"]["max"])
    harmonic["parameters"]["n_partials"] = {"min": 40, "max": 50, "scale": "integer"}
    after = draw(changed(preset, {"harmonic": harmonic}), 42, range(300))

    def without_harmonic(score: Score) -> Score:
        voices = (
            replace(voice, parameters={name: p for name, p in voice.parameters.items() if name != "harmonic"})
            for voice in score.voices
        )
        return replace(score, voices=tuple(voices))

    assert_same(without_harmonic(before), without_harmonic(after), np.full(300, True))
    for one, other in zip(before.voices, after.voices, strict=True):
        for name in ("partial_gain", "partial_phase"):
            few, more = one.parameters["harmonic"][name], other.parameters["harmonic"][name]
            existed = ~np.isnan(few)
            assert existed.any()
            np.testing.assert_array_equal(few[existed], more[:, :n_columns][existed])


def test_more_events_leave_the_first_ones_alone(preset: config.Synth) -> None:
    count = config.Range(min=8, max=8, scale="integer")
    events = preset.events.model_copy(update={"count": count})
    for few, many in zip(
        draw(preset, 42, range(100)).voices,
        draw(preset.model_copy(update={"events": events}), 42, range(100)).voices,
        strict=True,
    ):
        width = few.event_onset_s.shape[1]
        for name in ("event_level_db", "event_sustain_level"):
            one, other = getattr(few, name), getattr(many, name)[:, :width]
            np.testing.assert_array_equal(one[~np.isnan(one)], other[~np.isnan(one)])
        ratios = [(voice.event_attack_s / voice.event_duration_s)[:, :width] for voice in (few, many)]
        swells = few.event_sustain_level != 1
        exists = ~np.isnan(ratios[0]) & swells
        np.testing.assert_allclose(ratios[0][exists], ratios[1][exists])


def test_more_voices_leave_the_first_ones_alone(short_world: config.Synth) -> None:
    one = draw(short_world, 42, range(100))
    data = short_world.model_dump()
    data["voices"]["count"] = {"min": 3.0, "max": 5.0, "scale": "integer"}
    more = draw(config.Synth.model_validate(data), 42, range(100))
    for number, voice in enumerate(one.voices):
        assert_same(voice, more.voices[number], one.n_voices > number)


def test_switching_a_room_on_changes_nothing_else(short_paper: config.Synth) -> None:
    room = short_paper.room.model_copy(update={"probability": 1.0})
    before, after = (
        draw(synth, 42, range(50)) for synth in (short_paper, short_paper.model_copy(update={"room": room}))
    )
    but = ("room_size_m", "room_rt60_s", "room_treble_damping", "room_places")
    assert_same(before, after, np.full(50, True), but=but)
    assert np.isnan(before.room_size_m).all()
    assert not np.isnan(after.room_size_m).any()


def test_weights_are_respected(short_paper: config.Synth) -> None:
    sources = short_paper.model_dump()["sources"]
    weights = {"harmonic": 1.0, "fm": 0.0, "pulse": 3.0}
    synth = changed(short_paper, {name: {**sources[name], "weight": weight} for name, weight in weights.items()})
    counts = np.bincount(draw(synth, 42, range(4000)).voices[0].source, minlength=3)
    assert counts[1] == 0
    assert counts[2] / 4000 == pytest.approx(0.75, abs=0.02)


def test_a_row_depends_on_its_index_alone(preset: config.Synth) -> None:
    together = draw(preset, 42, range(20))
    alone = draw(preset, 42, [13])
    assert_same(together.rows(np.array([13])), alone, np.array([True]))
    assert_same(together.rows(slice(13, 14)), alone, np.array([True]))
    assert len(together) == 20
    for other in (draw(preset, 43, [13]), draw(preset, 42, [13 + (1 << 40)])):
        with pytest.raises(AssertionError):
            assert_same(alone, replace(other, index=alone.index), np.array([True]))


def test_quantiles_are_the_distributions_inverse() -> None:
    uniform = np.array([0, 0.25, 0.5, 1 - 2**-53])
    np.testing.assert_allclose(quantile(config.Range(min=-2, max=6), uniform), [-2, 0, 2, 6])
    np.testing.assert_allclose(quantile(config.Range(min=1, max=16, scale="log"), uniform), [1, 2, 4, 16])
    np.testing.assert_array_equal(quantile(config.Range(min=3, max=6, scale="integer"), uniform), [3, 4, 5, 6])
    np.testing.assert_array_equal(quantile(config.Choice(choices=[5.0, 1.0, 2.0]), uniform), [5, 5, 1, 2])
    assert quantile(config.Range(min=1, max=2), np.full((2, 3), 0.5)).shape == (2, 3)


def test_the_largest_value_is_that_of_the_range_or_the_choices() -> None:
    assert largest(config.Range(min=1, max=7)) == 7
    assert largest(config.Choice(choices=[2.0, 9.0, 4.0])) == 9


def test_a_clip_has_a_name() -> None:
    assert clip_name(42, 123) == "audiopg-2/42/000123"


RATIO = {"choices": [1.0]}
INDEX = {"min": 0.5, "max": 8.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fmm": {"weight": 1.0, "parameters": {}}},
            r"synth\.sources\.fmm: unknown primitive 'fmm'; did you mean 'fm'\?",
        ),
        (
            {"x": {"weight": 1.0, "primitive": "plucke", "parameters": {}}},
            r"synth\.sources\.x: unknown primitive 'plucke'; did you mean 'plucked'\?",
        ),
        (
            {"fm": {"weight": 1.0, "parameters": {"modulation_idx": INDEX, "modulator_ratio": RATIO}}},
            r"synth\.sources\.fm\.parameters\.modulation_idx: unknown parameter; did you mean 'modulation_index'\?",
        ),
        (
            {"fm": {"weight": 1.0, "parameters": {"modulation_index": INDEX}}},
            r"synth\.sources\.fm\.parameters\.modulator_ratio: missing",
        ),
        (
            {"fm": {"weight": 1.0, "parameters": {"modulation_index": INDEX, "modulator_ratio": {"min": 0, "max": 1}}}},
            r"synth\.sources\.fm\.parameters\.modulator_ratio: 0 is not allowed; allowed: 0\.01 to inf \(frequency",
        ),
        (
            {"pulse": {"weight": 1.0, "parameters": {"shape": {"choices": [0.0, 3.0]}}}},
            r"synth\.sources\.pulse\.parameters\.shape: 3 is not allowed; allowed: 0 to 2 ",
        ),
        (
            {"pulse": {"weight": 1.0, "parameters": {"shape": {"min": 0.0, "max": 2.0}}}},
            r"synth\.sources\.pulse\.parameters\.shape: whole numbers are needed",
        ),
        (
            {"pulse": {"weight": 1.0, "parameters": {"shape": {"choices": [0.5]}}}},
            r"synth\.sources\.pulse\.parameters\.shape: whole numbers are needed",
        ),
    ],
)
def test_mistakes_in_the_sources_are_explained(preset: config.Synth, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AudiopgError, match=message):
        check(changed(preset, change))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("events", "count", {"min": 1, "max": 4}, "count must be a range of whole numbers"),
        ("events", "count", {"min": 1, "max": 3.5, "scale": "integer"}, "whole bounds"),
        ("events", "count", {"min": 1, "max": 20, "scale": "integer"}, "must fit into clip_s"),
        ("events", "attack_fraction", {"min": 0.1, "max": 0.7}, "maxima together below 1"),
        ("events", "attack_fraction", {"min": 0, "max": 0.1}, "must be above 0"),
        ("events", "sustain_level", {"min": 0.1, "max": 1.7}, "between 0 and 1"),
        ("voices", "count", {"min": 0, "max": 3, "scale": "integer"}, "whole numbers from 1"),
        ("damping", "cutoff_hz", {"min": 100, "max": 8000}, "Nyquist"),
        ("microphone", "low_hz", {"min": 0, "max": 300}, "Nyquist"),
        ("microphone", "low_hz", {"min": 100, "max": 1600}, "at least an octave above low_hz"),
        ("transient", "duration_s", {"min": 0.1, "max": 2}, "clip_s"),
        ("transient", "colour", {"choices": [3]}, r"colours are 0 \(white\), 1 \(pink\) and 2 \(brown\)"),
        ("noise_floor", "colour", {"choices": [0.5]}, "colours are"),
        ("room", "size_m", {"min": 1, "max": 3}, "between 2 and 300"),
        ("room", "size_m", {"min": 3, "max": 1100}, "between 2 and 300"),
        ("damping", "cutoff_hz", {"min": 10, "max": 4000}, "at least 20 Hz"),
        ("events", "level_db", {"min": 0, "max": 800}, "between -120 and 120 dB"),
        ("voices", "level_db", {"min": -800, "max": 0}, "between -120 and 120 dB"),
        ("transient", "gain", {"min": -2, "max": 1}, r"an amplitude must lie between 0 and 1e\+06"),
        ("noise_floor", "amplitude", {"min": -0.1, "max": 0.1}, "an amplitude must lie between 0"),
        ("noise_floor", "amplitude", {"min": 0.1, "max": 1e39}, "an amplitude must lie between 0"),
        ("room", "rt60_s", {"min": 0.01, "max": 3}, "at least 0.05"),
        ("room", "treble_damping", {"min": 0, "max": 0.6}, "between 0 and 0.5"),
    ],
)
def test_what_cannot_be_played_is_refused(
    short_world: config.Synth, section: str, key: str, value: dict[str, Any], message: str
) -> None:
    data = short_world.model_dump()
    data[section][key] = value
    with pytest.raises(ValueError, match=message):
        config.Synth.model_validate(data)


def test_a_microphone_below_20_hz_is_refused(short_world: config.Synth) -> None:
    data = short_world.model_dump()
    data["microphone"] |= {"low_hz": {"min": 1, "max": 5}, "high_hz": {"min": 12, "max": 4000}}
    with pytest.raises(ValueError, match=r"microphone\.high_hz must be at least 20 Hz"):
        config.Synth.model_validate(data)


@pytest.mark.parametrize("f0_hz", [{"min": 0, "max": 100}, {"min": 50, "max": 8000}])
def test_a_source_above_nyquist_is_refused(short_world: config.Synth, f0_hz: dict[str, float]) -> None:
    data = short_world.model_dump()
    data["sources"]["rain"]["f0_hz"] = f0_hz
    with pytest.raises(ValueError, match=r"sources\.rain\.f0_hz must lie between 0 and the Nyquist frequency 8000 Hz"):
        config.Synth.model_validate(data)


@pytest.mark.parametrize("name", ["fundamental", "events", "samples", "fundamental/shift", "a/harmonic", "_x", ""])
def test_a_source_that_would_repeat_other_draws_of_its_voice_is_refused(short_paper: config.Synth, name: str) -> None:
    data = short_paper.model_dump()
    data["sources"][name] = data["sources"]["harmonic"] | {"primitive": "harmonic"}
    with pytest.raises(ValueError, match=f"'{name}' cannot name a source"):
        config.Synth.model_validate(data)


def test_a_clip_has_a_sample(short_paper: config.Synth) -> None:
    data = short_paper.model_dump() | {"clip_s": 1e-5}
    data["events"]["duration_s_min"], data["transient"]["duration_s"] = 1e-6, {"min": 1e-6, "max": 1e-6}
    with pytest.raises(ValueError, match="clip_s = 1e-05 is shorter than one sample"):
        config.Synth.model_validate(data)


def test_something_has_to_sound(short_paper: config.Synth) -> None:
    data = short_paper.model_dump()
    for source in data["sources"].values():
        source["weight"] = 0.0
    with pytest.raises(ValueError, match="at least one weight must be above 0"):
        config.Synth.model_validate(data)
