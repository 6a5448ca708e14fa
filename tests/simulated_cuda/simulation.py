"""The time in which torch has a CUDA device that is simulated."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.utils._foreach_utils
from torch import Tensor
from torch.optim.optimizer import _foreach_supported_types as OPTIMIZED

from simulated_cuda import transfers
from simulated_cuda.autocast import Autocast
from simulated_cuda.counts import Counts, Kind
from simulated_cuda.operators import OnDevice
from simulated_cuda.tensor import CUDA, CudaTensor, Current, Device, count, is_pinned


class Stream:
    """A queue of the device; there, all is done at once and in order."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take any device and priority."""
        self.device = CUDA

    def synchronize(self) -> None:
        """Wait."""
        count(Kind.SYNC, "stream")

    def is_capturing(self) -> bool:
        """Return whether a graph is recorded."""
        return False

    def wait_stream(self, stream: "Stream") -> None:
        """Have the device wait, not the CPU."""

    def wait_event(self, event: "Event") -> None:
        """Have the device wait, not the CPU."""

    def record_event(self, event: "Event | None" = None) -> "Event":
        """Return an event after all that was asked for."""
        event = event or Event()
        event.record()
        return event


class Event:
    """A moment of a stream."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take any options."""
        self.moment = 0

    def record(self, stream: Stream | None = None) -> None:  # noqa: ARG002
        """Take the moment after all that was asked for."""
        self.moment = Current.device.n_sent

    def wait(self, stream: Stream | None = None) -> None:
        """Have the device wait, not the CPU."""

    def query(self) -> bool:
        """Return that it has passed, which takes no time here."""
        Current.device.reach(self.moment)
        return True

    def synchronize(self) -> None:
        """Wait."""
        count(Kind.SYNC, "event", self.moment)


class Properties:
    """What the device says of itself."""

    name = "simulated CUDA device"
    major, minor = 9, 0
    total_memory = 80 << 30
    multi_processor_count = 132


def set_sync_debug_mode(mode: str) -> None:
    """Refuse to be waited for, or allow it."""
    Current.device.refuses_waits = mode == "error"


DRIVER: dict[str, Any] = {
    "set_sync_debug_mode": set_sync_debug_mode,
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "_lazy_init": lambda: None,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda _: None,
    "get_device_name": lambda _=None: Properties.name,
    "get_device_properties": lambda _=None: Properties,
    "get_device_capability": lambda _=None: (Properties.major, Properties.minor),
    "is_bf16_supported": lambda including_emulation=True: True,  # noqa: ARG005
    "device": lambda _: contextlib.nullcontext(),
    "synchronize": lambda _=None: count(Kind.SYNC, "synchronize"),
    "empty_cache": lambda: None,
    "reset_peak_memory_stats": lambda _=None: None,
    "max_memory_allocated": lambda _=None: 0,
    "Stream": Stream,
    "Event": Event,
    "stream": lambda _: contextlib.nullcontext(),
    "current_stream": Stream,
    "default_stream": Stream,
}


def _placed(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that makes a tensor on the CPU, then moves it; torch's own moves it past all modes."""

    def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        if device is None or isinstance(data, CudaTensor):
            return make(data, *args, **kwargs)
        return make(data, *args, **kwargs).to(device)

    return made


def _grouped(group: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that names the device of each group of tensors, for which torch's own asks its C++."""

    def grouped(lists: Any, with_indices: bool = False) -> Any:
        found = group(lists, with_indices)
        return {(each[0][0][0].device, dtype): each for (_, dtype), each in found.items()}

    return grouped


def _in_thread(run: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    """Return a thread's work with the simulation in it, as each thread has its own modes."""

    def entered(self: threading.Thread) -> None:
        with OnDevice():
            run(self)

    return entered


@contextlib.contextmanager
def simulation() -> Iterator[Counts]:
    """Give torch a CUDA device, in this thread and all that start meanwhile; yield the counts of what it is asked for.

    What is true of this machine, such as a real device, is out of sight while it lasts.
    """
    device, swaps = Device(), torch.__future__.get_swap_module_params_on_conversion()
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(Current, "device", device))
        stack.enter_context(mock.patch.multiple(torch.cuda, **DRIVER))
        stack.enter_context(
            mock.patch.multiple(
                Tensor,
                to=transfers.to,
                cpu=transfers.cpu,
                cuda=transfers.cuda,
                pin_memory=transfers.pin_memory,
                is_pinned=is_pinned,
            )
        )
        stack.enter_context(
            mock.patch.multiple(torch, tensor=_placed(torch.tensor), as_tensor=_placed(torch.as_tensor))
        )
        stack.enter_context(mock.patch.object(torch.accelerator, "current_stream", Stream))
        stack.enter_context(mock.patch.object(torch, "autocast", Autocast))
        grouped = _grouped(torch._C._group_tensors_by_device_and_dtype)
        stack.enter_context(mock.patch.object(torch._C, "_group_tensors_by_device_and_dtype", grouped))
        stack.enter_context(mock.patch.object(threading.Thread, "run", _in_thread(threading.Thread.run)))
        for types in (OPTIMIZED, torch.utils._foreach_utils._foreach_supported_types):  # several tensors at once
            types.append(CudaTensor)
            stack.callback(types.remove, CudaTensor)
        # `Module.to` keeps the parameters' identity, as with a real device
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, swaps)
        stack.enter_context(OnDevice())
        yield device.counts
