"""Tensors on their way between the CPU and the simulated device, with their gradients."""

from typing import Any

import torch
from torch import Tensor

from simulated_cuda.counts import Kind
from simulated_cuda.operators import crossing
from simulated_cuda.tensor import CUDA, CudaTensor, Current, count, is_pinned, pinned

_to = Tensor.to
_CPU = torch.device("cpu")


class _Up(torch.autograd.Function):
    """Copies to the device."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, non_blocking: bool) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        crossing(tensor, non_blocking=non_blocking, operator="to_cuda")
        return CudaTensor(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]  # noqa: ARG004
        return down(gradient), None


class _Down(torch.autograd.Function):
    """Copies to the CPU; a copy that nobody waits for is in pinned memory."""

    @staticmethod
    def forward(ctx: Any, tensor: CudaTensor, non_blocking: bool) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        held = tensor.detach().held
        count(Kind.COPY if non_blocking else Kind.SYNC, "to_cpu")
        if not non_blocking:
            return held.clone()
        target = pinned(torch.empty_like(held))
        Current.device.send(held, target)
        return target

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]  # noqa: ARG004
        return up(gradient), None


def up(tensor: Tensor, *, non_blocking: bool = False) -> Tensor:
    """Copy a tensor to the device."""
    copied: Tensor = _Up.apply(tensor, non_blocking)
    return copied


def down(tensor: Tensor, *, non_blocking: bool = False) -> Tensor:
    """Copy a tensor to the CPU."""
    copied: Tensor = _Down.apply(tensor, non_blocking)
    return copied


def to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Do what `Tensor.to` does, for tensors of either side."""
    copies = kwargs.pop("copy", False)
    like = kwargs.pop("other", None)
    if args and isinstance(args[0], Tensor):
        like, args = args[0], args[1:]
    if like is not None:
        args = (like.device, like.dtype, *args)
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    source = tensor.device
    target = source if device is None else device
    moved = tensor
    if target.type != source.type:
        moved = (up if target.type == CUDA.type else down)(tensor, non_blocking=non_blocking)
    wanted = {} if memory_format is None else {"memory_format": memory_format}
    return _to(moved, moved.dtype if dtype is None else dtype, copy=copies and moved is tensor, **wanted)


def cpu(tensor: Tensor) -> Tensor:
    """Do what `Tensor.cpu` does."""
    return to(tensor, _CPU)


def cuda(tensor: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:  # noqa: ARG001
    """Do what `Tensor.cuda` does."""
    return to(tensor, CUDA, non_blocking=non_blocking)


def pin_memory(tensor: Tensor, device: Any = None) -> Tensor:  # noqa: ARG001
    """Do what `Tensor.pin_memory` does.

    Raises:
        RuntimeError: the tensor is on the device.
    """
    if isinstance(tensor, CudaTensor):
        msg = "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"
        raise RuntimeError(msg)
    return tensor if is_pinned(tensor) else pinned(tensor.clone())
