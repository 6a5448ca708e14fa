"""Distributions of the params: what may be drawn, and the draw from a uniform number."""

import numpy as np

from audiopg import config
from audiopg.arrays import Float64
from audiopg.errors import AudiopgError
from audiopg.registry import suggestion
from audiopg.synth.sources import PRIMITIVES
from audiopg.synth.sources.primitive import Parameter


def check(synth: config.Synth) -> None:
    """Compare the sources of the params with those that are registered.

    Raises:
        AudiopgError: an unknown primitive, an unknown or missing parameter, or a value that it may not take.
    """
    for name, source in synth.sources.items():
        place = f"synth.sources.{name}"
        primitive = source.primitive or name
        if primitive not in PRIMITIVES:
            msg = f"{place}: unknown primitive '{primitive}'{suggestion(primitive, list(PRIMITIVES))}"
            raise AudiopgError(msg)
        known = PRIMITIVES[primitive].parameters
        for parameter, distribution in source.parameters.items():
            if parameter not in known:
                msg = f"{place}.parameters.{parameter}: unknown parameter{suggestion(parameter, list(known))}"
                raise AudiopgError(msg)
            _check_values(f"{place}.parameters.{parameter}", distribution, known[parameter])
        for parameter in known:
            if parameter not in source.parameters:
                msg = f"{place}.parameters.{parameter}: missing"
                raise AudiopgError(msg)


def _check_values(place: str, distribution: config.Distribution, parameter: Parameter) -> None:
    """Check that everything that can be drawn is allowed."""
    if isinstance(distribution, config.Choice):
        values, whole = distribution.choices, all(value.is_integer() for value in distribution.choices)
    else:
        values, whole = [distribution.min, distribution.max], distribution.scale == "integer"
    for value in values:
        if not parameter.low <= value <= parameter.high:
            allowed = f"{parameter.low:g} to {parameter.high:g} ({parameter.unit})"
            msg = f"{place}: {value:g} is not allowed; allowed: {allowed}"
            raise AudiopgError(msg)
    if parameter.whole and not whole:
        msg = f"{place}: whole numbers are needed; write scale: integer, or choices of whole numbers"
        raise AudiopgError(msg)


def quantile(distribution: config.Distribution, uniform: Float64) -> Float64:
    """Turn uniform numbers in [0, 1) into draws of a distribution, any shape."""
    if isinstance(distribution, config.Choice):
        choices = np.asarray(distribution.choices)
        return choices[(uniform * len(choices)).astype(np.int64)]
    low, high = distribution.min, distribution.max
    if distribution.scale == "integer":
        return low + np.floor(uniform * (high - low + 1))
    if distribution.scale == "log":
        return low * (high / low) ** uniform
    return low + (high - low) * uniform


def largest(distribution: config.Distribution) -> float:
    """Return the largest value that can be drawn."""
    return max(distribution.choices) if isinstance(distribution, config.Choice) else distribution.max
