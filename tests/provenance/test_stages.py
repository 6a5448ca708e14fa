"""The parameters that each stage reads."""

import json

import pytest

from audiopg import storage
from audiopg.config import Config
from audiopg.provenance import stages


def test_slices_hold_what_a_stage_reads(quick: Config) -> None:
    slices = stages.reads(quick, "finetune", "drums")
    assert set(slices) == {"seed", "compute", "features", "encoder", "finetune", "tasks.drums"}
    assert slices["tasks.drums"]["clip_s"] == quick.tasks["drums"].clip_s
    json.dumps(slices)


@pytest.mark.parametrize("stage", ["finetune", "probe", "aggregate", "table"])
def test_what_trains_on_a_share_of_the_recordings_is_made_again_with_another(stage: str, quick: Config) -> None:
    shares = [
        quick.model_copy(update={"tasks": {"drums": quick.tasks["drums"].model_copy(update={"train_share": share})}})
        for share in (1.0, 0.5)
    ]
    whole, half = (storage.canonical(stages.reads(cfg, stage, "drums")) for cfg in shares)
    assert whole != half
