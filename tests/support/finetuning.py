"""Recordings that are easy to tell apart, as a task to fine-tune on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiopg import config
from audiopg.config import Config
from audiopg.data.clips import FRAMES, STARTS, STORED, Clips
from audiopg.features.logmel import LogMel
from audiopg.tasks.manifest import Manifest, Row
from audiopg.tasks.registry import TASKS
from audiopg.train.batches import Batches


def separable(features: config.Features) -> tuple[Clips, NDArray[np.float32]]:
    """Recordings whose class is the band that is loud, and their targets."""
    generator = np.random.Generator(np.random.Philox(1))
    classes = np.arange(24) % 3
    frames = generator.standard_normal((24 * 32, 128)).astype(np.float32)
    for row, label in enumerate(classes):
        frames[row * 32 : (row + 1) * 32, label * 40 : label * 40 + 20] += 3
    return Clips(frames.astype(STORED), np.arange(25) * 32, 32, LogMel(features)), np.eye(3, dtype=np.float32)[classes]


def separable_task(tiny: Config, folder: Path, protocol: str = "folds") -> tuple[Path, Path, Path]:
    """Write manifest and card of the separable recordings, four folds or a split, and the decoded recordings."""
    clips, targets = separable(tiny.features)
    part = ["train", "train", "val", "test"]
    rows = [
        Row(
            f"{number:02d}.wav",
            (f"class {int(target.argmax())}",),
            *((number // 3 % 4 + 1, "") if protocol == "folds" else (None, part[number // 3 % 4])),
            group=str(number),
            duration_s=0.32,
            source_id="",
            licence="",
            sha256="",
        )
        for number, target in enumerate(targets)
    ]
    Manifest(tuple(rows)).write(folder / "manifest.csv")
    sizes = (6,) * 4 if protocol == "folds" else (12, 6, 6)
    replace(TASKS["drums"].card, protocol=protocol, sizes=sizes, n_classes=3).write(folder / "card.json")
    write_decoded(clips, folder / "decoded")
    return folder / "manifest.csv", folder / "card.json", folder / "decoded"


def write_decoded(clips: Clips, folder: Path) -> None:
    """Write what the stage `decode` would have written of these clips."""
    folder.mkdir(exist_ok=True)
    clips.frames.tofile(folder / FRAMES)
    np.save(folder / STARTS, clips.starts)


def batches(
    tiny: Config,
    rows: NDArray[np.int64],
    *,
    targets: Any = None,
    seed: int = 0,
    multi_label: bool = False,
    **changes: Any,
) -> Batches:
    """Batches of the separable recordings, without augmentation but for ``changes``."""
    clips, classes = separable(tiny.features)
    plain = {"shift_frames": 0, "label_smoothing": 0.0, "mixup_alpha": 0.0, "cutmix_alpha": 0.0}
    recipe = tiny.recipe("drums").model_copy(update=plain | changes)
    targets = classes if targets is None else np.asarray(targets, dtype=np.float32)
    return Batches(clips, targets, rows, recipe, seed, "x", multi_label=multi_label)


EVERYTHING = {
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
    "n_time_masks": 2,
    "time_mask_frames": 8,
    "n_mel_masks": 2,
    "patch_drop": 0.5,
    "drop_path": 0.2,
    "pooling": "attention",
    "normalise": "task",
}
