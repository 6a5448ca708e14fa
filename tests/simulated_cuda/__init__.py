"""A CUDA device made of CPU memory: it refuses what a real one refuses, and counts launches and waits for each line.

A test marked ``gpu`` has it where there is no real device; the fixture ``simulated_cuda`` is its counts, as in

    def test_x(simulated_cuda: Counts) -> None:
        x = torch.ones(3).to("cuda")
        simulated_cuda.clear()
        step(x)
        assert simulated_cuda.by("line", Kind.SYNC, Thread.MAIN) == {"train/loop.py:12": 1}

It cannot judge speed, memory, streams beside each other, several devices, or whether a kernel exists for a dtype.
Autocast is that of the CPU with some functions in float32: its casts are nearly those of a real device.
"""

from simulated_cuda.counts import Counts, Kind, Thread
from simulated_cuda.simulation import simulation

__all__ = ["Counts", "Kind", "Thread", "simulation"]
