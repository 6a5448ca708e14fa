"""A compiled training has one graph: nothing breaks it, and no step has a shape of its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.finetuning import separable_task
from support.pretraining import changed, run
from torch._dynamo.utils import counters

from audiopg.config import Config
from audiopg.models.checkpoint import save_encoder
from audiopg.models.vit import untrained
from audiopg.train import finetune

Graphs = list[torch.fx.GraphModule]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """The graphs that are made, which run as they are: no C++ compiler takes minutes."""
    made: Graphs = []

    def keep(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        made.append(graph)
        return graph.forward

    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=keep))
    return made


def check(graphs: Graphs) -> None:
    """There is one graph, of torch's operators alone."""
    assert len(graphs) == counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    modules = {getattr(node.target, "__module__", "") or "" for node in graphs[0].graph.nodes if callable(node.target)}
    assert modules
    assert not [name for name in modules if "numpy" in name]


@pytest.mark.parametrize("objectives", [{}, {"physics": 0.5, "twins": 1.0}, {"reconstruction": 0.0, "twins": 1.0}])
def test_pretraining_is_one_graph(tiny: Config, tmp_path: Path, graphs: Graphs, objectives: dict[str, float]) -> None:
    tiny = tiny.model_copy(update={"synth": tiny.synth.with_identities(2)})
    changes = {"compute": {"compile": True}, "objectives": objectives, "drop_path": 0.2, "accumulate": 2}
    run(changed(tiny, n_steps=4, batch_size=8, **changes), tmp_path)
    check(graphs)


def test_finetuning_is_one_graph(tiny: Config, tmp_path: Path, graphs: Graphs) -> None:
    """18 recordings in batches of 8: the last of each epoch is filled up."""
    changes = {"n_epochs": 2, "batch_size": 8, "patch_drop": 0.5, "drop_path": 0.2, "mixup_alpha": 0.5}
    cfg = changed(tiny, compute={"compile": True})
    cfg = cfg.model_copy(update={"finetune": cfg.finetune.model_copy(update=changes)})
    paths, encoder = separable_task(cfg, tmp_path), tmp_path / "encoder.safetensors"
    save_encoder(encoder, untrained(cfg.encoder, 1), cfg.features)
    finetune.run(cfg, "drums", 1, "pretrained", *paths, encoder, resume=tmp_path / "resume", out=tmp_path / "out")
    check(graphs)
