"""Write synth.json: what a few clips of both presets are made of and sound like.

Run it (``python tests/golden/synth.py``) only together with a new ``CORPUS`` version.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from audiopg.config import Synth, profile
from audiopg.synth.score import CORPUS, Score
from audiopg.synth.world import World

# the sizes of the profiles `quick` and `test`
CHANGES: dict[str, Any] = {"clip_s": 1.28, "events": {"duration_s_min": 0.1, "level_db": {"min": -18.0, "max": 0.0}}}
OF_CLIPS = ("n_voices", "transient_onset_s", "room_rt60_s", "cutoff_hz", "microphone_low_hz", "noise_floor_key")
OF_VOICES = ("source", "f0_hz", "level_db", "key", "n_events", "event_onset_s", "event_duration_s", "event_attack_s")
SEEDS = [42, 7]
INDICES = [0, 1, 2, 123456]


def main() -> None:
    """Write the numbers beside this file."""
    golden = {"corpus": CORPUS, "presets": [preset(name) for name in ("paper", "world")]}
    text = json.dumps(golden, separators=(",", ":")) + "\n"
    Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")


def preset(name: str) -> dict[str, Any]:
    """Return a preset, short, and its clips."""
    data = profile.load("paper", name).synth.model_dump(exclude_none=True)
    data["events"] |= CHANGES["events"]
    synth = Synth.model_validate(data | {"clip_s": CHANGES["clip_s"]})
    return {"synth": synth.model_dump(exclude_none=True), "clips": [clips(synth, seed) for seed in SEEDS]}


def clips(synth: Synth, seed: int) -> dict[str, Any]:
    """Play the clips with these indices, and sum them up."""
    world = World(synth, seed)
    score = world.score(INDICES)
    waveforms = world.render(score).double().numpy()
    samples = list(range(100, waveforms.shape[1], 1513))
    return {
        "seed": seed,
        "indices": INDICES,
        "score": columns(score),
        "samples": samples,
        "waveform": waveforms[:, samples].round(6).tolist(),
        "rms": np.sqrt((waveforms**2).mean(axis=1)).round(6).tolist(),
    }


def columns(score: Score) -> dict[str, Any]:
    """Return some columns of a score, those of a voice after its number."""
    of_clips = {name: plain(getattr(score, name)) for name in OF_CLIPS}
    of_voices = {
        f"{number}.{name}": plain(getattr(voice, name))
        for number, voice in enumerate(score.voices)
        for name in OF_VOICES
    }
    return of_clips | of_voices


def plain(column: np.ndarray[Any, np.dtype[Any]]) -> list[Any]:
    """Write a column with 12 digits, and what is not finite as text, as JSON has no NaN."""
    rows = column.reshape(len(column), -1).tolist()
    return [
        [x if isinstance(x, int) else float(f"{x:.12g}") if np.isfinite(x) else str(x) for x in row] for row in rows
    ]


if __name__ == "__main__":
    main()
