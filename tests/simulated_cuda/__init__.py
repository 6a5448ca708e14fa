"""A CUDA device made of CPU memory: it refuses what a real one refuses, and counts launches and waits for each line.

A test marked ``gpu`` has it where there is no real device; the fixture ``simulated_cuda`` is its counts. It cannot judge
speed, memory, streams beside each other, several devices, or whether a kernel exists for a dtype. Autocast is that of the
CPU with some functions in float32, so its casts are near those of a real device, not equal.
"""

from simulated_cuda.counts import Counts, Kind, Thread
from simulated_cuda.simulation import simulation

__all__ = ["Counts", "Kind", "Thread", "simulation"]
