"""Where the parts of a rehearsal take place in a test."""

from pathlib import Path

import pytest
import torch

from audiopg import compute
from audiopg.config import Config
from audiopg.rehearse.setting import Setting

SIMULATED = pytest.mark.usefixtures("simulated_cuda", "n_threads")
"""For parts on a simulated device, which set torch's number of threads."""


def setting_of(cfg: Config, folder: Path, device: str = "cpu", precision: str = "float32") -> Setting:
    """A setting in which each rate is that of one call."""
    changed = cfg.compute.model_copy(update={"device": device, "precision": precision})
    cfg = cfg.model_copy(update={"compute": changed})
    backend = compute.backend(cfg.compute, torch.get_num_threads(), trains=True)
    return Setting(cfg, backend, folder, folder, 0.0)
