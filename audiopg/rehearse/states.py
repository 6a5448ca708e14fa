"""A save, and a run that is killed and continued."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from audiopg.rehearse.setting import Figures, Setting
from audiopg.rehearse.steps import pretraining
from audiopg.train.checkpoints import Checkpoints
from audiopg.train.loop import READ_EVERY


class Timed(Checkpoints):
    """States that note how long the training waits for the copy, and how long the disk takes."""

    copy_s = 0.0
    write_s = 0.0

    def save(self, step: int, state: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
        """Save, and wait for the disk."""
        began_s = time.perf_counter()
        super().save(step, state, header)
        copied_s = time.perf_counter()
        self.finish()
        self.copy_s, self.write_s = copied_s - began_s, time.perf_counter() - copied_s


def saving(setting: Setting) -> Figures:
    """Save the state of a pre-training: its copy, and beside the training the checksum and the write."""
    training, corpus, loss_of = pretraining(setting, READ_EVERY[setting.backend.device.type])
    checkpoints = Timed(setting.folder / "save", "rehearsal", 0.0)
    training.fit(corpus, loss_of, setting.backend, "rehearsal: save", checkpoints)
    n_bytes = sum(path.stat().st_size for path in checkpoints.own)
    checkpoints.clear()
    return {
        "state_gb": n_bytes / 1e9,
        "copy_s": checkpoints.copy_s,
        "write_s": checkpoints.write_s,
        "copy_gb_per_s": n_bytes / 1e9 / checkpoints.copy_s,
        "write_gb_per_s": n_bytes / 1e9 / checkpoints.write_s,
    }


def resuming(setting: Setting) -> Figures:
    """Kill a pre-training by SIGTERM, as a cluster does, and continue it: its losses against those of a whole run."""
    n_looks = READ_EVERY[setting.backend.device.type]
    n_steps = 4 * n_looks
    whole, corpus, loss_of = pretraining(setting, n_steps)
    whole.fit(corpus, loss_of, setting.backend, "rehearsal: whole run")

    def kill(step: int) -> None:
        if step == 2 * n_looks:
            os.kill(os.getpid(), signal.SIGTERM)

    def states(folder: Path) -> Checkpoints:
        return Checkpoints(folder, "rehearsal", 3600.0)

    folder = setting.folder / "resume"
    first, corpus, loss_of = pretraining(setting, n_steps)
    killed = False
    try:
        first.fit(corpus, loss_of, setting.backend, "rehearsal: killed", states(folder), kill)
    except KeyboardInterrupt:
        killed = True
    second, corpus, loss_of = pretraining(setting, n_steps)
    checkpoints = states(folder)
    second.fit(corpus, loss_of, setting.backend, "rehearsal: continued", checkpoints)
    checkpoints.clear()
    differences = np.abs(np.array(second.losses) / np.array(whole.losses) - 1)
    return {
        "n_steps": n_steps,
        "killed_at": first.step if killed else 0,
        "largest_difference": float(differences.max()),
    }
