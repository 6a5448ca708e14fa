"""The physics of one clip in words: what sounds, when, and how it is heard."""

import re
from collections.abc import Mapping

import numpy as np

from audiopg.arrays import Float64
from audiopg.synth.score import Score, Voice
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Parameter

COLOURS = ("white", "pink", "brown")
TIMES = {1: "once", 2: "twice"}
KILO = 1000

# What each primitive plays, by clauses; {name} is a parameter with its unit. A clause that begins with "name=value?" is
# left out where the parameter has that value: no vibrato. A primitive that is not here gets a list of its parameters.
CLAUSES: Mapping[str, tuple[str, ...]] = {
    "harmonic": (
        "a harmonic sound, fundamental {f0_hz}, {n_partials}",
        "amplitudes falling as k^-{decay_exponent}, times {partial_gain}",
        "frequencies off by factors of {partial_detune}",
        "phases of {partial_phase}",
    ),
    "fm": (
        "a frequency-modulated sine, carrier {f0_hz}",
        "modulator at {modulator_ratio} times the carrier, modulation index {modulation_index}",
    ),
    "pulse": ("a {shape} wave, fundamental {f0_hz}",),
    "modal": (
        "a struck {body}, fundamental {f0_hz}, {n_modes}",
        "struck at {strike_position}",
        "amplitudes falling as k^-{decay_exponent}",
        "the first mode fading by 60 dB in {decay_s}, higher ones faster, as frequency^-{damping_exponent}",
        "frequencies off by factors of {mode_detune}",
    ),
    "plucked": (
        "a plucked string, fundamental {f0_hz}, {n_partials}",
        "plucked at {pluck_position}",
        "stiffness {inharmonicity}",
        "the first partial fading by 60 dB in {decay_s}, higher ones faster, as k^-{damping_exponent}",
    ),
    "tone": (
        "a tone, fundamental {f0_hz}, {n_partials}",
        "amplitudes falling as k^-{decay_exponent}",
        "glide_octaves=0?gliding by {glide_octaves}",
        "vibrato_cents=0?vibrato of {vibrato_cents} at {vibrato_rate_hz}",
        "tremolo_depth=0?tremolo of depth {tremolo_depth} at {tremolo_rate_hz}",
        "wander_octaves=0?wandering by {wander_octaves} at {wander_rate_hz}",
        "phases of {motion_phase}",
    ),
    "voice": (
        "a voice, pitch {f0_hz}, {n_partials}",
        "amplitudes falling as k^-{decay_exponent}",
        "formants at {formant_1_hz}, {formant_2_hz} and {formant_3_hz}, the first {formant_bandwidth_hz} wide",
        "articulation_octaves=0?which move by {articulation_octaves} at {articulation_rate_hz}",
        "intonation_octaves=0?the pitch moving by {intonation_octaves} at {intonation_rate_hz}",
        "phases of {motion_phase}",
    ),
    "noise_band": (
        "noise around {f0_hz}, {bandwidth_octaves} wide",
        "gust_depth=0?gusts of depth {gust_depth} at {gust_rate_hz}",
        "gate_share=1?a gate open for {gate_share} at {gate_rate_hz}",
        "phases of {motion_phase}",
    ),
    "grains": (
        "grains, {rate_hz}, regularity {regularity} (0 at random, 1 a clock)",
        "weaker by up to {level_range_db}",
        "ringing at {f0_hz} in {n_resonances}, which fade by 60 dB in {decay_s}",
        "n_resonances=1?the others at {resonance_ratio} times {f0_hz}",
        "amplitudes {resonance_gain}",
    ),
}


def describe(score: Score) -> str:
    """Say what is in a clip.

    >>> from audiopg.config.profile import load
    >>> from audiopg.synth.parameters import draw
    >>> describe(draw(load("quick").synth, 42, [0])).partition(",")[0]
    'A struck glass'

    Args:
        score: of one clip.

    Returns:
        A sentence per voice, with every parameter of its source and its unit, and one on how it is heard.

    Raises:
        ValueError: the score has another number of clips.
    """
    if len(score) != 1:
        msg = (
            f"describe: the score of one clip is needed, found {len(score)}; take one with score.rows(slice(i, i + 1))"
        )
        raise ValueError(msg)
    voices = [_voice(score, voice) for voice in score.voices if voice.source[0] >= 0]
    return " ".join([*voices, _heard(score)])


def _voice(score: Score, voice: Voice) -> str:
    """Say what one voice plays, how strong, and when."""
    position = int(voice.source[0])
    primitive = score.primitives[position]
    known, drawn = PRIMITIVES[primitive].parameters, dict(voice.parameters[score.sources[position]])
    if primitive == "grains":  # its first resonance is the fundamental itself
        drawn["resonance_ratio"] = drawn["resonance_ratio"][:, 1:]
    said = {name: _quantity(drawn[name][0], parameter) for name, parameter in known.items()}
    said["f0_hz"] = _hz(voice.f0_hz[0])
    clauses = CLAUSES.get(primitive, (primitive, *(f"{name} {{{name}}}" for name in said)))
    chosen = []
    for clause in clauses:
        condition, _, text = clause.rpartition("?")
        name, _, absent = condition.partition("=")
        if not condition or drawn[name][0] != float(absent):
            chosen.append(text.format(**said).replace("^--", "^"))
    level = f" At {_number(voice.level_db[0])} dB, it" if score.n_voices[0] > 1 else " It"
    sentence = ", ".join(chosen)
    return f"{sentence[0].upper()}{sentence[1:]}.{level} sounds {_times(voice)}."


def _times(voice: Voice) -> str:
    """Say how often a voice sounds, and from when on."""
    n_events = int(voice.n_events[0])
    onsets = [_seconds(onset) for onset in sorted(voice.event_onset_s[0][:n_events].tolist())]
    if not onsets:
        return "at no time"
    together = " and ".join(filter(None, (", ".join(onsets[:-1]), onsets[-1])))
    return f"{TIMES.get(n_events, f'{n_events} times')}, from {together} on"


def _heard(score: Score) -> str:
    """Say what the clip has besides its voices, and through what it is heard."""
    parts = []
    if np.isfinite(score.room_size_m[0]):
        fades = _seconds(score.room_rt60_s[0])
        parts.append(f"in a room of {_number(score.room_size_m[0])} m, where sound fades by 60 dB in {fades}")
    if np.isfinite(score.cutoff_hz[0]):
        parts.append(f"damped above {_hz(score.cutoff_hz[0])}")
    if np.isfinite(score.microphone_high_hz[0]):
        band = f"{_hz(score.microphone_low_hz[0])} to {_hz(score.microphone_high_hz[0])}"
        parts.append(f"through a microphone for {band}")
    if np.isfinite(score.transient_onset_s[0]):
        length, onset = _seconds(score.transient_duration_s[0]), _seconds(score.transient_onset_s[0])
        parts.append(f"with a burst of {COLOURS[int(score.transient_colour[0])]} noise of {length} at {onset}")
    floor = _number(score.noise_floor_amplitude[0])
    parts.append(f"over {COLOURS[int(score.noise_floor_colour[0])]} noise of amplitude {floor}")
    return f"Heard {', '.join(parts)}."


def _quantity(value: Float64, parameter: Parameter) -> str:
    """Write a parameter, one number or several, with its unit."""
    unit = parameter.unit
    if value.ndim:
        there = value[~np.isnan(value)]
        ends = [_number(end, 4) for end in (there.min(), there.max())] if len(there) else []
        number = " to ".join(dict.fromkeys(ends))
        return number if unit in {"amplitude", "frequency ratio"} else f"{number} {unit}"
    names: list[str] = re.findall(r"\d (\w+)", unit)  # "0 bar, 1 plate, 2 glass"
    if names:
        return names[int(value)]
    if unit in {"Hz", "s"}:
        return _hz(value) if unit == "Hz" else _seconds(value)
    if unit in {"1", "amplitude", "frequency ratio"}:
        return _number(value)
    if parameter.whole:
        return f"{int(value)} {unit if value != 1 else unit.removesuffix('s')}"
    return f"{_number(value)} {unit.removeprefix('part ')}"


def _hz(value: Float64 | float) -> str:
    return f"{_number(value / KILO)} kHz" if value >= KILO else f"{_number(value)} Hz"


def _seconds(value: Float64 | float) -> str:
    return f"{_number(value)} s" if value >= 1 or value == 0 else f"{_number(value * KILO)} ms"


def _number(value: Float64 | float, digits: int = 3) -> str:
    """Write a number with some significant digits, never with an exponent."""
    text: str = np.format_float_positional(float(value), precision=digits, fractional=False, trim="-")
    return text
