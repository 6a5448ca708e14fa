"""Benchmarks: each data set is one module that exposes its card, where its audio is and how its manifest is made."""
