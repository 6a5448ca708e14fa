"""Profiles: ``paper.yaml``, complete and commented, with the changes of an overlay written into its lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from audiopg.config import OPEN_MAPPINGS, merge
from audiopg.errors import AudiopgError
from audiopg.params import parse, read_yaml


def profile(name: str, folder: Path) -> str:
    """Return the text of ``params.yaml`` for a profile.

    Each line keeps its comment; where the overlay changes a value, the comment tells the paper's value instead of its
    source.

    Args:
        name: stem of a file in ``folder``; ``paper`` has no overlay.
        folder: where ``paper.yaml`` and the overlays are.

    Raises:
        AudiopgError: no such profile, the overlay changes a key that does not exist, or a value is not allowed.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        msg = f"unknown profile '{name}'; known: {', '.join(known)}" if known else f"{folder}: no profiles here"
        raise AudiopgError(msg)
    paper = folder / "paper.yaml"
    values = read_yaml(paper)
    lines = paper.read_text(encoding="utf-8").splitlines()
    if name != "paper":
        path = folder / f"{name}.yaml"
        overlay = read_yaml(path)
        try:
            values = merge(values, overlay)
        except AudiopgError as error:
            msg = f"{path}: {error}"
            raise AudiopgError(msg) from None
        lines = _Writer(lines, path).write(overlay)
    parse(values, f"profile {name}")
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes an overlay into the lines of ``paper.yaml``."""

    def __init__(self, lines: list[str], overlay: Path) -> None:
        self.lines = lines
        self.root = _mapping(lines)
        self.overlay_lines = overlay.read_text(encoding="utf-8").splitlines()
        self.overlay_root = _mapping(self.overlay_lines)
        # open mappings are taken over as whole blocks, last; until then line numbers stay as they are
        self.blocks: list[tuple[int, int, list[str]]] = []

    def write(self, overlay: Mapping[str, Any]) -> list[str]:
        """Return all lines; the overlay's first comment takes the place of paper.yaml's."""
        self._walk(self.root, self.overlay_root, overlay, "")
        for begin, end, block in sorted(self.blocks, reverse=True):
            self.lines[begin:end] = block
        header = [line for line in self.overlay_lines[: self.overlay_root.start_mark.line] if line]
        own = next(number for number, line in enumerate(self.lines) if line.startswith("# Sources"))
        note = "# Written by `audiopg profile`. (paper: …) tells the paper's value where this profile has another one."
        return [*header, note, *self.lines[own:]]

    def _walk(self, node: yaml.MappingNode, changed: yaml.MappingNode, overlay: Mapping[str, Any], place: str) -> None:
        nodes = {key.value: (key, value) for key, value in node.value}
        changes = {key.value: (key, value) for key, value in changed.value}
        for name, change in overlay.items():
            key, value = nodes[name]
            path = f"{place}.{name}" if place else name
            if OPEN_MAPPINGS.fullmatch(path):
                block = self.overlay_lines[changes[name][0].start_mark.line : _last(changes[name][1])]
                self.blocks.append((key.start_mark.line, _last(value), block))
            elif isinstance(value, yaml.MappingNode) and not value.flow_style:
                self._walk(value, changes[name][1], change, path)
            else:
                self._replace(value, change)

    def _replace(self, value: yaml.Node, change: object) -> None:
        line = self.lines[value.start_mark.line]
        begin, end = value.start_mark.column, value.end_mark.column
        old = yaml.safe_load(line[begin:end])
        new = merge(old, change) if isinstance(change, Mapping) else change
        text = yaml.safe_dump(new, default_flow_style=True, width=1000, sort_keys=False).removesuffix("...\n").strip()
        if new != old:
            column = line.index("#", end) - 1
            comment = line[column:].removeprefix(" # ").partition("[")[0]
            self.lines[value.start_mark.line] = f"{line[:begin] + text:<{column}} # {comment}(paper: {line[begin:end]})"


def _mapping(lines: list[str]) -> yaml.MappingNode:
    """Parse lines that are known to hold a mapping, keeping the place of each value."""
    node = yaml.compose("\n".join(lines))
    assert isinstance(node, yaml.MappingNode)  # read_yaml has refused all else
    return node


def _last(node: yaml.Node) -> int:
    """Number of the line after a block's last value."""
    while isinstance(node, yaml.MappingNode) and not node.flow_style:
        node = node.value[-1][1]
    line: int = node.end_mark.line
    return line + 1
