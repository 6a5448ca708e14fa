"""The listening gallery: every source and several compositions, and the page in the docs is of the present corpus."""

import base64
import io
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from support.browser import chromium
from support.places import ROOT

from audiopg import config, storage
from audiopg.config import Config, params
from audiopg.data import gallery
from audiopg.errors import AudiopgError
from audiopg.synth.describe import describe
from audiopg.synth.sources import PRIMITIVES

FIGURE = re.compile(
    r"<figure>\n<h3>(.*?)</h3>\n<img .*?base64,(.*?)\">\n<audio .*?base64,(.*?)\">.*?<figcaption>(.*?)<", re.S
)


def figures(page: Path) -> list[tuple[str, bytes, bytes, str]]:
    """Return title, picture, sound and words of each clip."""
    found = FIGURE.findall(page.read_text(encoding="utf-8"))
    return [
        (title, base64.b64decode(png), base64.b64decode(flac), unescape(words)) for title, png, flac, words in found
    ]


@pytest.fixture(scope="module")
def quick_page(quick: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of profile quick, alone in a folder with its run card."""
    out = tmp_path_factory.mktemp("gallery")
    gallery.run(quick.synth, quick.features, quick.seed, out)
    return out / "gallery.html"


def expected(synth: config.Synth, seed: int) -> list[tuple[str, Any, Any]]:
    return [*gallery.alone(synth, seed), *gallery.together(synth, seed)]


def test_the_run_card_of_another_stage_is_not_replaced(quick: Config, tmp_path: Path) -> None:
    storage.write_json(tmp_path / "run.json", {"stage": "pretrain"})
    with pytest.raises(AudiopgError, match=r"run.json: would be replaced, and `audiopg gallery` did not write it"):
        gallery.run(quick.synth, quick.features, quick.seed, tmp_path)


def test_each_clip_is_heard_seen_and_told(quick: Config, quick_page: Path) -> None:
    clips = expected(quick.synth, quick.seed)
    found = figures(quick_page)
    assert len(found) == len(clips) == len(quick.synth.sources) + gallery.N_TOGETHER
    for (title, png, flac, words), (known, world, score) in zip(found, clips, strict=True):
        assert title == known
        assert words == describe(score)
        heard, rate_hz = soundfile.read(io.BytesIO(flac))
        assert rate_hz == quick.synth.sample_rate_hz
        np.testing.assert_allclose(heard, world.render(score)[0].numpy(), atol=2**-15)
        assert np.ptp(np.asarray(Image.open(io.BytesIO(png)).convert("L"))) > 100


def test_every_primitive_is_there_by_itself(quick: Config) -> None:
    clips = list(gallery.alone(quick.synth, quick.seed))
    assert {score.primitives[0] for _, _, score in clips} == set(PRIMITIVES)
    assert {int(score.n_voices[0]) for _, _, score in clips} == {1}
    assert all(np.isnan(score.transient_onset_s[0]) and np.isinf(score.cutoff_hz[0]) for _, _, score in clips)


def test_compositions_are_clips_of_the_corpus_and_no_twins(quick: Config) -> None:
    assert quick.synth.identity.n_clips == 2
    scores = [score for _, _, score in gallery.together(quick.synth, quick.seed)]
    assert {int(score.n_voices[0]) for score in scores} == {3}
    assert len({int(score.identity[0]) for score in scores}) == gallery.N_TOGETHER


def test_a_source_without_weight_is_left_out(tiny: Config) -> None:
    sources = {name: source.model_copy(update={"weight": 0.0}) for name, source in tiny.synth.sources.items()}
    sources["fm"] = tiny.synth.sources["fm"]
    clips = list(gallery.alone(tiny.synth.model_copy(update={"sources": sources}), 1))
    assert [title for title, _, _ in clips] == ["fm <small>(fm)</small>"]


def test_the_page_in_the_docs_is_of_the_present_corpus() -> None:
    found = figures(ROOT / "docs" / "listening.html")
    present = params.load(ROOT / "params.yaml")
    clips = expected(present.synth, present.seed)
    assert [(title, words) for title, _, _, words in found] == [(title, describe(score)) for title, _, score in clips]
    assert sum(len(flac) for _, _, flac, _ in found) < 1_000_000


@pytest.mark.slow
def test_a_browser_plays_every_clip_without_a_network(quick_page: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(quick_page.as_uri())
        page.wait_for_function("() => [...document.querySelectorAll('audio')].every(a => a.duration > 0)")
        assert page.evaluate("[...document.querySelectorAll('img')].every(i => i.naturalWidth > 100)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert [url for url in asked if not url.startswith("data:")] == [quick_page.as_uri()]
