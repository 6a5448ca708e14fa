"""A pre-trained encoder as a library: embeddings of recordings, export, adapters for other suites."""

from audiopg.pretrained.encoder import AudioEncoder

__all__ = ["AudioEncoder"]
