"""What a rehearsal has measured, for the parameters that it was measured with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiopg import config, storage
from audiopg.errors import AudiopgError

# Parameters on which a rate depends, by section; of the tasks, each has its own. Not: how many steps, clips and epochs.
WHOLE = ("compute", "synth", "features", "encoder")
PRETRAIN = ("batch_size", "accumulate", "objectives", "mask_ratio", "decoder", "drop_path", "n_threads")
FINETUNE = (
    "batch_size",
    "accumulate",
    "drop_path",
    "patch_drop",
    "pooling",
    "n_threads",
    "mixup_alpha",
    "cutmix_alpha",
)
PROBE = ("ridge_alphas", "knn_k", "n_threads")
LATENT = ("factors", "ridge_alphas", "n_null", "n_threads")


def shapes(cfg: config.Config) -> dict[str, str]:
    """Return all parameters on which a rate depends, by dotted name, as canonical JSON."""
    values = cfg.model_dump(mode="json")
    found = {name: values[name] for name in WHOLE}
    for name, keys in (("pretrain", PRETRAIN), ("probe", PROBE), ("latent", LATENT)):
        found |= {f"{name}.{key}": values[name][key] for key in keys}
    for task, section in cfg.tasks.items():
        recipe = cfg.recipe(task).model_dump(mode="json")
        found[f"tasks.{task}.clip_s"] = section.clip_s
        found |= {f"tasks.{task}.finetune.{key}": recipe[key] for key in FINETUNE}
    return {name: storage.canonical(value) for name, value in found.items()}


class Measured:
    """Figures of a rehearsal: seconds, rates and sizes, each above 0."""

    def __init__(self, path: Path, parts: Mapping[str, Any]) -> None:
        """Take the parts of a rehearsal, and the file that they are from."""
        self.path = path
        self._parts = parts

    @property
    def device(self) -> str:
        """Device and precision, such as ``cpu float32``."""
        return str(self._parts["machine"]["device"])

    def figure(self, part: str, name: str) -> float:
        """Return one figure.

        Raises:
            AudiopgError: the file does not have it, or it is not a number from 0 on.
        """
        value = self._parts.get(part, {}).get(name)
        if not isinstance(value, int | float) or not value >= 0:
            msg = f"{self.path}: '{part}' has no number '{name}'; run `audiopg rehearse` again"
            raise AudiopgError(msg)
        return float(value)

    def rate(self, part: str, name: str) -> float:
        """Return one figure that is divided by, as `figure`.

        Raises:
            AudiopgError: as `figure`, or it is 0.
        """
        value = self.figure(part, name)
        if not value:
            msg = f"{self.path}: '{part}' has a rate of 0 as '{name}'; run `audiopg rehearse` again"
            raise AudiopgError(msg)
        return value


def read(path: Path, cfg: config.Config) -> Measured:
    """Read ``rehearsal.json``.

    Args:
        path: the file.
        cfg: the parameters that are to be forecast.

    Raises:
        AudiopgError: the file is missing or something else, or was measured with other shapes than these parameters.
    """
    found = storage.read_json(path)
    known, parts = found.get("shapes"), found.get("parts")
    if not isinstance(known, dict) or not isinstance(parts, dict) or "device" not in parts.get("machine", {}):
        msg = f"{path}: is no rehearsal; `audiopg rehearse` writes one"
        raise AudiopgError(msg)
    for name, value in shapes(cfg).items():
        if known.get(name) != value:
            msg = f"{path}: was measured with another {name} than these parameters; run `audiopg rehearse` again"
            raise AudiopgError(msg)
    return Measured(path, parts)
