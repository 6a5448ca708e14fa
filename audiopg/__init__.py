"""AudioPG: procedural sound, a masked autoencoder, and what its encoder hears in real recordings."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiopg.pretrained.encoder import AudioEncoder
    from audiopg.synth.corpus import corpus

__version__ = "0.1.0"
__all__ = ["AudioEncoder", "__version__", "corpus"]

# loaded when they are first asked for: `import audiopg` alone takes no time
_PLACES = {"AudioEncoder": "audiopg.pretrained.encoder", "corpus": "audiopg.synth.corpus"}


def __getattr__(name: str) -> object:
    """Return one of the two things that most programs want."""
    if name not in _PLACES:
        msg = f"module 'audiopg' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Name what a program may use."""
    return __all__
