"""Automatic mixed precision of the simulated device."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from simulated_cuda.tensor import CudaTensor

_autocast = torch.autocast
# What a CUDA device computes in float32 and a CPU, whose autocast is underneath, does not; of torch's own list.
FLOAT32 = {
    *("layer_norm", "softmax", "log_softmax", "cross_entropy", "nll_loss", "binary_cross_entropy_with_logits"),
    *("mse_loss", "l1_loss", "smooth_l1_loss", "cosine_similarity", "norm", "pow", "__pow__", "exp", "log", "sum"),
    *("cumsum", "prod", "rsqrt", "reciprocal", "log10", "log2", "log1p", "expm1", "normalize", "dist"),
}


class _InFloat32(TorchFunctionMode):
    """Casts the arguments of such functions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in FLOAT32 and torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map(_whole, (args, kwargs))
        return func(*args, **kwargs)


def _whole(value: Any) -> Any:
    narrow = isinstance(value, CudaTensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if narrow else value


class Autocast(_autocast):
    """That of the CPU, for the simulated device, with the functions that the latter computes in float32."""

    def __init__(self, device_type: str, dtype: torch.dtype | None = None, **options: Any) -> None:
        """Take what `torch.autocast` takes."""
        simulated = device_type == "cuda"
        if simulated and dtype is None:
            dtype = torch.float16
        super().__init__("cpu" if simulated else device_type, dtype, **options)
        self._mode = _InFloat32() if simulated else None

    def __enter__(self) -> Any:
        """Begin."""
        if self._mode is not None:
            self._mode.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> Any:
        """End."""
        result = super().__exit__(*error)
        if self._mode is not None:
            self._mode.__exit__(*error)
        return result
