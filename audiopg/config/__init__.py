"""Typed, frozen parameters: what ``params.yaml`` may hold, in which unit and range."""

from audiopg.config.base import Choice, Distribution, Range, Section
from audiopg.config.evaluate import Factors, Latent, Probe, Task
from audiopg.config.model import SIZES, Decoder, Encoder, Features, Size, n_pooled, n_visible
from audiopg.config.root import Compute, Config, Data
from audiopg.config.synth import (
    Colour,
    Damping,
    Events,
    Identity,
    Microphone,
    NoiseFloor,
    Room,
    Source,
    Synth,
    Transient,
    Voices,
)
from audiopg.config.train import Finetune, Objectives, Optimizer, Pretrain, Steps

__all__ = [
    "Choice",
    "Colour",
    "Compute",
    "Config",
    "Damping",
    "Data",
    "Decoder",
    "Distribution",
    "Encoder",
    "Events",
    "Factors",
    "Features",
    "Finetune",
    "Identity",
    "Latent",
    "Microphone",
    "NoiseFloor",
    "Objectives",
    "Optimizer",
    "Pretrain",
    "Probe",
    "Range",
    "Room",
    "SIZES",
    "Section",
    "Size",
    "Source",
    "Steps",
    "Synth",
    "Task",
    "Transient",
    "Voices",
    "n_pooled",
    "n_visible",
]
