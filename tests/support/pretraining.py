"""A pre-training of a few steps, in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiopg.config import Config
from audiopg.train import pretrain
from audiopg.train.pretrain import Outputs


def changed(cfg: Config, **changes: Any) -> Config:
    """Parameters with a few steps, in float32, with other values in the section, its objectives or its optimiser."""
    optimizer = {name: changes.pop(name) for name in list(changes) if name in type(cfg.pretrain.optimizer).model_fields}
    few = {"n_steps": 3, "batch_size": 4, "save_every_min": 1e-9, "n_threads": torch.get_num_threads()}
    few["objectives"] = cfg.pretrain.objectives.model_copy(update=changes.pop("objectives", {}))
    few["optimizer"] = cfg.pretrain.optimizer.model_copy(update=optimizer)
    compute = cfg.compute.model_copy(update={"device": "cpu", "precision": "float32"} | changes.pop("compute", {}))
    return cfg.model_copy(update={"compute": compute, "pretrain": cfg.pretrain.model_copy(update=few | changes)})


def run(cfg: Config, folder: Path) -> Outputs:
    names = ("encoder.safetensors", "model.safetensors", "loss.csv", "run.json")
    outputs = Outputs(*(folder / name for name in names))
    pretrain.run(cfg, folder / "resume", folder / "curves", outputs)
    return outputs


def losses(outputs: Outputs) -> list[float]:
    return np.genfromtxt(outputs.loss, delimiter=",", skip_header=1)[:, 1].tolist()  # type: ignore[no-any-return]
