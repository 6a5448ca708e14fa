"""The probe corpora: what is known of a clip is what can be heard in it."""

import itertools

import numpy as np
import pytest
import torch
from support.probe_corpora import CPU, RATE_HZ, heard

from audiopg import rng
from audiopg.analysis.corpora import synthetic
from audiopg.analysis.corpora.score_edits import in_noise
from audiopg.analysis.corpora.synthetic import CORPORA, build
from audiopg.arrays import Float64
from audiopg.config import Config, Range
from audiopg.data.synthetic import PROBE_START
from audiopg.errors import AudiopgError


def with_factors(cfg: Config, n_clips: int = 100, **factors: Range) -> Config:
    """Other distributions of some factors, and noise that cannot be heard unless asked for."""
    silent = {"snr_db": Range(min=120, max=120)}
    changed = cfg.latent.factors.model_copy(update=silent | factors)
    return cfg.model_copy(update={"latent": cfg.latent.model_copy(update={"factors": changed, "n_clips": n_clips})})


def amplitude(waveform: Float64, frequency_hz: float) -> float:
    """Amplitude of a partial, by a windowed correlation."""
    time_s = np.arange(len(waveform)) / RATE_HZ
    window = np.hanning(len(waveform))
    return float(abs((waveform * window * np.exp(-2j * np.pi * frequency_hz * time_s)).sum()) / window.sum() * 2)


@pytest.mark.parametrize("name", CORPORA)
def test_a_clip_is_the_same_in_any_batch_and_repeats(name: str, tiny: Config) -> None:
    corpus, again = build(name, tiny, CPU), build(name, tiny, CPU)
    whole = corpus.waveforms(0, 20)
    assert whole.shape == (20, tiny.synth.n_samples)
    assert torch.equal(whole, torch.cat([again.waveforms(0, 7), again.waveforms(7, 20)]))
    torch.testing.assert_close(whole.abs().amax(dim=1), torch.ones(20))
    assert np.array_equal(corpus.held_out, again.held_out)
    for factor, values in corpus.factors.items():
        np.testing.assert_array_equal(values, again.factors[factor])


@pytest.mark.parametrize("name", CORPORA)
def test_all_that_is_known_has_one_entry_per_clip(name: str, tiny: Config) -> None:
    corpus = build(name, tiny, CPU)
    columns = [*corpus.factors.values(), *corpus.classes.values(), corpus.held_out, corpus.groups]
    assert {len(column) for column in columns} == {tiny.latent.n_clips}
    assert 0.4 < corpus.held_out.mean() < 0.6
    assert not set(corpus.groups[corpus.held_out]) & set(corpus.groups[~corpus.held_out])


@pytest.mark.parametrize("name", CORPORA)
def test_factors_are_independent_where_it_says_so(name: str, tiny: Config) -> None:
    corpus = build(name, tiny.model_copy(update={"latent": tiny.latent.model_copy(update={"n_clips": 4000})}), CPU)
    assert corpus.independent is (name != "natural")
    if corpus.independent:
        classes = [member for labels in corpus.classes.values() for member in np.eye(labels.max() + 1)[labels].T]
        assert len(corpus.factors) >= 2
        for first, second in itertools.combinations(corpus.factors.values(), 2):
            assert abs(np.corrcoef(first, second)[0, 1]) < 4 / 4000**0.5
        for factor, member in itertools.product(corpus.factors.values(), classes):
            assert abs(np.corrcoef(factor, member)[0, 1]) < 4 / 4000**0.5


def test_no_clip_is_shared_with_pretraining_or_another_corpus(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[range] = []
    indices = synthetic._indices

    def watched(cfg: Config, name: str) -> range:
        seen.append(indices(cfg, name))
        return seen[-1]

    monkeypatch.setattr(synthetic, "_indices", watched)
    for name in CORPORA:
        build(name, tiny, CPU)
    assert len(seen) == len(CORPORA) - 1  # recorded notes have no index
    seen.sort(key=lambda used: used.start)
    assert seen[0].start >= PROBE_START > tiny.pretrain.n_steps * tiny.pretrain.batch_size
    assert all(first.stop <= second.start for first, second in itertools.pairwise(seen))


def test_two_events_differ_by_their_level_alone(tiny: Config) -> None:
    corpus = synthetic.events(with_factors(tiny), CPU)
    first, second = np.split(heard(corpus), 2, axis=1)
    ratio_db = 10 * np.log10((second**2).sum(1) / (first**2).sum(1))
    np.testing.assert_allclose(-abs(ratio_db), corpus.factors["event_level_db"], atol=0.01)
    assert 30 < (ratio_db < 0).sum() < 70


def test_a_series_has_its_onsets(tiny: Config) -> None:
    corpus = synthetic.rhythm(with_factors(tiny, f0_hz=Range(min=500, max=2000)), CPU)
    n_events, density = corpus.factors["n_events"], corpus.factors["onset_density_octaves"]
    for waveform, n, octaves in zip(heard(corpus), n_events, density, strict=True):
        sounds = np.abs(waveform).reshape(-1, 40).max(axis=1) > 1e-4  # 2.5 ms each, longer than a period
        onsets = np.flatnonzero(np.diff(sounds.astype(int), prepend=0) == 1) * 0.0025
        assert len(onsets) == n
        np.testing.assert_allclose(np.diff(onsets), 2**-octaves, atol=0.003)


def test_the_fall_of_the_partials_and_the_fundamental(tiny: Config) -> None:
    corpus = synthetic.tone(with_factors(tiny, f0_hz=Range(min=200, max=1000)), CPU)
    for waveform, octaves, gamma in zip(heard(corpus), *list(corpus.factors.values())[:2], strict=True):
        partials = np.array([amplitude(waveform, k * 2**octaves) for k in (1, 2, 4)])
        np.testing.assert_allclose(partials / partials[0], np.array([1, 2, 4]) ** -gamma, rtol=0.02)


def test_an_attack_lasts_as_long_as_it_says(tiny: Config) -> None:
    corpus = synthetic.tone(with_factors(tiny, f0_hz=Range(min=1000, max=2000)), CPU)
    for waveform, octaves in zip(heard(corpus), corpus.factors["attack_octaves"], strict=True):
        envelope = np.abs(waveform).reshape(-1, 16).max(axis=1)  # 1 ms each, a period at least
        begin, half = (np.flatnonzero(envelope > level * envelope.max())[0] for level in (1e-3, 0.5))
        assert (half - begin) / 1000 == pytest.approx(2**octaves / 2, abs=0.003, rel=0.1)


def test_an_fm_spectrum_has_the_bessel_lines_of_its_index(tiny: Config) -> None:
    from scipy.special import jv  # noqa: PLC0415

    corpus = synthetic.fm(with_factors(tiny, f0_hz=Range(min=200, max=400)), CPU)
    for waveform, octaves, index in zip(heard(corpus), *list(corpus.factors.values())[:2], strict=True):
        # lines at f (1 + k); those below zero fold over to the same places with the opposite sign
        lines = np.array([jv(k - 1, index) - jv(-k - 1, index) for k in (1, 2, 3)])
        found = np.array([amplitude(waveform, k * 2**octaves) for k in (1, 2, 3)])
        np.testing.assert_allclose(found / np.linalg.norm(found), abs(lines) / np.linalg.norm(lines), atol=0.02)


def test_the_low_pass_halves_the_power_at_its_cut_off(tiny: Config) -> None:
    """Between two clips that differ in nothing but the cut-off, lines at one of the cut-offs differ by 3 dB."""
    narrow = Range(min=200, max=200.001)
    at, open_ = (
        heard(synthetic.low_pass(with_factors(tiny, 50, f0_hz=narrow, cutoff_hz=Range(min=hz, max=hz + 1e-3)), CPU))
        for hz in (1000, 7900)
    )
    ratios = [
        amplitude(a, 1000) / amplitude(a, 200) / amplitude(b, 1000) * amplitude(b, 200)
        for a, b in zip(at, open_, strict=True)
    ]
    np.testing.assert_allclose(20 * np.log10(ratios), -3.01, atol=0.1)


def test_noise_has_the_ratio_that_it_says() -> None:
    keys = rng.noise_keys(0, "test", range(20))
    snr_db = np.linspace(0, 50, 20)
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE_HZ) / RATE_HZ).repeat(20, 1)
    spectrum = np.abs(np.fft.rfft(in_noise(tone, keys, snr_db).double().numpy())) ** 2
    line = spectrum[:, 1000]
    found_db = 10 * np.log10(line / (spectrum.sum(axis=1) - line))
    np.testing.assert_allclose(found_db, snr_db, atol=0.4)


def test_the_noise_is_the_drawn_one(tiny: Config) -> None:
    corpus = build("events", tiny, CPU)
    waveforms = heard(corpus)
    # the last 5 % of each half are silent but for the noise
    pause = waveforms.reshape(len(waveforms), 2, -1)[:, :, -(waveforms.shape[1] // 50) :]
    found_db = 10 * np.log10((waveforms**2).mean(1) / (pause**2).mean((1, 2)))
    np.testing.assert_allclose(found_db, corpus.factors["snr_db"], atol=0.5)


def test_natural_clips_have_factors_where_they_mean_something(tiny: Config) -> None:
    corpus = build("natural", tiny, CPU)
    known = {name: ~np.isnan(values) for name, values in corpus.factors.items()}
    assert known["f0_octaves"].all()
    assert not (known["decay_exponent"] & known["modulation_index"]).any()
    assert np.array_equal(known["event_level_db"], corpus.factors["n_events"] > 1)
    assert 0.5 < known["cutoff_octaves"].mean() < 0.9


def test_each_source_plays_in_primitives(tiny: Config) -> None:
    corpus = build("primitives", tiny, CPU)
    counts = np.bincount(corpus.classes["primitive"])
    assert len(counts) == len(tiny.synth.sources)
    assert counts.min() > 20


def test_mistakes_are_explained(tiny: Config) -> None:
    with pytest.raises(AudiopgError, match="unknown corpus 'tones'; did you mean 'tone'"):
        build("tones", tiny, CPU)
    with pytest.raises(AudiopgError, match="snr_db is the same in all clips of corpus tone"):
        build("tone", with_factors(tiny), CPU)
    only = {"sources": {"fm": tiny.synth.sources["fm"]}}
    with pytest.raises(AudiopgError, match="primitives needs two sources"):
        build("primitives", tiny.model_copy(update={"synth": tiny.synth.model_copy(update=only)}), CPU)


@pytest.mark.parametrize("name", ["events", "natural"])
def test_no_clip_of_a_corpus_has_a_twin(name: str, tiny: Config) -> None:
    """A read-out would know what is left out by its other half."""
    twins = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    expected, found = (synthetic.build(name, cfg, torch.device("cpu")).waveforms(0, 4) for cfg in (tiny, twins))
    assert torch.equal(found, expected)
