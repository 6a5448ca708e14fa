"""Overlays: mappings that change existing keys of other mappings of parameters."""

import re
from collections.abc import Mapping
from typing import Any

from audiopg.errors import AudiopgError
from audiopg.registry import suggestion

# Mappings whose keys the user chooses; an overlay replaces one of these as a whole.
OPEN_MAPPINGS = re.compile(r"(tasks|synth\.sources)")


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Lay ``overlay`` over ``base``; only keys that exist may change.

    Raises:
        AudiopgError: a key of the overlay is not in the base.
    """
    merged = dict(base)
    for key, value in overlay.items():
        path = f"{place}.{key}" if place else key
        if key not in base:
            msg = f"{path}: unknown key{suggestion(key, list(base))}"
            raise AudiopgError(msg)
        closed = isinstance(value, Mapping) and isinstance(base[key], Mapping) and not OPEN_MAPPINGS.fullmatch(path)
        merged[key] = merge(base[key], value, path) if closed else value
    return merged
