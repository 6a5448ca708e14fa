"""On a GPU the latent analysis comes to what it comes to on the CPU."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from audiopg import storage, tensors
from audiopg.analysis import latent
from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.mae import MaskedAutoencoder
from audiopg.models.vit import initialise

pytestmark = pytest.mark.gpu


@pytest.mark.slow
def test_the_analysis_has_the_tables_of_the_cpu(tiny: Config, tmp_path: Path) -> None:
    path, whole = tmp_path / "encoder.safetensors", tmp_path / "model.safetensors"
    model = MaskedAutoencoder(tiny.encoder, tiny.pretrain.decoder, tiny.pretrain.mask_ratio)
    initialise(model, tiny.seed)
    with torch.no_grad():  # not the control itself
        model.encoder.embed.weight.mul_(1.5)
    save_encoder(path, model.encoder, tiny.features)
    tensors.write(whole, model.state_dict(), {})
    few = tiny.latent.model_copy(update={"corpora": ["events", "natural", "notes"], "n_threads": 2})
    for device in ("cpu", "cuda"):
        compute = tiny.compute.model_copy(update={"device": device})
        latent.run(tiny.model_copy(update={"latent": few, "compute": compute}), path, whole, tmp_path / device)
    assert storage.read_json(tmp_path / "cuda" / "run.json")["device"].startswith("cuda")
    for name in latent.TABLES:
        expected, found = (pd.read_csv(tmp_path / device / f"{name}.csv") for device in ("cpu", "cuda"))
        assert found.shape == expected.shape
        assert list(found.columns) == list(expected.columns)
    for name, digit in (("filters", 2e-3), ("attention", 2e-3), ("reconstructions", 0.101)):  # no fit comes between
        expected, found = (pd.read_csv(tmp_path / device / f"{name}.csv") for device in ("cpu", "cuda"))
        numbers = expected.select_dtypes("number").columns
        np.testing.assert_allclose(found[numbers], expected[numbers], atol=digit, rtol=0)
