"""The listening gallery: each source of the corpus by itself, then several together, in one page with sound."""

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from audiopg import config, storage
from audiopg.arrays import Float32
from audiopg.config import Range
from audiopg.data import formats, sheet
from audiopg.features.logmel import LogMel
from audiopg.progress import say
from audiopg.provenance import run_cards
from audiopg.synth.describe import describe
from audiopg.synth.score import CORPUS, Score, clip_name
from audiopg.synth.world import World

N_TOGETHER = 6  # clips in which as many voices sound as the corpus allows
FILTERS = ("transient", "damping", "microphone")  # what a source by itself goes without
LOOKED_AT = 200  # identities of which these are the first
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Listening gallery</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem;
  color: #1f2328; background: #fff; }}
.clips {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.5rem; }}
figure {{ margin: 0; }}
figure h3 {{ margin: 0 0 .3rem; }}
figure h3 small {{ font-weight: normal; color: #59636e; }}
img, audio {{ display: block; width: 100%; }}
figcaption {{ font-size: .85em; margin-top: .3rem; }}
</style>
<h1>Listening gallery</h1>
<p>Sound of the corpus that pre-training hears, and its physics. The pictures are log-mel spectrograms, {range_db} dB
from the strongest bin down: time to the right, frequency (Hz) upwards.</p>
<h2>Sources</h2>
<p>Each source by itself, in a room or without one; in brackets the primitive that plays it.</p>
<div class="clips">
{alone}
</div>
<h2>Compositions</h2>
<p>Clips as they are in the corpus: sources together, bursts of noise, rooms, microphones.</p>
<div class="clips">
{together}
</div>
</html>
"""
CLIP = """<figure>
<h3>{title}</h3>
<img alt="Spectrogram of {name}" src="data:image/png;base64,{picture}">
<audio controls src="data:audio/flac;base64,{sound}"></audio>
<figcaption>{words}</figcaption>
</figure>"""


def run(synth: config.Synth, features: config.Features, seed: int, out: Path) -> None:
    """Write the gallery of a corpus.

    Args:
        synth: what the corpus sounds like.
        features: of the spectrograms.
        seed: names the corpus.
        out: folder for ``gallery.html``, which needs no other file, and ``run.json``, its run card.

    Raises:
        AudiopgError: the section is wrong, or the folder cannot be written.
    """
    run_cards.check_place(out / "run.json", "gallery")
    log_mel = LogMel(features)
    figures = [
        "\n".join(_figure(title, world, score, log_mel) for title, world, score in clips)
        for clips in (alone(synth, seed), together(synth, seed))
    ]
    page = out / "gallery.html"
    storage.write_text(page, PAGE.format(range_db=sheet.RANGE_DB, alone=figures[0], together=figures[1]))
    run_cards.write_card(
        out / "run.json",
        "gallery",
        {"seed": seed, "synth": synth.model_dump(mode="json"), "features": features.model_dump(mode="json")},
        [],
        [page],
        corpus=CORPUS,
    )
    say(f"{page}: open it in a browser")


def alone(synth: config.Synth, seed: int) -> Iterator[tuple[str, World, Score]]:
    """Yield a title, the corpus and a score for each source that plays, without filters, in little noise."""
    one = {"count": Range(min=1, max=1, scale="integer"), "level_db": Range(min=0, max=0)}
    voices = synth.voices.model_copy(update=one)
    changed = {part: getattr(synth, part).model_copy(update={"probability": 0.0}) for part in FILTERS}
    least = synth.noise_floor.amplitude.min
    changed["noise_floor"] = synth.noise_floor.model_copy(update={"amplitude": Range(min=least, max=least)})
    for number, (name, source) in enumerate(synth.sources.items()):
        if source.weight:
            only = synth.model_copy(update={"sources": {name: source}, "voices": voices, **changed})
            world = World(only, seed)
            yield f"{escape(name)} <small>({source.primitive or name})</small>", world, world.score([number])


def together(synth: config.Synth, seed: int) -> Iterator[tuple[str, World, Score]]:
    """Yield a title, the corpus and a score for the first clips with the most voices, no two of one identity."""
    world = World(synth, seed)
    step = synth.identity.n_clips
    scores = world.score(range(0, LOOKED_AT * step, step))
    full = [row for row in range(len(scores)) if scores.n_voices[row] == scores.n_voices.max()]
    for row in full[:N_TOGETHER]:
        score = scores.rows(slice(row, row + 1))
        names = " + ".join(score.sources[voice.source[0]] for voice in score.voices if voice.source[0] >= 0)
        name = clip_name(seed, int(score.index[0]))
        yield f"{escape(names)} <small>({name})</small>", world, score


def _figure(title: str, world: World, score: Score, log_mel: LogMel) -> str:
    """Return one clip as HTML."""
    waveform = world.render(score)
    sound = formats.flac(waveform[0].numpy(), world.synth.sample_rate_hz, "PCM_16")
    return CLIP.format(
        title=title,
        name=title.partition(" <")[0],
        picture=base64.b64encode(_picture(log_mel(waveform)[0].numpy(), log_mel.features)).decode(),
        sound=base64.b64encode(sound).decode(),
        words=escape(describe(score)),
    )


def _picture(spectrogram: Float32, features: config.Features) -> bytes:
    """Return a small picture (PNG) of a spectrogram, shape (F, M)."""
    figure = Figure(figsize=(3.6, 1.7), layout="constrained")
    panel = figure.subplots()
    sheet.show(panel, spectrogram, features)
    panel.tick_params(labelsize=7)
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    # a palette takes a third of the bytes of full colours
    Image.open(drawn).convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE).save(small, "PNG", optimize=True)
    return small.getvalue()
