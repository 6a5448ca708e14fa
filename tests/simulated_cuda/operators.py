"""How the simulated device runs an operator of torch."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from simulated_cuda.counts import Kind
from simulated_cuda.tensor import CudaTensor, Current, count, is_pinned, pinned

# Operators without a kernel, beside all that return a view.
FREE = {
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "is_same_size"),
    *("set_", "detach_", "_local_scalar_dense", "is_pinned", "sym_size", "sym_stride", "sym_numel"),
}
# Operators whose result has a size, or is a number, that the CPU waits for.
WAITING = {
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique", "_unique2", "unique_dim"),
    *("unique_consecutive", "unique_dim_consecutive", "bincount", "_linalg_eigh", "_linalg_svd", "linalg_lstsq"),
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
MIXED = (
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! (operator {name})"
)


class OnDevice(TorchDispatchMode):
    """Makes tensors on the device where torch is asked for some; each thread has to enter it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        return run(func, args, kwargs or {})


class Operator(NamedTuple):
    """What matters of an operator of torch."""

    name: str
    launches: bool
    waits: bool
    written: tuple[tuple[int | None, str], ...]
    """For each result, place and name of the argument that it is; without a place, it is a new tensor."""


@cache
def known(func: Any) -> Operator:
    """Return what matters of an operator."""
    name = func._schema.name.partition("::")[2]
    arguments = {
        frozenset(argument.alias_info.before_set): (place, argument.name)
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    written = [
        arguments[frozenset(each.alias_info.before_set)]
        if each.alias_info is not None and each.alias_info.is_write
        else (None, "")
        for each in func._schema.returns
    ]
    return Operator(name, not func.is_view and name not in FREE, name in WAITING, tuple(written))


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operator where its tensors are, or where it is to make one.

    Raises:
        RuntimeError: its tensors are on different devices.
    """
    tensors = list(_tensors((args, kwargs)))
    involved = any(isinstance(tensor, CudaTensor) for tensor in tensors)
    device = kwargs.get("device")
    asked = device is not None and torch.device(device).type == "cuda"
    if kwargs.get("pin_memory"):
        return pinned(func(*_held(args), **_held(kwargs | {"pin_memory": False})))
    if not (involved or asked):
        return func(*args, **kwargs)
    operator = known(func)
    name = operator.name
    if name == "copy_":
        return _copy(func, *args, **kwargs)
    if involved:
        _check(name, tensors, args)
    if operator.waits or _has_mask(name, args) or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        count(Kind.SYNC, name)
    if operator.launches:
        count(Kind.LAUNCH, name)
    # the C++ of torch, which takes the tensors for those of a CPU, may name that device
    there = kwargs if device is None else kwargs | {"device": torch.device("cpu")}
    return _returned(operator, func(*_held(args), **_held(there)), args, kwargs)


def _tensors(nested: Any) -> Iterator[Tensor]:
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, list | tuple):
        for each in nested:
            yield from _tensors(each)
    elif isinstance(nested, dict):
        for each in nested.values():
            yield from _tensors(each)


def _held(nested: Any) -> Any:
    """Return arguments with the numbers in place of the tensors of the device; torch's own `tree_map` takes longer."""
    if isinstance(nested, CudaTensor):
        return nested.held
    if isinstance(nested, list | tuple):
        return [_held(each) for each in nested]
    if isinstance(nested, dict):
        return {name: _held(each) for name, each in nested.items()}
    return nested


def _wrapped(nested: Any) -> Any:
    """Return results as tensors of the device."""
    if isinstance(nested, Tensor):
        return CudaTensor(nested)
    return type(nested)(map(_wrapped, nested)) if isinstance(nested, list | tuple) else nested


def _check(name: str, tensors: list[Tensor], args: Any) -> None:
    """Refuse what is on the CPU and no single number; an index and its values are copied, for which the CPU waits."""
    strangers = [tensor for tensor in tensors if not isinstance(tensor, CudaTensor)]
    if name in INDEXING and isinstance(args[0], CudaTensor):
        for _ in strangers:
            count(Kind.SYNC, name)
    elif any(tensor.dim() for tensor in strangers) or (strangers and name.endswith("_") and strangers[0] is tensors[0]):
        raise RuntimeError(MIXED.format(name=name))


def _has_mask(name: str, args: Any) -> bool:
    """Return whether an index is a mask, whose places have to be counted; a single value needs no places."""
    if name not in INDEXING:
        return False
    masks = [each for each in args[1] if each is not None and each.dtype in (torch.bool, torch.uint8)]
    fills = len(args) > 2 and args[2].numel() == 1 and len(masks) == 1
    return bool(masks) and not fills


def _copy(func: Any, target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """Copy into a tensor, within the device or across."""
    ends = (isinstance(target, CudaTensor), isinstance(source, CudaTensor))
    if all(ends):
        count(Kind.LAUNCH, "copy_")
    elif crossing(target if ends[1] else source, non_blocking=non_blocking, operator="copy_") and ends[1]:
        Current.device.send(_held(source), target)
        return target
    func(_held(target), _held(source))
    return target


def crossing(host: Tensor, *, non_blocking: bool, operator: str) -> bool:
    """Count a copy between the device and a tensor of the CPU; return whether the CPU goes on at once.

    It does with pinned memory only.
    """
    free = non_blocking and is_pinned(host)
    count(Kind.COPY if free else Kind.SYNC, operator)
    return free


def _returned(operator: Operator, results: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Wrap results; what was written in place is the argument itself."""
    several = results if isinstance(results, tuple) else (results,)
    found = [
        _wrapped(result) if place is None else args[place] if place < len(args) else kwargs[name]
        for (place, name), result in zip(operator.written, several, strict=False)
    ]
    return tuple(found) if isinstance(results, tuple) else (found or [None])[0]
