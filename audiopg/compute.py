"""Device, precision, threads and processes of a stage."""

import atexit
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from audiopg import gpus
from audiopg.errors import AudiopgError
from audiopg.progress import say

if TYPE_CHECKING:
    from audiopg import config

CPU = torch.device("cpu")
COMPILERS = ("c++", "g++", "clang++", "gcc", "cc", "clang")
HIDDEN = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that leave no device


@dataclass(frozen=True)
class Backend:
    """Where and how precisely a stage computes, and which of how many processes this is."""

    device: torch.device
    autocast_dtype: torch.dtype | None
    compiles: bool = False
    rank: int = 0
    world_size: int = 1
    synth_device: torch.device = CPU
    """What plays synthetic clips."""
    n_feeders: int = 1
    """Threads that make batches while the device is at others; a GPU leaves the CPU's cores to them."""

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def device_context(self) -> AbstractContextManager[object]:
        """Return the context of work on the device in any thread; CUDA has a current device for each of them."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def scaler(self) -> torch.amp.GradScaler:
        """Return the scaler that keeps float16 gradients above 0; in other precisions it does nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.autocast_dtype is torch.float16)

    def runner(self, model: nn.Module) -> nn.Module:
        """Wrap a model for a training step: compiled if asked for, its gradients averaged over the processes."""
        if self.compiles:
            model = cast(nn.Module, torch.compile(model, fullgraph=True))
        return DistributedDataParallel(model) if self.world_size > 1 else model

    def all_reduce_sum(self, values: Sequence[float]) -> list[float]:
        """Add up numbers over all processes, in float64; each process gets the same sums."""
        if self.world_size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(sums)
        out: list[float] = sums.tolist()
        return out

    def sum_over_processes(self, tensor: Tensor) -> None:
        """Add up a tensor over all processes, in place; nothing is read back."""
        if self.world_size > 1:
            distributed.all_reduce(tensor)

    @contextmanager
    def lost_peer_errors(self) -> Iterator[None]:
        """Report in one line that another process has ended, without which this one cannot go on.

        Raises:
            AudiopgError: a process has ended before the others.
        """
        try:
            yield
        except RuntimeError as error:
            if self.world_size == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            msg = f"process {self.rank} stops, as another of the {self.world_size} has stopped; its line says why"
            raise AudiopgError(msg) from error

    def to_device(self, tensor: Tensor) -> Tensor:
        """Move a tensor to the device, as `sent`."""
        return sent(tensor, self.device)

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """Short description for run cards, such as ``cpu float32`` or ``cuda bfloat16, 4 processes``."""
        dtype = self.autocast_dtype or torch.float32
        processes = f", {self.world_size} processes" if self.world_size > 1 else ""
        return f"{self.device.type} {str(dtype).removeprefix('torch.')}{processes}"


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; a copy from CPU to CUDA does not block the CPU."""
    if tensor.device.type == device.type:
        return tensor
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


def backend(compute: "config.Compute", n_threads: int, *, trains: bool = False) -> Backend:
    """Choose the device and precision, and set the number of CPU threads; join the other processes of a torchrun.

    The number of threads comes from the parameters, not from the machine: it can change the last bit of a sum.
    The first line of the stage names the device and the precision. Of several GPUs a stage takes one that no other job
    has; processes of a torchrun see all of them.

    Args:
        compute: the ``compute`` section.
        n_threads: CPU threads of this process.
        trains: whether the stage shares its work with other processes.

    Raises:
        AudiopgError: as `check`; CUDA has no device for each process; or torchrun has started a stage that does not
            share its work.
    """
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)  # NumPy's and scikit-learn's matrix products
    if compute.device != "cpu" and not distributed.is_torchelastic_launched():
        gpus.take()
    check(compute, trains=trains)
    device = torch.device("cuda" if compute.device != "cpu" and cuda_works() else "cpu")
    dtype = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}.get(
        compute.precision, torch.bfloat16 if bfloat16_gains(device) else None
    )
    if distributed.is_torchelastic_launched() and not trains:
        msg = "torchrun: only pretrain and finetune share their work between processes; call audiopg without torchrun"
        raise AudiopgError(msg)
    alone = Backend(
        device,
        dtype,
        compute.compile,
        synth_device=device if compute.synth_device == "cuda" else CPU,
        n_feeders=max(n_threads - 1, 1) if device.type == "cuda" else 1,
    )
    say(described(alone))
    return _join(alone) if distributed.is_torchelastic_launched() else alone


def described(backend: Backend) -> str:
    """Return the line that names device and precision."""
    device = backend.device
    model = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    precision = str(backend.autocast_dtype or torch.float32).removeprefix("torch.")
    return f"device: {device.type}{model}, precision: {precision}"


def check(compute: "config.Compute", *, trains: bool) -> None:
    """Check that this machine has what the parameters ask for.

    Args:
        compute: the ``compute`` section.
        trains: whether the stage compiles models if asked to.

    Raises:
        AudiopgError: CUDA is asked for, but missing; there is a GPU, and torch cannot use it; or a compiler is asked
            for, but missing.
    """
    if compute.device != "cpu" and not cuda_works():
        if gpus.present():
            msg = f"torch cannot use the GPU of this machine: {obstacle()}; for the CPU set compute.device: cpu"
            raise AudiopgError(msg)
        if compute.device == "cuda":
            msg = "params.yaml: compute.device: cuda asked for, but this machine has no CUDA device; use auto or cpu"
            raise AudiopgError(msg)
    if compute.synth_device == "cuda" and (compute.device == "cpu" or not cuda_works()):
        msg = "params.yaml: compute.synth_device: cuda asked for, but nothing is computed on a CUDA device; use auto"
        raise AudiopgError(msg)
    if trains and compute.compile and not has_compiler():
        msg = "params.yaml: compute.compile: true needs a C++ compiler such as g++; install one or use false"
        raise AudiopgError(msg)


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which `torch.compile` needs."""
    return any(shutil.which(name) for name in COMPILERS)


def cuda_works() -> bool:
    """Return whether torch can use a GPU, without the warning by which it says that it cannot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


def obstacle() -> str:
    """Say why torch cannot use the GPU that is there, and what to do."""
    built, driver = f"torch {torch.__version__}", gpus.driver()
    if torch.version.cuda is None:
        return f"{built} was built without CUDA; install one that was built with it"
    old = gpus.too_old(driver, torch.version.cuda)
    if old:
        newest = gpus.newest_cuda(driver)
        other = f" or a torch for CUDA {newest}" if newest else ""
        return f"{old} ({built}); install a newer driver{other} (docs/dependencies.md)"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in HIDDEN:
        return f"CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']} hides it; unset it"
    if not driver:
        return "no driver answers; see what nvidia-smi says"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"{str(error).splitlines()[0]} ({built}, driver {driver})"
    return f"no device is visible ({built}, driver {driver})"


def _join(alone: Backend) -> Backend:
    """Join the processes that torchrun has started."""
    rank, local_rank, world_size = (int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    device = alone.device
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            msg = f"torchrun: process {local_rank} finds {torch.cuda.device_count()} CUDA devices; start one for each"
            raise AudiopgError(msg)
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        cuda = device.type == "cuda"
        distributed.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
        atexit.register(distributed.destroy_process_group)
    synth_device = alone.synth_device if alone.synth_device == CPU else device
    return replace(alone, device=device, rank=rank, world_size=world_size, synth_device=synth_device)


def bfloat16_gains(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 in hardware; emulated, it is many times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
