"""The simulated device refuses what a real one refuses, computes what a CPU does, and counts what a real one does."""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated_cuda import Counts, Kind, Thread, simulation
from torch import Tensor, nn
from torch.nn import functional

from audiopg import compute, tensors

SYNC, LAUNCH, COPY = Kind.SYNC, Kind.LAUNCH, Kind.COPY


def on_device(*size: int) -> Tensor:
    return torch.arange(1.0, 1 + np.prod(size)).reshape(size).to("cuda")


def test_a_tensor_says_where_it_is(simulated_cuda: Counts) -> None:
    moved = [on_device(2), torch.ones(2).cuda(), torch.ones(2, device="cuda"), torch.tensor([1.0], device="cuda")]
    moved += [torch.as_tensor(np.ones(2), device="cuda"), torch.ones(2).to(moved[0]), torch.zeros_like(moved[0])]
    for tensor in moved:
        assert (tensor.device, tensor.is_cuda, tensor.is_cpu) == (torch.device("cuda", 0), True, False)
    assert not moved[0].cpu().is_cuda
    assert type(moved[0].to("cpu")) is Tensor
    assert moved[0].to("cuda") is moved[0]
    assert simulated_cuda.total(SYNC) > 0


def test_without_it_the_machine_is_as_before() -> None:
    before = torch.cuda.is_available(), Tensor.to, torch.tensor, torch.autocast, threading.Thread.run
    with simulation():
        assert torch.cuda.is_available()
        assert compute.bfloat16_gains(torch.device("cuda"))
    assert (torch.cuda.is_available(), Tensor.to, torch.tensor, torch.autocast, threading.Thread.run) == before
    assert type(torch.ones(2).to("cpu")) is Tensor


MIXES: list[Callable[[Tensor, Tensor], object]] = [
    torch.add,
    torch.matmul,
    functional.mse_loss,
    lambda there, here: torch.cat([there, here]),
    lambda there, here: torch.stack([there, here]),
    lambda there, here: there.mul_(here),
    lambda there, here: here.mul_(there),
    lambda there, here: torch.where(here > 0, there, there),
    lambda there, here: here[there.long() * 0],  # only a CPU's index may be elsewhere
]


@pytest.mark.parametrize("number", range(len(MIXES)))
def test_devices_do_not_mix(simulated_cuda: Counts, number: int) -> None:
    there, here = on_device(2, 2), torch.ones(2, 2)
    simulated_cuda.clear()
    with pytest.raises(RuntimeError, match="same device.*cuda:0 and cpu"):
        MIXES[number](there, here)
    with pytest.raises(RuntimeError, match="same device.*cuda:0 and cpu"):
        nn.Linear(2, 2)(there)
    assert simulated_cuda.by("operator", LAUNCH).keys() <= {"gt", "mul", "_to_copy"}  # of what led there


@pytest.mark.usefixtures("simulated_cuda")
def test_a_number_of_the_cpu_may_mix() -> None:
    there, number = on_device(3), torch.tensor(2.0)
    assert (there * number + 1).tolist() == [3, 5, 7]
    assert torch.where(there > number, there, number).tolist() == [2, 2, 3]
    with pytest.raises(RuntimeError, match="same device"):
        number.add_(there[0])


@pytest.mark.usefixtures("simulated_cuda")
def test_numpy_sees_no_tensor_of_the_device() -> None:
    for read in (lambda x: x.numpy(), np.asarray, np.array):
        with pytest.raises(TypeError, match="numpy"):
            read(on_device(2))
    assert on_device(2).numpy(force=True).tolist() == [1, 2]


WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: bool(x[0]),
    "int": lambda x: int(x[0]),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to cpu": lambda x: x.to("cpu"),
    "numpy": lambda x: x.cpu().numpy(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 1],
    "assignment by mask": lambda x: x.__setitem__(x > 1, x[1:] + 1),
    "masked_select": lambda x: x.masked_select(x > 1),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x),
    "to cuda": lambda _: torch.ones(3).to("cuda"),
    "pageable": lambda _: torch.ones(3).to("cuda", non_blocking=True),
    "pinned, blocking": lambda _: torch.ones(3).pin_memory().to("cuda"),
    "tensor": lambda _: torch.tensor([1.0, 2.0], device="cuda"),
    "index of the CPU": lambda x: x[torch.tensor([0, 1])],
    "copy to the CPU": lambda x: torch.ones(3).copy_(x),
    "copy from the CPU": lambda x: x.copy_(torch.ones(3)),
    "synchronize": lambda _: torch.cuda.synchronize(),
    "event": lambda _: torch.cuda.Event().synchronize(),
    "stream": lambda _: torch.cuda.current_stream().synchronize(),
}


@pytest.mark.parametrize("way", WAITS)
def test_each_wait_counts_once(simulated_cuda: Counts, way: str) -> None:
    x = on_device(3)
    simulated_cuda.clear()
    WAITS[way](x)
    assert simulated_cuda.total(SYNC) == 1
    assert simulated_cuda.total(COPY) == 0


FREE: dict[str, Callable[[Tensor], object]] = {
    "views": lambda x: x[1:].reshape(1, 2).transpose(0, 1).unsqueeze(0).expand(2, 2, 1).detach().unbind(),
    "shape": lambda x: (x.shape, x.numel(), x.dtype, x.device, len(x), x.requires_grad),
    "empty": lambda _: torch.empty(3, device="cuda"),
    "event": lambda _: torch.cuda.Event().query(),
    "same device": lambda x: x.to("cuda").cuda().to(torch.float32).contiguous(),
    "the CPU alone": lambda _: (torch.ones(3) + 1).sum().item(),
    "repr": repr,
}


@pytest.mark.parametrize("way", FREE)
def test_what_is_free_counts_nothing(simulated_cuda: Counts, way: str) -> None:
    x = on_device(3)
    simulated_cuda.clear()
    FREE[way](x)
    assert [simulated_cuda.total(kind) for kind in Kind] == [0, 0, 0]


@pytest.mark.parametrize(
    ("operators", "n"),
    [
        (lambda x: x + 1, 1),
        (lambda x: x.add_(1).mul_(2), 2),
        (lambda x: x.double(), 1),
        (lambda _: torch.zeros(3, device="cuda"), 1),
        (lambda x: x.masked_fill_(x > 1, 0), 2),
        (lambda x: torch._foreach_add([x, x], 1), 1),
        (lambda x: torch.where(x > 1, x, 0).sum(), 3),
        (lambda x: x[::2].contiguous(), 1),
    ],
)
def test_each_operator_that_computes_is_a_launch(
    simulated_cuda: Counts, operators: Callable[[Tensor], object], n: int
) -> None:
    x = on_device(3)
    simulated_cuda.clear()
    operators(x)
    assert (simulated_cuda.total(LAUNCH), simulated_cuda.total(SYNC)) == (n, 0)


def test_nobody_waits_for_a_copy_with_pinned_memory(simulated_cuda: Counts) -> None:
    x, target = on_device(3), torch.empty(3, pin_memory=True)
    assert target[1:].is_pinned()  # a part too
    simulated_cuda.clear()
    target.copy_(x, non_blocking=True)
    back = x.to("cpu", non_blocking=True)
    compute.Backend(torch.device("cuda"), None).to_device(torch.ones(3))
    assert back.is_pinned()
    assert (simulated_cuda.total(COPY), simulated_cuda.total(SYNC)) == (3, 0)
    torch.cuda.synchronize()
    assert target.tolist() == back.tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        x.pin_memory()


def test_a_copy_that_nobody_waits_for_has_wrong_numbers_until_somebody_does(simulated_cuda: Counts) -> None:
    x = on_device(2)
    first, event = x.to("cpu", non_blocking=True), torch.cuda.Event()
    event.record()
    second = torch.empty(2, pin_memory=True).copy_(x.mul_(2), non_blocking=True)
    number = x.long().sum().to("cpu", non_blocking=True)
    assert first.isnan().all()
    simulated_cuda.clear()
    assert event.query()
    assert first.tolist() == [1, 2]  # as they were when the copy was asked for
    assert simulated_cuda.total(SYNC) == 0
    event.synchronize()
    assert second.isnan().all()
    assert number != 6
    assert x[0].item() == 2
    assert second.tolist() == [2, 4]
    assert number == 6


def test_events_are_counted_at_the_line_of_the_package_and_its_thread(simulated_cuda: Counts) -> None:
    backend = compute.Backend(torch.device("cuda"), None)
    simulated_cuda.clear()
    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(lambda: backend.to_device(torch.ones(3)) + 1).result()
    assert moved.is_cuda
    assert simulated_cuda.by("file", COPY, Thread.OTHER) == {"compute.py": 1}
    assert simulated_cuda.by("file", LAUNCH, Thread.OTHER) == {"elsewhere": 1}
    assert simulated_cuda.total(LAUNCH, Thread.MAIN) == 0
    line = next(iter(simulated_cuda.by("line", COPY)))
    assert line.startswith("compute.py:")
    source = Path(compute.__file__).read_text(encoding="utf-8").splitlines()
    assert "non_blocking=True" in source[int(line.partition(":")[2]) - 1]


def test_a_model_keeps_its_parameters_when_it_moves(simulated_cuda: Counts, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    before, expected = list(model.parameters()), model.state_dict()
    expected = {name: tensor.clone() for name, tensor in expected.items()}
    model.to("cuda")
    assert all(new is old and new.is_cuda for new, old in zip(model.parameters(), before, strict=True))
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())
    twin = copy.deepcopy(model)
    assert twin[0].weight is not model[0].weight
    twin.load_state_dict(expected)
    tensors.write(tmp_path / "weights.safetensors", twin.state_dict(), {})
    found, _ = tensors.read(tmp_path / "weights.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert simulated_cuda.by("function", SYNC)["tensors.py write.<locals>.<dictcomp>"] == len(expected)
    assert not next(model.cpu().parameters()).is_cuda


@pytest.mark.parametrize("kind", [{}, {"foreach": False}, {"fused": True}])
def test_training_comes_to_what_it_comes_to_on_the_cpu(kind: dict[str, bool]) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        with simulation():
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1)).to(device)
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, **kind)
            for number in range(4):
                x = torch.randn(5, 4, generator=torch.Generator().manual_seed(number)).to(device)
                optimizer.zero_grad()
                model(x).square().mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            found[device] = torch.cat([parameter.detach().cpu().flatten() for parameter in model.parameters()])
    torch.testing.assert_close(found["cuda"], found["cpu"], atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("simulated_cuda")
def test_gradients_cross_between_the_devices() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x.to("cuda") * 3).cpu().sum().backward()
    assert x.grad is not None
    assert not x.grad.is_cuda
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_products_in_half_and_norms_in_whole_precision(
    simulated_cuda: Counts, dtype: torch.dtype
) -> None:
    linear, norm = nn.Linear(3, 3).to("cuda"), nn.LayerNorm(3).to("cuda")
    with torch.autocast("cuda", dtype):
        product = linear(on_device(2, 3))
        assert product.dtype is dtype
        assert norm(product).dtype is torch.float32
        assert (
            functional.cross_entropy(product, torch.zeros(2, dtype=torch.int64, device="cuda")).dtype is torch.float32
        )
        with torch.autocast("cuda", enabled=False):
            assert linear(on_device(2, 3)).dtype is torch.float32
    assert linear(on_device(2, 3)).dtype is torch.float32
    assert simulated_cuda.by("operator", LAUNCH)["_to_copy"] >= 4


def test_the_scaler_skips_a_step_that_overflows(simulated_cuda: Counts) -> None:
    weight = nn.Parameter(torch.ones(2, device="cuda"))
    optimizer, scaler = torch.optim.AdamW([weight], lr=0.1, fused=True), torch.amp.GradScaler("cuda")
    scaler.scale((weight * torch.inf).sum()).backward()  # type: ignore[no-untyped-call]
    simulated_cuda.clear()
    scaler.step(optimizer)
    scaler.update()
    assert simulated_cuda.total(SYNC) == 0
    assert weight.tolist() == [1, 1]
    assert scaler.get_scale() == 2**15
