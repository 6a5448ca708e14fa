"""Probe corpora: clips whose physics is known."""
