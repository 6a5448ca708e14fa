"""Write synth.json: what six clips of a fixed corpus are made of and sound like.

Run it (``python tests/golden/synth.py``) only together with a new ``CORPUS`` version.
"""

import json
from pathlib import Path

import numpy as np

from audiopg import config
from audiopg.synth.world import World

SYNTH = {
    "clip_s": 1.28,
    "sample_rate_hz": 16000,
    "f0_hz": {"min": 50, "max": 2000, "scale": "log"},
    "sources": {
        "harmonic": {
            "weight": 1,
            "parameters": {
                "n_partials": {"min": 3, "max": 15, "scale": "integer"},
                "decay_exponent": {"min": 0.5, "max": 1.5},
                "partial_gain": {"min": 0.5, "max": 1.2},
                "partial_detune": {"min": 0.995, "max": 1.005},
                "partial_phase": {"min": 0, "max": 1},
            },
        },
        "fm": {
            "weight": 1,
            "parameters": {
                "modulation_index": {"min": 0.5, "max": 8},
                "modulator_ratio": {"choices": [0.5, 1, 1.5, 2, 2.5, 3.14]},
            },
        },
        "pulse": {"weight": 1, "parameters": {"shape": {"choices": [0, 1, 2]}}},
    },
    "events": {
        "count": {"min": 1, "max": 4, "scale": "integer"},
        "duration_s_min": 0.1,
        "level_db": {"min": -18, "max": 0},
        "attack_fraction": {"min": 0.01, "max": 0.3},
        "decay_fraction": {"min": 0.1, "max": 0.4},
        "sustain_level": {"min": 0.6, "max": 0.6},
    },
    "transient": {"probability": 0.6, "duration_s": {"min": 0.01, "max": 0.1}, "gain": {"min": 0.5, "max": 2}},
    "damping": {"probability": 0.7, "cutoff_hz": {"min": 200, "max": 6000}},
    "noise_floor_amplitude": {"min": 0.001, "max": 0.02},
}
COLUMNS = ("source", "f0_hz", "n_events", "event_onset_s", "event_duration_s", "event_level_db", "noise_floor_key")
SEED = 42
INDICES = [0, 1, 2, 3, 4, 123456]


def main() -> None:
    """Write the numbers beside this file."""
    world = World(config.Synth.model_validate(SYNTH), SEED)
    score = world.score(INDICES)
    clips = world.render(score).double().numpy()
    samples = list(range(100, clips.shape[1], 1013))
    golden = {
        "synth": SYNTH,
        "seed": SEED,
        "indices": INDICES,
        "score": {name: [_without_nan(row) for row in getattr(score, name).tolist()] for name in COLUMNS},
        "samples": samples,
        "waveform": clips[:, samples].round(7).tolist(),
        "rms": np.sqrt((clips**2).mean(axis=1)).round(7).tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


def _without_nan(value: float | list[float]) -> float | list[float | None]:
    """Write NaN as null, as JSON has no NaN."""
    if isinstance(value, list):
        return [None if np.isnan(x) else x for x in value]
    return value


if __name__ == "__main__":
    main()
