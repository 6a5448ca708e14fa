"""Looks for mistakes in the parameters that only the code of a stage sees, before old results are removed."""

import math
import os
from pathlib import Path

from audiopg import compute, config
from audiopg.analysis.corpora import synthetic
from audiopg.errors import AudiopgError
from audiopg.synth import distributions
from audiopg.synth.physics import Physics
from audiopg.tasks import registry
from audiopg.tasks.card import Card
from audiopg.tasks.task import Download


def check(cfg: config.Config, *, computes_here: bool) -> None:
    """Check what reading the parameters does not: it knows no sources, no corpora and no machine.

    `dvc repro` removes the results of a stage before it starts it, and Snakemake those of a job. So the Snakefile calls
    this before the first job; under DVC, before that of the stage ``code``, which all others wait for.

    Args:
        cfg: all parameters.
        computes_here: whether the jobs run on this machine, and not on a cluster.

    Raises:
        AudiopgError: a stage would stop at these parameters.
    """
    if os.environ.get("DVC_STAGE", "code") != "code":
        return
    try:
        distributions.check(cfg.synth)
    except AudiopgError as error:
        msg = f"params.yaml: {error}"
        raise AudiopgError(msg) from None
    if cfg.pretrain.objectives.physics:
        Physics(cfg.synth)
    synthetic.check(cfg)
    for name, task in cfg.tasks.items():
        found = registry.find(name, task)
        if task.own and computes_here and not isinstance(found.source, Download):
            found.source(Path())  # which looks for the folder
        # the probes count exactly; here the share is rounded in favour of the parameters
        n_clips = math.ceil(_fewest(found.card) * task.train_share)
        if n_clips < cfg.probe.knn_k:
            k = cfg.probe.knn_k
            msg = f"params.yaml: probe.knn_k = {k}: tasks.{name} has {n_clips} clips to learn from; lower it"
            raise AudiopgError(msg)
    if computes_here:
        compute.check(cfg.compute, trains=True)


def _fewest(card: Card) -> int:
    """Count the clips that the smallest part of the protocol leaves for learning while a penalty is chosen."""
    if card.protocol == "split":
        return card.sizes[0]
    return card.n_clips - sum(sorted(card.sizes)[-2:])
