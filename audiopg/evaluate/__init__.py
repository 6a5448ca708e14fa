"""Protocols, metrics and probes."""
