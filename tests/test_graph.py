"""The picture of the workflow: what it shows, and that it is the same whatever the order of the arrows."""

import random
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from audiopg import graph, tools

# a way around the layer of c and d
ARROWS = [("a", "b"), ("b", "c"), ("b", "d"), ("c", "e"), ("d", "e"), ("b", "e"), ("x", "c"), ("x", "y"), ("e", "z")]
ARROWS += [("y", "z"), ("a", "z")]
FOLLOWING = {("b", "e"), ("a", "z")}
NAMES = {name for arrow in ARROWS for name in arrow}
DOT = """\
digraph snakemake_dag {
	0[label = "all", color = "0.05 0.6 0.85", style="rounded"];
	1[label = "read_it", color = "0.10 0.6 0.85", style="rounded,dashed"];
	12[label = "make", color = "0.62 0.6 0.85", style="rounded"];
	1 -> 0
	12 -> 1
	12 -> 0
}
"""
SPACE = {"svg": "http://www.w3.org/2000/svg"}


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


def boxes(svg: str) -> dict[str, tuple[float, float]]:
    """Return the upper left corner of each rule's box."""
    root = ElementTree.fromstring(svg)
    names = [text.text or "" for text in root.iterfind(".//svg:text", SPACE)]
    corners = [(float(box.attrib["x"]), float(box.attrib["y"])) for box in root.iterfind(".//svg:rect", SPACE)]
    return dict(zip(names, corners, strict=True))


def curves(svg: str) -> list[list[float]]:
    """Return the coordinates along each arrow."""
    paths = ElementTree.fromstring(svg).iterfind("./svg:g/svg:path", SPACE)
    return [numbers(path.attrib["d"]) for path in paths]


def test_every_rule_has_a_box_of_its_own_within_the_picture() -> None:
    svg = graph.draw(sorted(ARROWS))
    found = boxes(svg)
    assert set(found) == NAMES
    for (x, y), (x_other, y_other) in combinations(found.values(), 2):
        assert abs(x - x_other) > graph.WIDTH or abs(y - y_other) > graph.HEIGHT
    width, height = numbers(ElementTree.fromstring(svg).attrib["viewBox"])[2:]
    assert all(x > 0 and x + graph.WIDTH < width and y > 0 and y + graph.HEIGHT < height for x, y in found.values())


def test_arrows_lead_from_left_to_right_and_those_that_follow_from_others_are_left_out() -> None:
    svg = graph.draw(sorted(ARROWS))
    at = boxes(svg)
    ends = {
        (*(at[start][0] + graph.WIDTH, at[start][1] + graph.HEIGHT / 2), at[end][0], at[end][1] + graph.HEIGHT / 2)
        for start, end in set(ARROWS) - FOLLOWING
    }
    assert {(*curve[:2], *curve[-2:]) for curve in curves(svg)} == ends
    assert all(at[start][0] < at[end][0] for start, end in ARROWS)


def test_no_arrow_runs_through_a_box() -> None:
    svg = graph.draw(sorted(ARROWS))
    for curve in curves(svg):
        for x, y in zip(curve[::2], curve[1::2], strict=True):
            assert not any(
                left < x < left + graph.WIDTH and top < y < top + graph.HEIGHT for left, top in boxes(svg).values()
            )


def test_the_order_of_the_arrows_is_of_no_importance() -> None:
    shuffled = random.Random(1).sample(ARROWS, len(ARROWS))
    assert graph.draw(sorted(shuffled)) == graph.draw(sorted(ARROWS))


def test_snakemake_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "call", lambda *words: DOT if words == ("snakemake", "--rulegraph") else "")
    graph.run(tmp_path / "graph.svg", tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text() == (
        "digraph {\n    make -> all;\n    make -> read_it;\n    read_it -> all;\n}\n"
    )
    assert set(boxes((tmp_path / "graph.svg").read_text())) == {"all", "read_it", "make"}


def test_the_committed_picture_shows_the_rules_of_the_workflow() -> None:
    root = Path(__file__).parents[1]
    rules = {path.stem for path in root.glob("workflow/rules/*.smk")}
    assert set(boxes((root / "results/graph.svg").read_text())) == rules | {"all"}
