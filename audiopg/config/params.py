"""Reading ``params.yaml``, with errors of one line."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from audiopg.config import Choice, Config, Finetune, Range
from audiopg.errors import AudiopgError
from audiopg.registry import suggestion

MERGE = "tag:yaml.org,2002:merge"
TASK_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]*")
LONGEST_NAME = 64  # of a task: part of names of files, which have up to 255


def load(path: Path) -> Config:
    """Read and check a parameter file.

    Raises:
        AudiopgError: the file is missing, is not YAML, or holds a value that is not allowed; the message gives the
            dotted path, the value and what is allowed.
    """
    return parse(read_yaml(path), str(path))


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys, of which the last would win in silence."""

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
        """Parse one mapping; keys that are merged into it later are no duplicates."""
        node = super().compose_mapping_node(anchor)
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                msg = f"key '{key}' is there twice, in line {lines[key]} and in line {line}; keep one of them"
                raise AudiopgError(msg)
            lines[key] = line
        return node


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Check parameters that were read from ``source`` (a name for error messages).

    Raises:
        AudiopgError: as `load`.
    """
    place = ""
    try:
        config = Config.model_validate(data)
        for task in config.tasks:
            _check_name(task, list(config.tasks))
            place = f"tasks.{task}.finetune"
            config.recipe(task)
    except ValidationError as error:
        raise AudiopgError(f"{source}: {_explain(error, place)}") from None
    except AudiopgError as error:
        raise AudiopgError(f"{source}: {error}") from None
    return config


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        AudiopgError: the file is missing, is not a YAML mapping, or a key is in a mapping twice.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (a safe loader)
    except FileNotFoundError:
        msg = f"{path}: no such file; `audiopg profile quick` writes one"
        raise AudiopgError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable text file ({error})"
        raise AudiopgError(msg) from None
    except AudiopgError as error:
        msg = f"{path}: {error}"
        raise AudiopgError(msg) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-45
        msg = f"{path}: not YAML: {' '.join(str(error).split())}"
        raise AudiopgError(msg) from None
    if not isinstance(data, dict):
        msg = f"{path}: expected a mapping of sections, found {type(data).__name__}"
        raise AudiopgError(msg)
    return data


def _check_name(task: str, names: list[str]) -> None:
    """Check that a task's name can be part of paths, shell lines and rules on every system."""
    if not TASK_NAME.fullmatch(task):
        msg = f"tasks.{task!r}: not a name; letters, digits, '_' and '-' are allowed, the first a letter or a digit"
        raise AudiopgError(msg)
    if len(task) > LONGEST_NAME:
        msg = f"tasks.{task}: a name of {len(task)} characters; at most {LONGEST_NAME} are allowed"
        raise AudiopgError(msg)
    other = next((name for name in names if name != task and name.lower() == task.lower()), None)
    if other is not None:
        msg = f"tasks.{task}: the name differs from '{other}' only in capital letters, which some disks do not keep"
        raise AudiopgError(msg)


UNION_TAGS = {"<range>": Range, "<choice>": Choice}


def _explain(error: ValidationError, place: str) -> str:
    """Put the first mistake of a validation into one line."""
    # an unknown key is usually a misspelt known key, which is then missing as well
    mistake = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    location = list(mistake["loc"])
    path = ".".join(str(part) for part in [place, *location] if part not in {"", *UNION_TAGS})
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if mistake["type"] == "extra_forbidden":
        known = _keys_at(Finetune if place else Config, location[:-1])
        return f"{path}: unknown key{suggestion(str(location[-1]), known)}{more}"
    if mistake["type"] == "missing":
        return f"{path}: missing{more}"
    if mistake["type"] == "value_error":
        return f"{path + ': ' if path else ''}{mistake['ctx']['error']}{more}"
    return f"{path}: {mistake['msg']}, found {mistake['input']!r}{more}"


def _keys_at(annotation: Any, location: list[int | str]) -> list[str]:  # noqa: ANN401  (a type annotation)
    """List the keys that are known at a location of the configuration."""
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            annotation = UNION_TAGS[str(part)]
        if isinstance(annotation, UnionType):  # a section, or none
            annotation = get_args(annotation)[0]
    return list(annotation.model_fields)
