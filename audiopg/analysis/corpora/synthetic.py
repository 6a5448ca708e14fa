"""The probe corpora: clips whose physics is known, one corpus per question, and no training saw any of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiopg import config, rng
from audiopg.analysis.corpora import recorded_notes
from audiopg.analysis.corpora.score_edits import (
    ATTACK_FRACTION,
    EVENT_FRACTION,
    in_noise,
    one_event,
    series,
    two_events,
)
from audiopg.analysis.corpora.targets import FactorTable
from audiopg.arrays import Bool, Float64, Int64
from audiopg.data.synthetic import PROBE_START
from audiopg.errors import AudiopgError
from audiopg.philox import uniforms
from audiopg.registry import suggestion
from audiopg.synth.distributions import quantile
from audiopg.synth.score import Score
from audiopg.synth.world import World

# Indices that each corpus has to itself: no two share a clip.
CORPUS_SIZE = 1 << 32


@dataclass(frozen=True)
class Corpus(FactorTable):
    """Clips and what is known of each; N clips, in order."""

    waveforms: Callable[[int, int], Tensor]
    """From the first clip and the one behind the last to waveforms, shape (B, T), float32, peak 1."""
    independent: bool = True
    """Whether the factors, at least two with a meaning in each clip, are drawn independently of one another."""

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.held_out)


def build(name: str, cfg: config.Config, device: torch.device) -> Corpus:
    """Make the corpus of this name.

    Raises:
        AudiopgError: no such corpus, or one that the ``synth`` section has no sources for, a package is missing, or a
            factor does not vary.
    """
    if name not in CORPORA:
        msg = f"params.yaml: latent.corpora: unknown corpus '{name}'{suggestion(name, list(CORPORA))}"
        raise AudiopgError(msg)
    corpus = CORPORA[name](cfg, device)
    for factor, values in [*corpus.factors.items(), *corpus.classes.items()]:
        if not _varies(values, corpus.held_out):
            msg = f"latent: {factor} is the same in all clips of corpus {name}; widen its range in params.yaml"
            raise AudiopgError(msg)
    return corpus


def check(cfg: config.Config) -> None:
    """Draw what is in each corpus of the parameters; nothing is rendered.

    Raises:
        AudiopgError: as `build`.
    """
    for name in cfg.latent.corpora:
        build(name, cfg, torch.device("cpu"))


def _varies(values: NDArray[Any], held_out: Bool) -> bool:
    """Whether there is something to read both in the clips that train and in those that are scored."""
    return all(len(np.unique(half[~np.isnan(half)])) > 1 for half in (values[held_out], values[~held_out]))


def tone(cfg: config.Config, device: torch.device) -> Corpus:
    """One harmonic event: fundamental, fall of the partials, attack, noise."""
    factors = cfg.latent.factors
    score = _score(cfg, "tone", {"harmonic": _harmonic(factors.f0_hz, factors.decay_exponent)})
    score = one_event(score, _drawn(cfg, "attack_s", score), cfg.synth.clip_s)
    gamma = score.voices[0].parameters["harmonic"]["decay_exponent"]
    return _factorial(cfg, device, score, {"decay_exponent": gamma, **_attack(score)})


def fm(cfg: config.Config, device: torch.device) -> Corpus:
    """One frequency-modulated event: carrier, index, attack, noise; modulator and carrier are equal."""
    factors = cfg.latent.factors
    parameters: dict[str, config.Distribution] = {
        "modulation_index": factors.modulation_index,
        "modulator_ratio": config.Choice(choices=[1]),
    }
    score = _score(cfg, "fm", {"fm": config.Source(weight=1, f0_hz=factors.f0_hz, parameters=parameters)})
    score = one_event(score, _drawn(cfg, "attack_s", score), cfg.synth.clip_s)
    index = score.voices[0].parameters["fm"]["modulation_index"]
    return _factorial(cfg, device, score, {"modulation_index": index, **_attack(score)})


def low_pass(cfg: config.Config, device: torch.device) -> Corpus:
    """A sawtooth behind a second-order low-pass: fundamental, cut-off, noise."""
    saw = config.Source(
        weight=1, primitive="pulse", f0_hz=cfg.latent.factors.f0_hz, parameters={"shape": config.Choice(choices=[0])}
    )
    score = one_event(_score(cfg, "low_pass", {"saw": saw}, damped=True), _usual_attack(cfg), cfg.synth.clip_s)
    return _factorial(cfg, device, score, {"cutoff_octaves": np.log2(score.cutoff_hz)})


def events(cfg: config.Config, device: torch.device) -> Corpus:
    """Two harmonic events, one after the other, one of them weaker: fundamental, level, noise."""
    factors = cfg.latent.factors
    score = _score(cfg, "events", {"harmonic": _harmonic(factors.f0_hz, _always(1))})
    score = two_events(score, _drawn(cfg, "event_level_db", score), _uniform(cfg, "order", score), cfg.synth.clip_s)
    return _factorial(cfg, device, score, {"event_level_db": score.voices[0].event_level_db[:, 1]})


def rhythm(cfg: config.Config, device: torch.device) -> Corpus:
    """A series of short events at equal distances: how many, how dense, the fundamental, noise."""
    factors = cfg.latent.factors
    score = _score(cfg, "rhythm", {"harmonic": _harmonic(factors.f0_hz, _always(1))})
    density_hz = _drawn(cfg, "onset_density_hz", score)
    score = series(
        score,
        _drawn(cfg, "n_events", score).astype(np.int64),
        density_hz,
        factors.series_event_s,
        _uniform(cfg, "start", score),
        cfg.synth.clip_s,
    )
    n_events = score.voices[0].n_events.astype(np.float64)
    return _factorial(cfg, device, score, {"n_events": n_events, "onset_density_octaves": np.log2(density_hz)})


def primitives(cfg: config.Config, device: torch.device) -> Corpus:
    """All sources of the training corpus, each equally often over the same range of fundamentals, low-passed, in noise.

    Raises:
        AudiopgError: there is one source only.
    """
    sources = {
        name: source.model_copy(update={"weight": 1.0, "f0_hz": cfg.latent.factors.f0_hz})
        for name, source in cfg.synth.sources.items()
        if source.weight
    }
    if len(sources) == 1:
        msg = "params.yaml: latent.corpora: primitives needs two sources in synth.sources; remove it from the list"
        raise AudiopgError(msg)
    score = _score(cfg, "primitives", sources, damped=True)
    corpus = _factorial(cfg, device, score, {"cutoff_octaves": np.log2(score.cutoff_hz)})
    return replace(corpus, classes={"primitive": score.voices[0].source})


def natural(cfg: config.Config, device: torch.device) -> Corpus:
    """Clips as pre-training hears them; the physics of the first voice, as far as it varies, NaN where it has none.

    Not independent: the weakest of more events, for one, is weaker.
    """
    world = World(cfg.synth.with_identities(1), cfg.seed, device)
    score = world.score(_indices(cfg, "natural"))
    voice = score.voices[0]
    n_events = voice.n_events.astype(np.float64)
    level_db = np.nanmin(voice.event_level_db, axis=1) - np.nanmax(voice.event_level_db, axis=1)
    known = {
        "f0_octaves": np.log2(voice.f0_hz),
        "event_level_db": np.where(n_events > 1, level_db, np.nan),
        "n_events": n_events,
        "cutoff_octaves": np.where(np.isfinite(score.cutoff_hz), np.log2(score.cutoff_hz), np.nan),
    }
    for parameter in ("decay_exponent", "modulation_index"):
        columns = [of[parameter] for of in voice.parameters.values() if parameter in of]
        if columns:
            known[parameter] = np.nanmax(np.stack([*columns, np.full(len(score), -np.inf)]), axis=0)
            known[parameter][np.isinf(known[parameter])] = np.nan
    corpus = _halves(
        lambda first, last: world.render(score.rows(slice(first, last))),
        len(score),
        known,
        {"primitive": voice.source},
    )
    factors = {name: values for name, values in corpus.factors.items() if _varies(values, corpus.held_out)}
    classes = {name: labels for name, labels in corpus.classes.items() if _varies(labels, corpus.held_out)}
    if not factors:
        msg = "params.yaml: synth: nothing varies in clips of latent.corpora natural; widen the range of a fundamental"
        raise AudiopgError(msg)
    return replace(corpus, factors=factors, classes=classes, independent=False)


def recorded(cfg: config.Config, device: torch.device) -> Corpus:
    """Pairs of recorded notes, one of them softer: pitch, level, family; scored on instruments that were held out."""
    played = recorded_notes.Pairs.drawn(cfg.latent, cfg.seed, cfg.synth.clip_s, cfg.synth.sample_rate_hz)
    return Corpus(
        {"f0_octaves": np.log2(440) + (played.pitch - 69) / 12, "event_level_db": played.level_db},
        {"family": played.family},
        played.held_out,
        played.instrument,
        lambda first, last: torch.from_numpy(played.waveforms(first, last)).to(device),
    )


CORPORA: dict[str, Callable[[config.Config, torch.device], Corpus]] = {
    "tone": tone,
    "fm": fm,
    "low_pass": low_pass,
    "events": events,
    "rhythm": rhythm,
    "primitives": primitives,
    "natural": natural,
    "notes": recorded,
}


def _indices(cfg: config.Config, name: str) -> range:
    first = PROBE_START + list(CORPORA).index(name) * CORPUS_SIZE
    return range(first, first + cfg.latent.n_clips)


def _always(value: float) -> config.Range:
    return config.Range(min=value, max=value)


def _harmonic(f0_hz: config.Range, decay_exponent: config.Range) -> config.Source:
    """Exact partials of equal gain: all that varies is the fundamental and the fall of the partials."""
    parameters: dict[str, config.Distribution] = {
        "n_partials": config.Choice(choices=[15]),
        "decay_exponent": decay_exponent,
        "partial_gain": _always(1),
        "partial_detune": _always(1),
        "partial_phase": config.Range(min=0, max=1),
    }
    return config.Source(weight=1, primitive="harmonic", f0_hz=f0_hz, parameters=parameters)


def _score(cfg: config.Config, name: str, sources: dict[str, config.Source], *, damped: bool = False) -> Score:
    """Draw the clips of a corpus in a world of one voice, without transient, room, microphone or noise."""
    never = {"probability": 0.0}
    plain: dict[str, Any] = {
        "sources": sources,
        "voices": config.Voices(count=config.Range(min=1, max=1, scale="integer"), level_db=_always(0)),
        "transient": cfg.synth.transient.model_copy(update=never),
        "room": cfg.synth.room.model_copy(update=never),
        "microphone": cfg.synth.microphone.model_copy(update=never),
        "damping": config.Damping(probability=float(damped), cutoff_hz=cfg.latent.factors.cutoff_hz),
        "noise_floor": config.NoiseFloor(amplitude=_always(0), colour=config.Colour(choices=[0])),
    }
    # no twins: a fit would know a clip that is left out by its other half
    synth = cfg.synth.with_identities(1).model_copy(update=plain)
    return World(synth, cfg.seed).score(_indices(cfg, name))


def _uniform(cfg: config.Config, name: str, score: Score) -> Float64:
    """Draw a uniform number for each clip from its own stream, shape (B,)."""
    return uniforms(cfg.seed, f"latent/{name}", score.index.tolist(), 1)[:, 0]


def _drawn(cfg: config.Config, factor: str, score: Score) -> Float64:
    """Draw a factor for each clip, shape (B,)."""
    return quantile(getattr(cfg.latent.factors, factor), _uniform(cfg, factor, score))


def _usual_attack(cfg: config.Config) -> Float64:
    return np.full(cfg.latent.n_clips, ATTACK_FRACTION * EVENT_FRACTION * cfg.synth.clip_s)


def _attack(score: Score) -> dict[str, Float64]:
    return {"attack_octaves": np.log2(score.voices[0].event_attack_s[:, 0])}


def _factorial(cfg: config.Config, device: torch.device, score: Score, factors: dict[str, Float64]) -> Corpus:
    """Play a score in noise; the fundamental and the ratio to the noise are factors of all factorial corpora."""
    world = World(cfg.synth, cfg.seed, device)
    snr_db = _drawn(cfg, "snr_db", score)
    keys = rng.noise_keys(cfg.seed, "latent/noise", score.index.tolist())

    def waveforms(first: int, last: int) -> Tensor:
        rows = slice(first, last)
        return in_noise(world.render(score.rows(rows)), keys[rows], snr_db[rows])

    known = {"f0_octaves": np.log2(score.voices[0].f0_hz), **factors, "snr_db": snr_db}
    return _halves(waveforms, len(score), known, {})


def _halves(
    waveforms: Callable[[int, int], Tensor], n_clips: int, factors: dict[str, Float64], classes: dict[str, Int64]
) -> Corpus:
    """Hold out the second half of the clips; each clip is its own group."""
    numbers = np.arange(n_clips)
    return Corpus(factors, classes, numbers >= n_clips // 2, numbers, waveforms)
