"""Device, precision and threads of a stage."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from threadpoolctl import threadpool_limits

from audiopg.errors import AudiopgError

if TYPE_CHECKING:
    from audiopg import config


@dataclass(frozen=True)
class Backend:
    """Where and how precisely a stage computes."""

    device: torch.device
    autocast_dtype: torch.dtype | None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    @property
    def name(self) -> str:
        """Short description for run cards, such as ``cpu float32``."""
        dtype = self.autocast_dtype or torch.float32
        return f"{self.device.type} {str(dtype).removeprefix('torch.')}"


def backend(compute: "config.Compute", n_threads: int) -> Backend:
    """Choose the device and precision, and set the number of CPU threads.

    The number of threads comes from the parameters, not from the machine: it can change the last bit of a sum.

    Raises:
        AudiopgError: CUDA is asked for and there is none.
    """
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)  # NumPy's and scikit-learn's matrix products
    if compute.device == "cuda" and not torch.cuda.is_available():
        msg = "params.yaml: compute.device: cuda asked for, but this machine has no CUDA device; use auto or cpu"
        raise AudiopgError(msg)
    device = torch.device("cuda" if compute.device != "cpu" and torch.cuda.is_available() else "cpu")
    reduced = compute.precision == "bfloat16" or (compute.precision == "auto" and bfloat16_gains(device))
    return Backend(device, torch.bfloat16 if reduced else None)


def bfloat16_gains(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 in hardware; emulated, it is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
