"""What the machine has, and how long a stage takes to start on it."""

import os
import platform
import shutil
import subprocess
import sys
import time

import psutil
import torch

from audiopg import gpus
from audiopg.errors import AudiopgError
from audiopg.rehearse.setting import Figures, Setting


def machine(setting: Setting) -> Figures:
    """Describe device, processor, memory and disk."""
    device = setting.backend.device
    found: Figures = {
        "device": setting.backend.name,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "n_cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "memory_free_gb": psutil.virtual_memory().available / 1e9,
        "disk_free_gb": shutil.disk_usage(setting.folder).free / 1e9,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "gpu_memory_gb": properties.total_memory / 1e9,
            "n_gpus": torch.cuda.device_count(),
            "driver": gpus.driver() or "unknown",
            "cuda": torch.version.cuda or "none",
            "bfloat16": "yes" if torch.cuda.is_bf16_supported(including_emulation=False) else "no",
        }
    return found


def start(setting: Setting) -> Figures:  # noqa: ARG001  (called as the other parts)
    """Start Python once more, and load what a stage loads.

    Raises:
        AudiopgError: it does not start.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", "import audiopg.cli.app, audiopg.train.finetune"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"a stage does not start: {done.stderr.strip().splitlines()[-1]}"
        raise AudiopgError(msg)
    return {"start_s": time.perf_counter() - began}
