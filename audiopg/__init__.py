"""AudioPG: procedural sound, a masked autoencoder, and what its encoder hears in real recordings."""

__version__ = "0.1.0"
