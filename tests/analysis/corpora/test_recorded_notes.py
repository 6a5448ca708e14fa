"""Recorded notes: pitch, level, instruments on both sides."""

import numpy as np
import pytest
from support.probe_corpora import CPU, RATE_HZ, heard

from audiopg.analysis.corpora.recorded_notes import GAP, N_PROGRAMS, PITCHES, Pairs
from audiopg.analysis.corpora.synthetic import build
from audiopg.arrays import Float64
from audiopg.audio import soundfont
from audiopg.config import Config
from audiopg.tasks import instruments


def test_recorded_notes_have_the_level_of_their_velocity(tiny: Config) -> None:
    corpus = build("notes", tiny, CPU)
    pairs = Pairs.drawn(tiny.latent, tiny.seed, tiny.synth.clip_s, RATE_HZ)
    halves = heard(corpus).reshape(len(corpus), 2, -1)
    ratio_db = 10 * np.log10((halves[:, 1] ** 2).sum(1) / (halves[:, 0] ** 2).sum(1))
    # to the nearest velocity exactly; a few instruments' recordings go on by themselves, and no stroke equals another
    assert np.quantile(abs(-abs(ratio_db) - corpus.factors["event_level_db"]), 0.9) < 0.01
    assert np.array_equal(ratio_db < 0, pairs.loud_is_first)


def pitch_hz(waveform: Float64) -> float:
    """The shortest period between 100 and 600 Hz at which a sound correlates with itself nearly as well as at any."""
    n = len(waveform)
    power = np.abs(np.fft.rfft(waveform, 2 * n)) ** 2
    correlation = (np.fft.irfft(power)[:n] / np.arange(n, 0, -1))[RATE_HZ // 600 : RATE_HZ // 100]
    near = np.flatnonzero(correlation > 0.9 * correlation.max())
    first = near[: 1 + int(np.append(np.diff(near) > 1, [True]).argmax())]
    return RATE_HZ / (RATE_HZ // 600 + float(first[correlation[first].argmax()]))


@pytest.mark.parametrize("program", [0, 24, 40, 56, 71, 73])
def test_recorded_notes_have_their_pitch(program: int, tiny: Config) -> None:
    pairs = Pairs.drawn(tiny.latent.model_copy(update={"n_clips": 400}), tiny.seed, 1.28, RATE_HZ)
    played = np.flatnonzero(pairs.program == program)
    for number in played:
        louder, softer = np.split(pairs.waveforms(number, number + 1)[0].astype(np.float64), 2)
        if not pairs.loud_is_first[number]:
            louder = softer
        found = 69 + 12 * np.log2(pitch_hz(louder) / 440)
        assert found == pytest.approx(pairs.pitch[number], abs=0.5)
    assert len(set(pairs.pitch[played])) > 2


def test_instruments_on_both_sides_have_all_families(tiny: Config) -> None:
    corpus = build("notes", tiny, CPU)
    for side in (corpus.held_out, ~corpus.held_out):
        assert set(corpus.classes["family"][side]) == set(range(len(soundfont.FAMILIES)))


@pytest.mark.slow
def test_every_note_that_can_be_drawn_sounds() -> None:
    synth = soundfont.open_synth()
    silent = []
    for program in range(N_PROGRAMS):
        for pitch in PITCHES:
            if np.abs(soundfont.play(synth, soundfont.Note(program, pitch, 127))).max() < instruments.SILENT_PEAK:
                silent.append((program, pitch))
    assert silent == [GAP]


def test_the_gap_is_never_played(tiny: Config) -> None:
    many = tiny.latent.model_copy(update={"n_clips": 40_000})
    pairs = Pairs.drawn(many, 0, 1.28, RATE_HZ)
    played = pairs.pitch[pairs.program == GAP[0]]
    assert GAP[1] not in played
    assert GAP[1] + 1 in played
