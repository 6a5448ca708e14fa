"""How the simulated device runs an operator of torch."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from simulated_cuda.counts import Kind
from simulated_cuda.tensor import CudaTensor, count, is_pinned, pinned

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
    name = func._schema.name.partition("::")[2]
    if name == "copy_":
        return _copy(func, *args, **kwargs)
    if involved:
        _check(name, tensors, args)
    if name in WAITING or _has_mask(name, args) or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        count(Kind.SYNC, name)
    if not func.is_view and name not in FREE:
        count(Kind.LAUNCH, name)
    # the C++ of torch, which takes the tensors for those of a CPU, may name that device
    there = kwargs if device is None else kwargs | {"device": torch.device("cpu")}
    return _returned(func, func(*_held(args), **_held(there)), args, kwargs)


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
    return tree_map(lambda each: each.held if isinstance(each, CudaTensor) else each, nested)


def _wrapped(nested: Any) -> Any:
    return tree_map(lambda each: CudaTensor(each) if isinstance(each, Tensor) else each, nested)


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
    else:
        crossing(target if ends[1] else source, non_blocking=non_blocking, operator="copy_")
    func(_held(target), _held(source))
    return target


def crossing(host: Tensor, *, non_blocking: bool, operator: str) -> None:
    """Count a copy between the device and a tensor of the CPU; only pinned memory lets the CPU go on at once."""
    count(Kind.COPY if non_blocking and is_pinned(host) else Kind.SYNC, operator)


def _returned(func: Any, results: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Wrap results; what was written in place is the argument itself."""
    returns, arguments = func._schema.returns, func._schema.arguments
    if not any(each.alias_info is not None and each.alias_info.is_write for each in returns):
        return _wrapped(results)
    given = {argument.name: value for argument, value in zip(arguments, args, strict=False)} | kwargs
    written = {
        frozenset(argument.alias_info.before_set): given.get(argument.name)
        for argument in arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    several = results if isinstance(results, tuple) else (results,)
    found = [
        _wrapped(result)
        if each.alias_info is None or not each.alias_info.is_write
        else written[frozenset(each.alias_info.before_set)]
        for each, result in zip(returns, several, strict=True)
    ]
    return tuple(found) if isinstance(results, tuple) else found[0]
