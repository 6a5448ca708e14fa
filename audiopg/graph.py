"""The picture of the workflow: its rules in layers, and an arrow to each from what it reads."""

import re
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from audiopg import storage, tools
from audiopg.pictures import BLUE, GREY

ACROSS, DOWN = 134, 46  # px from one box to the next
WIDTH, HEIGHT = 92, 30  # px of a box
MARGIN = 4  # px
SWEEPS = 8  # after which the order within the layers has settled
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">
<title>The rules of the workflow; an arrow leads from what a rule makes to the rule that reads it</title>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto">
<path d="M0 0L8 4L0 8z" fill="{grey}"/></marker></defs>
<g fill="none" stroke="{grey}" stroke-width="1.8" marker-end="url(#head)">
{arrows}
</g>
<g fill="{blue}">
{boxes}
</g>
<g fill="#fff" font-family="sans-serif" font-size="14" text-anchor="middle">
{names}
</g>
</svg>
"""


def run(out: Path, dot: Path) -> None:
    """Draw the rules behind the default target.

    Args:
        out: picture to write (SVG), for light and for dark ground.
        dot: the same for Graphviz to write, with all arrows.

    Raises:
        AudiopgError: Snakemake cannot list the rules, or a file cannot be written.
    """
    told = tools.call("snakemake", "--rulegraph")
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', told))
    arrows = sorted((names[start], names[end]) for start, end in re.findall(r"(\d+) -> (\d+)", told))
    lines = [f"    {start} -> {end};\n" for start, end in arrows]
    storage.write_text(dot, f"digraph {{\n{''.join(lines)}}}\n")
    storage.write_text(out, draw(arrows))


def draw(arrows: list[tuple[str, str]]) -> str:
    """Return the picture (SVG) of a graph without cycles, from left to right; equal graphs give equal text.

    Args:
        arrows: start and end of each; those that follow from others are left out.
    """
    names = sorted({name for arrow in arrows for name in arrow})
    after = {name: sorted(end for start, end in arrows if start == name) for name in names}
    reached: dict[str, set[str]] = {}  # from a rule, over others
    layer: dict[str, int] = {}  # counted from the end
    for name in TopologicalSorter(after).static_order():
        reached[name] = {far for end in after[name] for far in [*after[end], *reached[end]]}
        layer[name] = max((layer[end] + 1 for end in after[name]), default=0)
    layers = [[name for name in names if layer[name] == n] for n in range(max(layer.values()) + 1)]
    paths = []
    for start, end in arrows:
        if end not in reached[start]:
            between = range(layer[start] - 1, layer[end], -1)
            paths.append([start, *(f"{start} {end} {n}" for n in between), end])
            for n, place in zip(between, paths[-1][1:-1], strict=True):  # an arrow has a place in each layer it passes
                layers[n].append(place)
    at = _arrange(layers, [link for path in paths for link in pairwise(path)])
    width, height = (max(place[axis] for place in at.values()) + (WIDTH, HEIGHT)[axis] / 2 + MARGIN for axis in (0, 1))
    boxes = [
        f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        for x, y in (at[name] for name in names)
    ]
    return SVG.format(
        width=width,
        height=height,
        grey=GREY,
        blue=BLUE,
        arrows="\n".join(_curve([at[place] for place in path]) for path in paths),
        boxes="\n".join(boxes),
        names="\n".join(f'<text x="{at[name][0]:g}" y="{at[name][1] + 5:g}">{name}</text>' for name in names),
    )


def _arrange(layers: list[list[str]], links: list[tuple[str, str]]) -> dict[str, tuple[float, float]]:
    """Place each layer's members near those that they are linked with; return the middle of each place in px."""
    row: dict[str, float] = {}
    for sweep in range(SWEEPS):
        for members in layers:
            if sweep:
                near = {
                    place: fmean([row[link[1 - link.index(place)]] for link in links if place in link])
                    for place in members
                }
                members.sort(key=lambda place: (near[place], place))  # noqa: B023  (used at once)
            row.update({place: n - (len(members) - 1) / 2 for n, place in enumerate(members)})
    top = min(row.values())
    return {
        place: (
            (len(layers) - 1 - n) * ACROSS + WIDTH / 2 + MARGIN,
            (row[place] - top) * DOWN + HEIGHT / 2 + MARGIN,
        )
        for n, members in enumerate(layers)
        for place in members
    }


def _curve(places: list[tuple[float, float]]) -> str:
    """Draw an arrow from the right side of the first place over others to the left side of the last."""
    (x, y), *middle, (x_end, y_end) = places
    text = f"M{x + WIDTH / 2:g} {y:g}"
    x += WIDTH / 2
    for x_next, y_next in [*middle, (x_end - WIDTH / 2, y_end)]:
        bend = (x + x_next) / 2
        text += f"C{bend:g} {y:g} {bend:g} {y_next:g} {x_next:g} {y_next:g}"
        x, y = x_next, y_next
    return f'<path d="{text}"/>'
