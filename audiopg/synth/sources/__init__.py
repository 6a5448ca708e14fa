"""The sound sources by the names that they have in ``params.yaml``."""

from audiopg.registry import Registry
from audiopg.synth.sources import excited, moving, steady, struck
from audiopg.synth.sources.primitive import Primitive

PRIMITIVES: Registry[Primitive] = Registry("primitive")
PRIMITIVES.add("harmonic", steady.HARMONIC)
PRIMITIVES.add("fm", steady.FM)
PRIMITIVES.add("pulse", steady.PULSE)
PRIMITIVES.add("modal", struck.MODAL)
PRIMITIVES.add("plucked", struck.PLUCKED)
PRIMITIVES.add("tone", moving.TONE)
PRIMITIVES.add("voice", moving.VOICE)
PRIMITIVES.add("noise_band", excited.NOISE_BAND)
PRIMITIVES.add("grains", excited.GRAINS)
