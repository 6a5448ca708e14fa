"""The report in a real browser: one file, no network, everything within reach of clicks."""

import os
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from support.browser import chromium
from support.places import ROOT

pytestmark = pytest.mark.slow
WINDOW = {"width": 1440, "height": 900}
GALLERY = "results/sound/gallery/gallery.html"
GENERAL = {"Workflow", "Statistics", "About"}
# what the page must hold, whatever else is marked for it
PICTURES = {
    "Latent space": [
        f"results/latent/{name}.png"
        for name in ("angles", "attention", "decodability", "embedding", "filters", "interventions", "reconstructions")
    ],
    "Pre-training": ["results/pretraining.png"],
    "Sound": ["results/sound/sheet.png"],
    "Task drums": [f"results/summary/drums/{name}.png" for name in ("classes", "confusion", "loss")],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """An installed Chromium."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a finished project, alone in a folder, about the committed results where there are any."""
    project = type(finished)(tmp_path_factory.mktemp("reported") / "project")
    shutil.copytree(finished.root, project.root)
    for made in (project.root / "results").rglob("*.*"):
        committed = ROOT / made.relative_to(project.root)
        if made.suffix in {".png", ".svg", ".md"} and committed.exists():
            shutil.copy(committed, made)
    shutil.copy(ROOT / "docs" / "listening.html", project.root / GALLERY)
    said = project.run("snakemake", "--report", "report.html", AUDIOPG_DVC_SYNC="off")  # other files than it recorded
    assert "WARNING" not in said
    assert "ERROR" not in said
    return Path(shutil.move(project.root / "report.html", tmp_path_factory.mktemp("elsewhere")))


@pytest.fixture(scope="module")
def visit(browser: Any, report: Path) -> Iterator[tuple[Any, list[str]]]:
    """The open page, and a growing list of what it asks for and what goes wrong."""
    page = browser.new_page(viewport=WINDOW)
    page.set_default_timeout(10_000)
    heard: list[str] = []
    page.on("request", lambda request: None if request.url.startswith("data:") else heard.append(request.url))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
    page.goto(report.as_uri())
    page.locator("#rulegraph canvas").wait_for()
    assert heard == [report.as_uri()]
    heard.clear()
    yield page, heard
    page.close()


@pytest.fixture
def page(visit: tuple[Any, list[str]]) -> Iterator[Any]:
    """The page at its menu; nothing goes wrong, and nothing is asked for, while a test clicks."""
    page, heard = visit
    home(page)
    yield page
    assert heard == []


def home(page: Any) -> None:
    page.locator("nav ol.list-reset a").first.click()


def go(page: Any, entry: str) -> None:
    page.locator("nav ul a").get_by_text(entry, exact=True).click()


def eyes(page: Any) -> dict[str, Any]:
    """Return the buttons of each result in the list: an eye that shows it, an i that tells of it."""
    page.locator("nav tbody a").first.wait_for()
    rows = [row for row in page.locator("nav tbody tr").all() if row.locator("a").count() == 2]
    return {row.locator("td").first.inner_text(): row.locator("a") for row in rows}


def look(page: Any, name: str) -> np.ndarray:
    """Return what the window shows right of the menu; ``AUDIOPG_SHOTS`` names a folder that keeps it all."""
    shot = page.screenshot()
    if folder := os.environ.get("AUDIOPG_SHOTS"):
        Path(folder, f"{name}.png").write_bytes(shot)
    left = page.locator(".overflow-auto.h-screen").last.bounding_box()["x"]
    return matplotlib.image.imread(BytesIO(shot))[:, int(left) :, :3]


def ink(pixels: np.ndarray) -> float:
    """Return the share of pixels that are not white."""
    return float((pixels.min(axis=2) < 0.9).mean())


def test_page_opens_with_the_results_table_and_the_rules(page: Any) -> None:
    go(page, "Workflow")
    assert page.locator("h1.title").bounding_box()["y"] > 0  # Snakemake's own layout hides the top of a long page
    cells = [row.locator("td, th").all_inner_texts() for row in page.locator("table").first.locator("tr").all()]
    lines = [line for line in (ROOT / "results/table.md").read_text().splitlines() if line.startswith("|")][:4]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|-")]
    assert cells == [list(column) for column in zip(*table, strict=True)]
    assert 0.02 < ink(look(page, "start")) < 0.5


def test_every_category_is_told_of_and_can_be_opened(page: Any) -> None:
    go(page, "Workflow")
    entries = set(page.locator("nav ul a").all_inner_texts()) - GENERAL
    assert set(PICTURES) | {"Results", "Parameters"} <= entries
    assert set(page.locator(".prose a").all_inner_texts()) == entries
    page.locator(".prose a").get_by_text("Sound").click()
    assert set(eyes(page)) == {"results/sound/sheet.png", GALLERY}


@pytest.mark.parametrize(("category", "path"), [(name, path) for name, paths in PICTURES.items() for path in paths])
def test_a_picture_is_shown_whole(category: str, path: str, page: Any) -> None:
    go(page, category)
    eyes(page)[path].first.click()
    page.wait_for_function("() => [...document.querySelectorAll('#app img')].at(-1)?.width > 100")  # no sign is so wide
    image = page.locator("#app img").last
    image.evaluate("image => image.decode()")
    box = image.bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= WINDOW["width"]
    assert box["y"] + box["height"] <= WINDOW["height"]
    assert min(box["width"], box["height"]) > 100
    look(page, Path(path).stem)
    # of the picture alone: lines on a large white window are little
    assert ink(matplotlib.image.imread(BytesIO(image.screenshot()))[:, :, :3]) > 0.02


def test_the_gallery_can_be_heard(page: Any) -> None:
    go(page, "Sound")
    eyes(page)[GALLERY].first.click()
    inside = page.frame_locator("iframe")
    inside.get_by_role("heading", name="Listening gallery").wait_for()
    players = inside.locator("audio")
    assert players.count() > 20
    assert players.first.evaluate("a => new Promise(end => { a.onended = () => end(true); a.muted = true; a.play(); })")
    page.frames[-1].wait_for_function("() => [...document.querySelectorAll('audio')].every(a => a.duration > 1)")
    assert 0.2 < ink(look(page, "gallery")) < 0.9


def test_parameters_can_be_read_and_kept(page: Any, finished: Any) -> None:
    go(page, "Parameters")
    eye, about = eyes(page)["params.yaml"].all()
    about.click()
    written = finished.root.joinpath("params.yaml").read_text()
    assert page.locator("pre.literal-block").inner_text().strip() == written.strip()
    look(page, "params")
    home(page)
    go(page, "Parameters")
    with page.expect_download() as download:
        eyes(page)["params.yaml"].first.click()
    assert Path(download.value.path()).read_text() == written


def test_a_rule_tells_its_command(page: Any) -> None:
    go(page, "Sound")
    eyes(page)["results/sound/sheet.png"].last.click()
    assert "the synthetic corpus that pre-training hears" in page.locator(".prose").first.inner_text()
    page.locator("nav li", has_text="render").locator("a").last.click()
    assert "audiopg render" in page.locator(".source").first.inner_text()


def test_times_of_the_rules_are_shown(page: Any) -> None:
    go(page, "Statistics")
    page.locator(".vega-embed canvas").first.wait_for()
    assert ink(look(page, "statistics")) > 0.005


def test_a_page_that_wants_the_network_is_found_out(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<img src="https://example.org/picture.png"><script>nothing()</script>')
    page = browser.new_page()
    heard: list[str] = []
    page.on("requestfailed", lambda request: heard.append(request.url))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.close()
    assert sorted(heard) == ["https://example.org/picture.png", "nothing is not defined"]
