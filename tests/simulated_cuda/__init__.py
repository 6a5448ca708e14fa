"""A CUDA device made of CPU memory: it refuses what a real one refuses, and counts launches and waits for each line.

It cannot judge speed, memory, streams, several devices, or whether a kernel exists for a dtype.
"""

from simulated_cuda.counts import Counts, Kind, Thread
from simulated_cuda.simulation import simulation

__all__ = ["Counts", "Kind", "Thread", "simulation"]
