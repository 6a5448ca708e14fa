"""Reading ``params.yaml``, with errors of one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from audiopg.config import Choice, Config, Finetune, Range
from audiopg.errors import AudiopgError
from audiopg.registry import suggestion


def load(path: Path) -> Config:
    """Read and check a parameter file.

    Raises:
        AudiopgError: the file is missing, is not YAML, or holds a value that is not allowed; the message gives the
            dotted path, the value and what is allowed.
    """
    return parse(read_yaml(path), str(path))


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Check parameters that were read from ``source`` (a name for error messages).

    Raises:
        AudiopgError: as `load`.
    """
    place = ""
    try:
        config = Config.model_validate(data)
        for task in config.tasks:
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
        AudiopgError: the file is missing or is not a YAML mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path}: no such file; `audiopg profile quick` writes one"
        raise AudiopgError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: not a readable text file ({error})"
        raise AudiopgError(msg) from None
    except yaml.YAMLError as error:
        msg = f"{path}: not YAML: {' '.join(str(error).split())}"
        raise AudiopgError(msg) from None
    if not isinstance(data, dict):
        msg = f"{path}: expected a mapping of sections, found {type(data).__name__}"
        raise AudiopgError(msg)
    return data


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
    return list(annotation.model_fields)
