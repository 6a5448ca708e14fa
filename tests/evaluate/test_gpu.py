"""On a GPU the probes come to what they come to on the CPU."""

from pathlib import Path

import pytest
from support.finetuning import separable_task

from audiopg import storage
from audiopg.config import Config
from audiopg.evaluate import probes
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained

pytestmark = pytest.mark.gpu


@pytest.mark.slow
def test_the_probes_have_the_scores_of_the_cpu(tiny: Config, tmp_path: Path) -> None:
    paths, encoder = separable_task(tiny, tmp_path), tmp_path / "encoder.safetensors"
    save_encoder(encoder, untrained(tiny.encoder, 1), tiny.features)
    found = {}
    for device in ("cpu", "cuda"):
        cfg = tiny.model_copy(update={"compute": tiny.compute.model_copy(update={"device": device})})
        probes.run(cfg, "drums", *paths, encoder, tmp_path / device)
        found[device] = storage.read_json(tmp_path / device / "scores.json")
    assert found["cuda"].keys() == {"probe_linear", "probe_knn", "probe_random", "logmel_stats"}
    for row, figures in found["cpu"].items():  # of 24 recordings; one may be on the edge
        assert found["cuda"][row]["accuracy"] == pytest.approx(figures["accuracy"], abs=0.17)
