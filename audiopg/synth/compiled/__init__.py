"""The renderer for CPUs, in compiled code that holds no lock."""
