"""The tensor of the simulated device."""

import copy
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulated_cuda.counts import Counts, Kind

CUDA = torch.device("cuda", 0)
NO_NUMPY = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."


class Device:
    """The one device there is: counts of the simulation that lasts, and copies to the CPU that are on their way."""

    def __init__(self) -> None:
        """Start with nothing asked for."""
        self.counts = Counts()
        self.refuses_waits = False
        self._lock = threading.Lock()
        self._sent: list[tuple[Tensor, Tensor]] = []
        self._n_arrived = 0

    def send(self, numbers: Tensor, target: Tensor) -> None:
        """Begin a copy that nobody waits for; until somebody does, the target has wrong numbers in it."""
        with self._lock:
            self._sent.append((numbers.detach().clone(), target))
        target.fill_(torch.nan if target.is_floating_point() else 77)

    @property
    def n_sent(self) -> int:
        """How many copies were begun, a moment in the queue of the device."""
        with self._lock:
            return self._n_arrived + len(self._sent)

    def reach(self, moment: int | None = None) -> None:
        """End all copies that were begun before a moment, or all."""
        with self._lock:
            n = len(self._sent) if moment is None else max(moment - self._n_arrived, 0)
            for numbers, target in self._sent[:n]:
                target.copy_(numbers)
            del self._sent[:n]
            self._n_arrived += n


class Current:
    """Holds the device of the simulation that lasts."""

    device = Device()


class CudaTensor(Tensor):
    """A tensor of cuda:0 for Python and for every operator, of the CPU for autograd, whose engine asks for a driver."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    held: Tensor

    @staticmethod
    def __new__(cls: type[Tensor], held: Tensor) -> "CudaTensor":
        """Wrap the tensor that has the numbers."""
        made: CudaTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device="cpu",
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator in a thread that has not entered the simulation."""
        from simulated_cuda.operators import run  # noqa: PLC0415  (it knows this class)

        return run(func, args, kwargs or {})

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where the tensor pretends to be."""
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        """Whether it pretends to be on a CUDA device."""
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        """Whether it admits to be on the CPU."""
        return False

    def data_ptr(self) -> int:
        """Return where the numbers are."""
        return self.held.data_ptr()

    def tolist(self) -> Any:
        """Copy to the CPU, and return lists."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, unless a copy is asked for."""
        if not force:
            raise TypeError(NO_NUMPY)
        return self.detach().cpu().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Refuse."""
        raise TypeError(NO_NUMPY)

    def __deepcopy__(self, memo: dict[int, Any]) -> "CudaTensor":
        """Copy on the device."""
        if id(self) not in memo:
            with torch.no_grad():
                made = self.detach().clone().requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True  # type: ignore[attr-defined]
            made.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = made
        return memo[id(self)]  # type: ignore[no-any-return]

    def __repr__(self, *, tensor_contents: object = None) -> str:
        """Show the numbers; only for people, so it counts nothing."""
        return f"CudaTensor({self.held!r})"


def is_pinned(tensor: Tensor) -> bool:
    """Return whether a tensor of the CPU lies in memory that the device can copy from by itself."""
    return bool(getattr(tensor.untyped_storage(), "pinned", False))


def pinned(tensor: Tensor) -> Tensor:
    """Mark a tensor of the CPU, and all that share its memory, as pinned."""
    tensor.untyped_storage().pinned = True  # type: ignore[attr-defined]
    return tensor


def count(kind: Kind, operator: str, moment: int | None = None) -> None:
    """Count what the device is asked for; if it is a wait, the copies before it, or before a moment, have arrived."""
    Current.device.counts.add(kind, operator)
    if kind is Kind.SYNC:
        if Current.device.refuses_waits:
            msg = "called a synchronizing CUDA operation"
            raise RuntimeError(msg)
        Current.device.reach(moment)
