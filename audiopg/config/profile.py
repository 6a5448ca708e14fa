"""Profiles: ``paper.yaml``, complete and commented, with the changes of overlays written into its lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from audiopg.config import Config
from audiopg.config.overlays import OPEN_MAPPINGS, merge
from audiopg.config.params import parse, read_yaml
from audiopg.errors import AudiopgError

FOLDER = Path(__file__).parent / "profiles"
COMPLETE = "paper"  # the profile, and the preset, that has no overlay
PRESETS = {"quick": "world", "small": "world"}  # what the corpus of a profile sounds like, if not as `COMPLETE`


def text(name: str, preset: str | None = None, folder: Path = FOLDER) -> str:
    """Return the text of ``params.yaml`` for a profile.

    Each line keeps its comment; where an overlay changes a value, the comment gives the paper's value instead of its
    source.

    Args:
        name: stem of a file in ``folder``; ``paper`` has no overlay.
        preset: stem of a file in its subfolder ``presets``, or ``paper``: what the corpus sounds like; the sizes are
            those of the profile. None takes the profile's own.
        folder: where ``paper.yaml`` and the overlays are.

    Raises:
        AudiopgError: no such profile or preset, an overlay changes a key that does not exist, or a value is not
            allowed.
    """
    paper = _find(COMPLETE, folder, "profile")
    preset = preset or PRESETS.get(name, COMPLETE)
    overlays = [] if preset == COMPLETE else [_find(preset, folder / "presets", "preset", COMPLETE)]
    overlays += [] if name == COMPLETE else [_find(name, folder, "profile")]
    values = read_yaml(paper)
    for path in overlays:
        values = _laid_over(values, path)
    writer = _Writer(paper.read_text(encoding="utf-8").splitlines(), values)
    for path in overlays:
        writer.write(path)
    parse(values, f"profile {name}")
    return "\n".join(writer.finish()) + "\n"


def load(name: str, preset: str | None = None, folder: Path = FOLDER) -> Config:
    """Return the parameters of a profile; arguments and errors as `text`.

    >>> load("small").encoder.shape
    Size(width=192, depth=12, n_heads=3)
    >>> load("test", "world").synth.voices.count.max
    3.0
    """
    return parse(yaml.safe_load(text(name, preset, folder)), f"profile {name}")


def _find(name: str, folder: Path, kind: str, *others: str) -> Path:
    """Return the file of a profile or preset."""
    known = sorted([*others, *(path.stem for path in folder.glob("*.yaml"))])
    if name not in known:
        msg = f"unknown {kind} '{name}'; known: {', '.join(known)}" if known else f"{folder}: no {kind}s here"
        raise AudiopgError(msg)
    return folder / f"{name}.yaml"


def _laid_over(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        return merge(values, read_yaml(path))
    except AudiopgError as error:
        msg = f"{path}: {error}"
        raise AudiopgError(msg) from None


class _Writer:
    """Writes overlays into the lines of ``paper.yaml``."""

    def __init__(self, lines: list[str], values: Mapping[str, Any]) -> None:
        """Take the lines and their final values."""
        self.paper = lines
        self.lines = list(lines)
        self.values = values
        self.root = _mapping(lines)
        self.header: list[str] = []
        # replace open mappings as whole blocks, last, so that line numbers stay valid until then
        self.blocks: dict[int, tuple[int, list[str]]] = {}

    def write(self, path: Path) -> None:
        """Write one overlay; its first comment goes before those of earlier overlays."""
        overlay_lines = path.read_text(encoding="utf-8").splitlines()
        root = _mapping(overlay_lines)
        self._walk(self.root, root, overlay_lines, "", self.values)
        self.header = [line for line in overlay_lines[: root.start_mark.line] if line] + self.header

    def finish(self) -> list[str]:
        """Return all lines; the overlays' comments take the place of paper.yaml's first one."""
        for begin, (end, block) in sorted(self.blocks.items(), reverse=True):
            self.lines[begin:end] = block
        if not self.header:
            return self.lines
        own = next(number for number, line in enumerate(self.lines) if line.startswith("# Sources"))
        note = "# Written by `audiopg profile`. (paper: …) gives the paper's value where this profile has another one."
        return [*self.header, note, *self.lines[own:]]

    def _walk(
        self,
        node: yaml.MappingNode,
        changed: yaml.MappingNode,
        overlay_lines: list[str],
        place: str,
        values: Mapping[str, Any],
    ) -> None:
        nodes = {key.value: (key, value) for key, value in node.value}
        for change_key, change in changed.value:
            name = change_key.value
            key, value = nodes[name]
            path = f"{place}.{name}" if place else name
            if OPEN_MAPPINGS.fullmatch(path):
                block = overlay_lines[change_key.start_mark.line : _last(change)]
                self.blocks[key.start_mark.line] = (_last(value), block)
            elif isinstance(value, yaml.MappingNode) and not value.flow_style:
                self._walk(value, change, overlay_lines, path, values[name])
            else:
                self._replace(value, values[name])

    def _replace(self, value: yaml.Node, new: object) -> None:
        line = self.paper[value.start_mark.line]
        begin, end = value.start_mark.column, value.end_mark.column
        text = yaml.safe_dump(new, default_flow_style=True, width=1000, sort_keys=False).removesuffix("...\n").strip()
        if new != yaml.safe_load(line[begin:end]):
            column = line.index("#", end) - 1
            comment = line[column:].removeprefix(" # ").partition("[")[0]
            line = f"{line[:begin] + text:<{column}} # {comment}(paper: {line[begin:end]})"
        self.lines[value.start_mark.line] = line


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
