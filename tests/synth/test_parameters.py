"""The score: drawn from the stated distributions, address by address."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest

from audiopg import config
from audiopg.errors import AudiopgError
from audiopg.synth.distributions import check, quantile
from audiopg.synth.parameters import Score, clip_name, draw

N = 4000


@pytest.fixture(scope="module")
def score(paper: config.Synth) -> Score:
    events = paper.events.model_copy(
        update={
            "level_db": config.Range(min=-18, max=0),
            "sustain_level": config.Range(min=0.2, max=0.9),
        }
    )
    return draw(paper.model_copy(update={"events": events}), 42, range(N))


def changed(synth: config.Synth, change: dict[str, Any]) -> config.Synth:
    """Copy the section with some sources changed, or left out (None)."""
    sources = {**synth.model_dump()["sources"], **change}
    kept = {name: source for name, source in sources.items() if source is not None}
    return config.Synth.model_validate({**synth.model_dump(), "sources": kept})


def assert_uniform(values: NDArray[np.float64], low: float, high: float) -> None:
    assert len(values) > 200
    assert values.min() >= low
    assert values.max() <= high
    assert kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-3


def assert_equally_likely(values: NDArray[Any], choices: list[float]) -> None:
    found, counts = np.unique(values, return_counts=True)
    assert found.tolist() == choices
    assert chisquare(counts).pvalue > 1e-3


def test_clip_wide_parameters_follow_their_ranges(score: Score) -> None:
    assert_uniform(score.f0_hz, 50, 2000)
    assert_uniform(score.noise_floor_amplitude, 0.001, 0.02)
    damped = np.isfinite(score.cutoff_hz)
    assert_uniform(score.cutoff_hz[damped], 200, 6000)
    assert damped.mean() == pytest.approx(0.7, abs=0.03)
    assert_equally_likely(score.source, [0, 1, 2])


def test_source_parameters_follow_their_ranges(score: Score) -> None:
    plays = [score.source == position for position in range(3)]
    of_harmonic, of_fm, of_pulse = (score.parameters[name] for name in ("harmonic", "fm", "pulse"))
    assert_equally_likely(of_harmonic["n_partials"][plays[0]], list(range(3, 16)))
    assert_uniform(of_harmonic["decay_exponent"][plays[0]], 0.5, 1.5)
    for name, low, high in (("partial_gain", 0.5, 1.2), ("partial_detune", 0.995, 1.005), ("partial_phase", 0, 1)):
        values = of_harmonic[name]
        assert_uniform(values[~np.isnan(values)], low, high)
    assert_equally_likely(of_fm["modulator_ratio"][plays[1]], [0.5, 1, 1.5, 2, 2.5, 3.14])
    assert_equally_likely(of_pulse["shape"][plays[2]], [0, 1])


def test_the_modulation_index_follows_its_range_where_it_fits_below_nyquist(paper: config.Synth) -> None:
    synth = changed(paper, {"harmonic": None, "pulse": None})
    low = draw(synth.model_copy(update={"f0_hz": config.Range(min=50, max=100)}), 42, range(N))
    assert_uniform(low.parameters["fm"]["modulation_index"], 0.5, 8)
    high = draw(synth.model_copy(update={"f0_hz": config.Range(min=1500, max=2000)}), 42, range(N))
    assert high.parameters["fm"]["modulation_index"].max() < 4


def test_events_follow_their_ranges(score: Score) -> None:
    assert_equally_likely(score.n_events, [1, 2, 3, 4, 5])
    exists = np.arange(5) < score.n_events[:, None]
    duration_s = score.event_duration_s
    longest_s = (10.24 / score.n_events)[:, None]
    assert_uniform(((duration_s - 0.5) / (longest_s - 0.5))[exists], 0, 1)
    assert_uniform((score.event_onset_s / (10.24 - duration_s))[exists], 0, 1)
    assert_uniform((score.event_source_start_s / (10.24 - duration_s))[exists], 0, 1)
    assert_uniform((score.event_attack_s / duration_s)[exists], 0.01, 0.3)
    assert_uniform((score.event_decay_s / duration_s)[exists], 0.1, 0.4)
    assert_uniform(score.event_level_db[exists], -18, 0)
    assert_uniform(score.event_sustain_level[exists], 0.2, 0.9)
    whole = (score.event_attack_s + score.event_decay_s + score.event_release_s)[exists]
    np.testing.assert_allclose(whole, duration_s[exists])


def test_transients_follow_their_ranges(score: Score) -> None:
    exists = ~np.isnan(score.transient_onset_s)
    duration_s = score.transient_duration_s[exists]
    assert exists.mean() == pytest.approx(0.6, abs=0.03)
    assert_uniform(duration_s, 0.01, 0.1)
    assert_uniform(score.transient_onset_s[exists] / (10.24 - duration_s), 0, 1)
    assert_uniform(score.transient_gain[exists], 0.5, 2)


def test_what_has_no_meaning_is_nan(score: Score) -> None:
    exists = np.arange(5) < score.n_events[:, None]
    for name in ("onset_s", "duration_s", "source_start_s", "level_db", "attack_s", "sustain_level", "release_s"):
        np.testing.assert_array_equal(np.isnan(getattr(score, f"event_{name}")), ~exists)
    for position, name in enumerate(score.sources):
        for values in score.parameters[name].values():
            assert np.isnan(values[score.source != position]).all()
            assert not np.isnan(values[score.source == position].reshape(-1, *values.shape[1:])[..., :1]).any()
    of_harmonic = score.parameters["harmonic"]
    counts = np.nan_to_num(of_harmonic["n_partials"])[:, None]
    np.testing.assert_array_equal(~np.isnan(of_harmonic["partial_phase"]), np.arange(15) < counts)


def assert_same(one: Score, other: Score, rows: NDArray[np.bool_]) -> None:
    """Compare what two scores with the same or fewer sources say of some rows."""
    for name in one.__dataclass_fields__:
        value = getattr(one, name)
        if isinstance(value, np.ndarray) and name != "source":
            np.testing.assert_array_equal(value[rows], getattr(other, name)[rows], err_msg=name)
    for source in one.parameters.keys() & other.parameters.keys():
        for name, value in one.parameters[source].items():
            np.testing.assert_array_equal(value[rows], other.parameters[source][name][rows], err_msg=name)


def test_a_source_that_goes_changes_only_its_own_clips(quick: config.Synth) -> None:
    before = draw(quick, 42, range(300))
    after = draw(changed(quick, {"fm": None}), 42, range(300))
    names_before = np.array(before.sources)[before.source]
    names_after = np.array(after.sources)[after.source]
    stays = names_before != "fm"
    np.testing.assert_array_equal(names_before[stays], names_after[stays])
    assert_same(before, after, stays)


def test_other_ranges_of_one_source_leave_the_others_alone(quick: config.Synth) -> None:
    before = draw(quick, 42, range(300))
    harmonic = quick.model_dump()["sources"]["harmonic"]
    harmonic["parameters"]["n_partials"] = {"min": 20, "max": 30, "scale": "integer"}
    after = draw(changed(quick, {"harmonic": harmonic}), 42, range(300))
    others = {name: parameters for name, parameters in before.parameters.items() if name != "harmonic"}
    assert_same(replace(before, parameters=others), after, np.full(300, True))
    few, more = (score.parameters["harmonic"]["partial_phase"] for score in (before, after))
    existed = ~np.isnan(few)
    np.testing.assert_array_equal(few[existed], more[:, :15][existed])


def test_more_events_leave_the_first_ones_alone(quick: config.Synth) -> None:
    events = quick.events.model_copy(update={"count": config.Range(min=6, max=6, scale="integer")})
    few = draw(quick, 42, range(50)).event_attack_s / draw(quick, 42, range(50)).event_duration_s
    many = draw(quick.model_copy(update={"events": events}), 42, range(50))
    ratio = (many.event_attack_s / many.event_duration_s)[:, :4]
    np.testing.assert_allclose(few[~np.isnan(few)], ratio[~np.isnan(few)])


def test_weights_are_respected(quick: config.Synth) -> None:
    sources = quick.model_dump()["sources"]
    weights = {"harmonic": 1.0, "fm": 0.0, "pulse": 3.0}
    synth = changed(quick, {name: {**sources[name], "weight": weight} for name, weight in weights.items()})
    counts = np.bincount(draw(synth, 42, range(N)).source, minlength=3)
    assert counts[1] == 0
    assert counts[2] / N == pytest.approx(0.75, abs=0.02)


def test_a_row_depends_on_its_index_alone(quick: config.Synth) -> None:
    together = draw(quick, 42, range(20))
    alone = draw(quick, 42, [13])
    assert_same(together.rows(np.array([13])), alone, np.array([True]))
    with pytest.raises(AssertionError):
        assert_same(alone, draw(quick, 43, [13]), np.array([True]))


def test_log_ranges_are_uniform_in_the_logarithm() -> None:
    uniform = (np.arange(1000) + 0.5) / 1000
    values = quantile(config.Range(min=10, max=1000, scale="log"), uniform)
    assert_uniform(np.log10(values), 1, 3)


def test_a_clip_has_a_name() -> None:
    assert clip_name(42, 123) == "audiopg-1/42/000123"


RATIO = {"choices": [1.0]}
INDEX = {"min": 0.5, "max": 8.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fmm": {"weight": 1.0, "parameters": {}}}, r"synth\.sources\.fmm: unknown source; did you mean 'fm'\?"),
        (
            {"fm": {"weight": 1.0, "parameters": {"modulation_idx": INDEX, "modulator_ratio": RATIO}}},
            r"synth\.sources\.fm\.parameters\.modulation_idx: unknown parameter; did you mean 'modulation_index'\?",
        ),
        (
            {"fm": {"weight": 1.0, "parameters": {"modulation_index": INDEX}}},
            r"synth\.sources\.fm\.parameters\.modulator_ratio: missing",
        ),
        (
            {"pulse": {"weight": 1.0, "parameters": {"shape": {"choices": [0.0, 3.0]}}}},
            r"synth\.sources\.pulse\.parameters\.shape: 3 is not allowed; allowed: 0 to 2 ",
        ),
        (
            {"pulse": {"weight": 1.0, "parameters": {"shape": {"min": 0.0, "max": 2.0}}}},
            r"synth\.sources\.pulse\.parameters\.shape: whole numbers are needed",
        ),
    ],
)
def test_mistakes_in_the_sources_are_explained(quick: config.Synth, change: dict[str, Any], message: str) -> None:
    with pytest.raises(AudiopgError, match=message):
        check(changed(quick, change))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("events", "count", {"min": 1, "max": 4}, "count must be a range of whole numbers"),
        ("events", "attack_fraction", {"min": 0.1, "max": 0.7}, "maxima together below 1"),
        ("events", "sustain_level", {"min": 0.1, "max": 1.7}, "between 0 and 1"),
        ("events", "count", {"min": 1, "max": 3.5, "scale": "integer"}, "whole bounds"),
        ("damping", "cutoff_hz", {"min": 100, "max": 8000}, "Nyquist"),
        ("transient", "duration_s", {"min": 0.1, "max": 2}, "clip_s"),
    ],
)
def test_what_cannot_be_played_is_refused(
    quick: config.Synth, section: str, key: str, value: dict[str, Any], message: str
) -> None:
    data = quick.model_dump()
    data[section][key] = value
    with pytest.raises(ValueError, match=message):
        config.Synth.model_validate(data)
