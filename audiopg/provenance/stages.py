"""The stages of the workflow: one table, which command line, rules, digests and run cards read."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiopg.config import Config


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        module: dotted name of the module whose ``run`` does the work.
        reads: the parameters that it depends on, by dotted name; ``{task}`` is replaced by the name of its task.
        unfollowed: modules and packages that it imports although no result depends on them.
    """

    module: str
    reads: tuple[str, ...] = ()
    unfollowed: tuple[str, ...] = ()


# Snakemake compares the values of `reads`, dvc.yaml lists the same names (a test holds them together), and each run
# card records them. Single keys of a task may be absent from params.yaml: DVC has them from results/code.json.
# Averages and the table are refused if a run card behind them disagrees with the parameters, so both read all of those.
STAGES = {
    "fetch": Stage("audiopg.fetch.record"),
    "prepare": Stage("audiopg.data.prepare"),
    # each recording is compared with its digest in the manifest: how and from where it was fetched changes nothing
    "decode": Stage(
        "audiopg.data.decode",
        ("features", "tasks.{task}.clip_s"),
        unfollowed=("audiopg.fetch", "audiopg.tasks.registry"),
    ),
    "pretrain": Stage(
        "audiopg.train.pretrain",
        ("seed", "compute", "synth", "features", "encoder", "pretrain"),
    ),
    "finetune": Stage(
        "audiopg.train.finetune",
        ("seed", "compute", "features", "encoder", "finetune", "tasks.{task}"),
        unfollowed=("audiopg.audio",),  # what measured the recordings of the manifest; this stage opens none
    ),
    "probe": Stage(
        "audiopg.evaluate.probes",
        ("seed", "compute", "features", "encoder", "probe", "tasks.{task}.clip_s", "tasks.{task}.train_share"),
        unfollowed=("audiopg.audio",),
    ),
    "aggregate": Stage(
        "audiopg.report.aggregate",
        ("seed", "compute", "features", "encoder", "finetune", "probe", "tasks.{task}"),
    ),
    "latent": Stage(
        "audiopg.analysis.latent",
        (
            *("seed", "compute", "synth", "features", "encoder", "latent"),
            *("pretrain.decoder", "pretrain.mask_ratio"),
        ),
    ),
    "table": Stage(
        "audiopg.report.table",
        ("seed", "compute", "synth", "features", "encoder", "pretrain", "finetune", "tasks", "probe", "latent"),
    ),
    "render": Stage("audiopg.data.render", ("seed", "synth", "features")),
    "gallery": Stage("audiopg.data.gallery", ("seed", "synth", "features")),
}


def load(stage: str) -> ModuleType:
    """Import the module of a stage."""
    return importlib.import_module(STAGES[stage].module)


def reads(config: "Config", stage: str, task: str = "") -> dict[str, Any]:
    """Return the parameters that a stage depends on, by dotted name."""
    data = config.model_dump(mode="json")
    slices = {}
    for template in STAGES[stage].reads:
        name = template.format(task=task)
        node = data
        for key in name.split("."):
            node = node[key]
        slices[name] = node
    return slices
